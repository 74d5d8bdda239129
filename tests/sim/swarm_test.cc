// The swarm: random worlds under random faults. Safety holds while faults fire; liveness is asked once they stop.
//
//   SIM_SEEDS=20000 sim_test --gtest_filter='Swarm.*'    more of them
//   SIM_SEED=4711 sim_test --gtest_filter='Swarm.*'      one, with its trace
//   SIM_FIRST=5000                                       where to begin
#include <gtest/gtest.h>

#include <cstdlib>

#include "sim/checkers.h"
#include "sim/swarm.h"

namespace postlane::sim {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

TEST(Swarm, PromisesHoldWhateverHappens) {
    if (std::getenv("SIM_SEED") != nullptr) {
        Options options = swarm_options(number_from("SIM_SEED", 1));
        options.print_trace = true;
        const Verdict verdict = judge(options);
        EXPECT_EQ(verdict.trouble, "");
        return;
    }
    const std::uint64_t first = number_from("SIM_FIRST", 1);
    const std::uint64_t last = first + number_from("SIM_SEEDS", 2'000);
    Probes probes;
    for (std::uint64_t seed = first; seed < last; ++seed) {
        const Options options = swarm_options(seed);
        const Verdict verdict = judge(options);
        EXPECT_EQ(verdict.trouble, "") << "SIM_SEED=" << seed;
        for (const auto& [probe, times] : verdict.probes) {
            probes[probe] += times;
        }
        if (seed % 100 == 0) {
            EXPECT_EQ(judge(options).trace_hash, verdict.trace_hash) << "not deterministic: SIM_SEED=" << seed;
        }
    }
    for (const auto& [probe, times] : probes) {
        std::printf("%10llu %s\n", static_cast<unsigned long long>(times), probe.c_str());
    }
}

}  // namespace
}  // namespace postlane::sim
