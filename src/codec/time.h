// RFC 3339 times, the only form postlane reads and writes.
#pragma once

#include <optional>
#include <string_view>

#include "postlane/types.h"

namespace postlane {

// What parse_time accepts: 1970-01-01T00:00:00Z up to the last millisecond of the year 9999.
inline constexpr Instant kTimeMin{};
inline constexpr Instant kTimeMax{Millis{253402300799999}};

// A full date-time with an offset ("Z" or "+02:00"); a time without one names no moment and is
// refused. "T" and "Z" may be lower-case, a blank may stand for "T" (RFC 3339 section 5.6). Digits
// beyond milliseconds are cut off. A leap second (23:59:60 UTC on the last day of a month) counts
// as the last millisecond before it ends, because Kafka's clock has none.
[[nodiscard]] std::optional<Instant> parse_time(std::string_view text) noexcept;

}  // namespace postlane
