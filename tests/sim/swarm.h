// One world from beginning to end, and what is to be said about it.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "sim/world.h"

namespace postlane::sim {

struct Verdict {
    std::string trouble;  // empty: every promise held
    std::uint64_t trace_hash = 0;
    std::size_t executions = 0;
    std::uint64_t events = 0;
    bool run_twice = false;
    Probes probes;
};

// Faults, then peace, then everything must have ended.
[[nodiscard]] Verdict judge(const Options& options);
// One seed in a hundred is run again: the same options must give the same trace.
[[nodiscard]] Verdict judge_twice_sometimes(const Options& options);

// What a swarm of a thousand seeds must have met, else nothing is proven about it.
[[nodiscard]] std::span<const char* const> must_happen();
[[nodiscard]] std::vector<std::string> never_happened(const Probes& probes);

// For people: what became of each message and suppression of the world.
[[nodiscard]] std::string summary(World& world);

}  // namespace postlane::sim
