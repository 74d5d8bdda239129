#include "core/retry.h"

#include <algorithm>
#include <string_view>

namespace postlane {
namespace {

constexpr std::uint64_t kFnvOffset = 0xcbf29ce484222325U;
constexpr std::uint64_t kFnvPrime = 0x100000001b3U;

void mix(std::uint64_t& hash, std::string_view bytes) {
    for (const char byte : bytes) {
        hash = (hash ^ static_cast<unsigned char>(byte)) * kFnvPrime;
    }
    hash = (hash ^ bytes.size()) * kFnvPrime;  // ("ab", "c") is not ("a", "bc")
}

// FNV-1a leaves neighbouring inputs close together; this spreads them (splitmix64's last step).
std::uint64_t spread(std::uint64_t hash) {
    hash = (hash ^ (hash >> 30U)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27U)) * 0x94d049bb133111ebU;
    return hash ^ (hash >> 31U);
}

std::uint64_t jitter_seed(const RecipientId& recipient, const MessageId& message,
                          std::uint32_t attempt) {
    std::uint64_t hash = kFnvOffset;
    mix(hash, recipient.value());
    mix(hash, message.value());
    hash = (hash ^ attempt) * kFnvPrime;
    return spread(hash);
}

Millis window_of(std::uint32_t attempt) {
    Millis window = kRetryBase;
    for (std::uint32_t doubled = 1; doubled < attempt && window < kRetryCap; ++doubled) {
        window *= 2;
    }
    return std::min(window, kRetryCap);
}

// Somewhere in [0, window].
Millis part_of(Millis window, std::uint64_t seed) {
    const auto choices = static_cast<std::uint64_t>(window.count()) + 1;
    return Millis{static_cast<Millis::rep>(seed % choices)};
}

}  // namespace

Millis retry_delay(const RecipientId& recipient, const MessageId& message, std::uint32_t attempt,
                   std::optional<Millis> retry_after) {
    const std::uint64_t seed = jitter_seed(recipient, message, attempt);
    const Millis backoff = part_of(window_of(attempt), seed);
    if (!retry_after) {
        return backoff;
    }
    // A provider tells everybody the same number; a little more than it asked for keeps the
    // messages it put off from coming back as one wave.
    const Millis asked = std::clamp(*retry_after, Millis{0}, kRetryAfterMax);
    return std::max(backoff, asked + part_of(kRetryBase, seed));
}

}  // namespace postlane
