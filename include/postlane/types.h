// The words everything else is written in.
#pragma once

#include <array>
#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace postlane {

// A value with a name: no implicit conversion in either direction.
template <class Tag, class Rep>
class Strong {
public:
    Strong() = default;
    constexpr explicit Strong(Rep value) : value_(std::move(value)) {}
    [[nodiscard]] constexpr const Rep& value() const noexcept { return value_; }
    friend constexpr auto operator<=>(const Strong&, const Strong&) = default;
    friend constexpr bool operator==(const Strong&, const Strong&) = default;

private:
    Rep value_{};
};

using RecipientId = Strong<struct RecipientIdTag, std::string>;
using MessageId = Strong<struct MessageIdTag, std::string>;
// An address as suppressions know it: local part lower-cased, domain lower-cased and in A-label form.
using AddressKey = Strong<struct AddressKeyTag, std::string>;

// Bumped at every start and every restart of a partition in this process; never persisted.
using Epoch = Strong<struct EpochTag, std::uint64_t>;

using PartitionId = std::int32_t;
using Offset = std::int64_t;  // a Kafka record offset
using Step = std::uint64_t;   // a step of a sequence; the first is 1

using Millis = std::chrono::milliseconds;  // how long
// When, in broker time: what Kafka's LogAppendTime would say now. Only the runtime makes one.
using Instant = std::chrono::sys_time<Millis>;
// When, on this machine's CLOCK_BOOTTIME. Never stored, never compared across processes.
struct BootClock {
    using duration = std::chrono::microseconds;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<BootClock, duration>;
    static constexpr bool is_steady = true;
};
using BootInstant = BootClock::time_point;

// Names one attempt for ever: the process that made it, and its number within that process.
struct AttemptId {
    std::uint64_t process = 0;
    std::uint64_t number = 0;
    friend auto operator<=>(const AttemptId&, const AttemptId&) = default;
    friend bool operator==(const AttemptId&, const AttemptId&) = default;
};

// XXH3-128 of canonical bytes. Tells two bodies apart; not a cryptographic digest.
using Hash128 = std::array<std::uint8_t, 16>;

struct Header {
    std::string name;
    std::optional<std::string> value;
    friend bool operator==(const Header&, const Header&) = default;
};

// One record of an input topic, exactly as Kafka delivered it.
struct InputRecord {
    Offset offset = 0;
    Instant timestamp{};
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::vector<Header> headers;
};

struct SequenceRef {
    std::string id;  // normalised
    Step step = 0;
    friend bool operator==(const SequenceRef&, const SequenceRef&) = default;
};

}  // namespace postlane
