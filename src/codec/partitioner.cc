// Which partition a key belongs to, computed as the producers compute it.
#include <array>
#include <cstdint>

#include "codec/decode.h"

namespace postlane {
namespace {

std::uint32_t byte_at(std::string_view bytes, std::size_t index) noexcept {
    return static_cast<std::uint8_t>(bytes[index]);
}

// org.apache.kafka.common.utils.Utils.murmur2, bit for bit.
std::uint32_t murmur2(std::string_view key) noexcept {
    constexpr std::uint32_t kSeed = 0x9747b28cU;
    constexpr std::uint32_t kMultiplier = 0x5bd1e995U;
    std::uint32_t hash = kSeed ^ static_cast<std::uint32_t>(key.size());
    std::size_t at = 0;
    for (; at + 4 <= key.size(); at += 4) {
        std::uint32_t word = byte_at(key, at) | byte_at(key, at + 1) << 8U |
                             byte_at(key, at + 2) << 16U | byte_at(key, at + 3) << 24U;
        word *= kMultiplier;
        word ^= word >> 24U;
        word *= kMultiplier;
        hash = (hash * kMultiplier) ^ word;
    }
    const std::size_t left = key.size() - at;
    if (left >= 3) {
        hash ^= byte_at(key, at + 2) << 16U;
    }
    if (left >= 2) {
        hash ^= byte_at(key, at + 1) << 8U;
    }
    if (left >= 1) {
        hash ^= byte_at(key, at);
        hash *= kMultiplier;
    }
    hash ^= hash >> 13U;
    hash *= kMultiplier;
    hash ^= hash >> 15U;
    return hash;
}

constexpr std::array<std::uint32_t, 256> kCrcTable = [] {
    std::array<std::uint32_t, 256> table{};
    for (std::uint32_t i = 0; i < 256; ++i) {
        std::uint32_t crc = i;
        for (int bit = 0; bit < 8; ++bit) {
            crc = (crc & 1U) != 0 ? (crc >> 1U) ^ 0xedb88320U : crc >> 1U;
        }
        table[i] = crc;
    }
    return table;
}();

std::uint32_t crc32(std::string_view key) noexcept {
    std::uint32_t crc = 0xffffffffU;
    for (std::size_t i = 0; i < key.size(); ++i) {
        crc = kCrcTable[(crc ^ byte_at(key, i)) & 0xffU] ^ (crc >> 8U);
    }
    return ~crc;
}

}  // namespace

PartitionId partition_for(std::string_view key, std::int32_t partition_count,
                          config::Partitioner partitioner) {
    if (partition_count <= 0) {
        return 0;
    }
    // Java's toPositive clears the sign bit; librdkafka's CRC-32 is taken unsigned.
    const std::uint32_t hash =
        partitioner == config::Partitioner::Murmur2 ? murmur2(key) & 0x7fffffffU : crc32(key);
    return static_cast<PartitionId>(hash % static_cast<std::uint32_t>(partition_count));
}

}  // namespace postlane
