#include "codec/decode.h"

#include "codec/decode_scratch.h"

namespace postlane {

Decoder::Decoder(const Config& config, std::int32_t partition_count)
    : config_(config), partition_count_(partition_count), scratch_(std::make_unique<Scratch>()) {}

Decoder::~Decoder() = default;

}  // namespace postlane
