// What the sandbox is told to do wrong, and which fault hits which request.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postlane::sandbox {

enum class OutageMode : std::uint8_t { Answer503, Hang, Close };

// Probabilities are 0..1. Field names are those of POST /_sandbox/faults.
struct Faults {
    std::uint32_t latency_ms = 0;         // from the last byte read to the answer
    std::uint32_t latency_jitter_ms = 0;  // plus 0..this, uniform
    double reject = 0;                    // refused for good: SendGrid 400, others 422
    double throttle = 0;                  // 429 with Retry-After: retry_after_s
    std::uint32_t retry_after_s = 1;
    double error_5xx = 0;
    std::uint32_t error_5xx_status = 500;
    bool error_5xx_executes = false;  // the mail goes out all the same
    double accept_then_drop = 0;      // executes, then closes without an answer
    double accept_then_hang = 0;      // executes, then never answers
    double drop_before = 0;           // closes without executing
    double close_idle = 0;            // closes the kept-alive connection after an answer …
    std::uint32_t close_idle_ms = 0;  // … once it was idle this long; 0: at once
    bool outage = false;              // nothing is executed
    OutageMode outage_mode = OutageMode::Answer503;
    bool unauthorized = false;  // 401 to everything
    bool http_idempotency = true;
    std::uint64_t idempotency_lifetime_ms = 86'400'000;
    std::uint64_t seed = 1;
};

// Changes the fields that `json` names and leaves the others. Returns what is wrong with it, in
// which case nothing was changed.
std::optional<std::string> patch(Faults& faults, std::string_view json);

std::string to_json(const Faults& faults);

enum class Fault : std::uint8_t {
    None,
    Unauthorized,
    Outage,
    DropBefore,
    Error5xx,
    Throttle,
    Reject,
    AcceptThenDrop,
    AcceptThenHang,
};
constexpr std::size_t kFaultCount = 9;
std::string_view name_of(Fault fault);

// The luck of one request: a function of the seed and of the request's number since the seed was
// set. One fault's probability does not shift another's dice.
class Dice {
public:
    Dice(std::uint64_t seed, std::uint64_t request) : seed_(seed), request_(request) {}

    // The first fault that hits, in the order of the enumeration; outage and unauthorized are not
    // a matter of luck.
    [[nodiscard]] Fault fault(const Faults& faults) const;
    [[nodiscard]] std::uint64_t latency_us(const Faults& faults) const;
    [[nodiscard]] bool closes_idle(const Faults& faults) const;

private:
    [[nodiscard]] double roll(std::uint64_t die) const;  // [0, 1)

    std::uint64_t seed_;
    std::uint64_t request_;
};

}  // namespace postlane::sandbox
