// The one source of chance in a simulated world: every draw is a function of the seed.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>

namespace postlane::sim {

// splitmix64. Small, fast, and the same on every platform, unlike the distributions of <random>.
class Random {
public:
    explicit Random(std::uint64_t seed) : state_(seed) {}

    std::uint64_t next() {
        state_ += 0x9e3779b97f4a7c15U;
        std::uint64_t bits = state_;
        bits = (bits ^ (bits >> 30U)) * 0xbf58476d1ce4e5b9U;
        bits = (bits ^ (bits >> 27U)) * 0x94d049bb133111ebU;
        return bits ^ (bits >> 31U);
    }
    // first <= result <= last
    std::int64_t between(std::int64_t first, std::int64_t last) {
        const auto choices = static_cast<std::uint64_t>(last - first) + 1;
        return first + static_cast<std::int64_t>(next() % choices);
    }
    std::size_t below(std::size_t count) { return next() % count; }
    bool chance(double probability) { return unit() < probability; }
    double unit() { return static_cast<double>(next() >> 11U) * 0x1.0p-53; }
    // Every magnitude is as likely as every other: small troubles and large ones both matter.
    double log_uniform(double low, double high) {
        return std::exp(std::log(low) + unit() * (std::log(high) - std::log(low)));
    }
    // A stream of its own, so that one part's draws do not shift another's.
    Random fork() { return Random(next()); }

private:
    std::uint64_t state_;
};

}  // namespace postlane::sim
