// What a Decoder reuses from record to record. Private to the decoder.
#pragma once

#include <string>

#include "codec/decode.h"
#include "codec/decode_json.h"

namespace postlane {

struct Decoder::Scratch {
    JsonReader json;
    std::string canonical;  // of a body
};

// A CloudEvents envelope in structured mode carries the event inside; postlane takes binary mode.
inline constexpr std::string_view kEnvelopeHint =
    "required (this looks like a CloudEvents envelope; use binary mode: the event itself is the "
    "value, "
    "the attributes are ce_ headers)";

}  // namespace postlane
