// When to try again. Pure: the jitter is a function of the message and the attempt, so a replay of
// the decision gives the same time, and messages that failed together do not return together.
#pragma once

#include <cstdint>
#include <optional>

#include "postlane/types.h"

namespace postlane {

inline constexpr Millis kRetryBase{1'000};
inline constexpr Millis kRetryCap{15 * 60 * 1'000};
// A provider may ask for more patience than our own cap, but not for ever.
inline constexpr Millis kRetryAfterMax{24 * 60 * 60 * 1'000};

// How long to wait after attempt number `attempt` (the first is 1; 0 counts as 1, for an attempt
// that never left). Full jitter: anywhere between 0 and min(cap, base * 2^(attempt - 1)); with
// `retry_after`, never less than that.
[[nodiscard]] Millis retry_delay(const RecipientId& recipient, const MessageId& message,
                                 std::uint32_t attempt, std::optional<Millis> retry_after);

}  // namespace postlane
