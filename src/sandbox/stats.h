// Counters that GET /_sandbox/stats shows.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>

#include "sandbox/faults.h"
#include "sandbox/journal.h"
#include "sandbox/wire.h"

namespace postlane::sandbox {

// Durations in buckets an eighth of a power of two wide: quantiles within about 12 %.
class Histogram {
public:
    void add(std::uint64_t microseconds);
    [[nodiscard]] std::uint64_t quantile_us(double quantile) const;

private:
    static constexpr std::size_t kBuckets = 64 * 8;
    static std::size_t bucket_of(std::uint64_t microseconds);
    static std::uint64_t upper_bound(std::size_t bucket);

    std::array<std::uint64_t, kBuckets> counts_{};
    std::uint64_t total_ = 0;
};

// Not thread-safe.
class Stats {
public:
    explicit Stats(std::int64_t now_us) : started_us_(now_us) {}

    void count(const Record& record);
    void count_answer(std::uint64_t after_us) { answer_.add(after_us); }

    [[nodiscard]] std::string to_json(std::int64_t now_us, std::uint64_t connections_open,
                                      std::uint64_t connections_total,
                                      std::uint64_t idempotency_keys) const;

private:
    static constexpr std::size_t kSeconds = 64;  // of history, one slot each
    struct Second {
        std::int64_t second = 0;
        std::uint64_t requests = 0;
        std::uint64_t executed = 0;
    };

    std::int64_t started_us_;
    std::uint64_t requests_ = 0;
    std::uint64_t executed_ = 0;
    std::uint64_t replayed_ = 0;
    std::map<int, std::uint64_t> by_status_;
    std::array<std::uint64_t, kFaultCount> by_fault_{};
    std::array<std::uint64_t, kProviderCount> by_provider_{};
    Histogram answer_;
    std::array<Second, kSeconds> seconds_{};
};

}  // namespace postlane::sandbox
