// One world from beginning to end, and what is to be said about it.
#pragma once

#include <string>

#include "sim/world.h"

namespace postlane::sim {

struct Verdict {
    std::string trouble;  // empty: every promise held
    std::uint64_t trace_hash = 0;
    std::size_t executions = 0;
    std::uint64_t events = 0;
    Probes probes;
};

// Faults, then peace, then everything must have ended.
[[nodiscard]] Verdict judge(const Options& options);

}  // namespace postlane::sim
