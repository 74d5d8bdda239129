// The swarm: random worlds under random faults. Safety holds while faults fire; liveness is asked once they stop.
//
//   SIM_SEEDS=20000 sim_test --gtest_filter='Swarm.*'    more of them
//   SIM_SEED=4711 sim_test --gtest_filter='Swarm.*'      one, with its trace
//   SIM_FIRST=5000                                       where to begin
#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "sim/checkers.h"
#include "sim/swarm.h"

namespace postlane::sim {
namespace {

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
    const char* text = std::getenv(variable);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

// A rule of the core that is violated ends the process; then this is how to meet it again.
volatile std::uint64_t seed_at_work = 0;
void name_the_seed(int /*signal*/) {
    std::fprintf(stderr, "aborted at SIM_SEED=%llu\n",
                 static_cast<unsigned long long>(seed_at_work));
    std::signal(SIGABRT, SIG_DFL);
}

// What a swarm must have met.
constexpr std::array kSometimes{
    "commit_aborted",
    "commit_fenced",
    "commit_unknown_but_committed",
    "commit_unknown_and_late",
    "commit_unknown_and_lost",
    "killed_at_crash_point",
    "partition_restarted",
    "exit_70",
    "graceful_stop",
    "paused_beyond_session",
    "partitions_lost",
    "unsynced_tail_lost",
    "started_without_store",
    "started_with_older_store",
    "store_wiped",
    "store_corrupt",
    "disk_full",
    "ledger_compacted",
    "end_offsets_unavailable",
    "input_held_at_stable_offset",
    "hook_refused/deadline_passed",
    "hook_refused/epoch_ended",
    "hook_refused/suppression_arrived",
    "hook_refused/view_stale",
    "account_refused",
    "answer_lost_after_accept",
    "connect_failed",
    "replayed_by_key",
    "duplicate/payload_conflict",
    "dead_lettered/gap_timeout",
    "dead_lettered/held_overflow",
    "dead_lettered/late_step",
    "dead_lettered/misrouted_key",
    "expired/sequence_halted",
    "expired/ttl_passed",
    "ambiguous/no_idempotency",
    "ambiguous/key_expired",
    "ambiguous/retries_exhausted",
    "ambiguous/suppressed_while_in_doubt",
    "ambiguous/expired_while_in_doubt",
};

// Once each of these showed a fault, in postlane or in the simulator.
TEST(Swarm, SeedsThatOnceFailed) {
    for (const std::uint64_t seed : {2U, 52U, 122U, 352U, 934U, 1186U, 1187U, 1785U, 4126U}) {
        EXPECT_EQ(judge(swarm_options(seed)).trouble, "") << "SIM_SEED=" << seed;
    }
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
    std::signal(SIGABRT, name_the_seed);
    const bool wide = last - first >= 1'000;
    Probes probes;
    for (std::uint64_t seed = first; seed < last; ++seed) {
        seed_at_work = seed;
        const Options options = swarm_options(seed);
        const Verdict verdict = judge(options);
        EXPECT_EQ(verdict.trouble, "") << "SIM_SEED=" << seed;
        for (const auto& [probe, times] : verdict.probes) {
            probes[probe] += times;
        }
        if (seed % 100 == 0) {
            EXPECT_EQ(judge(options).trace_hash, verdict.trace_hash)
                << "not deterministic: SIM_SEED=" << seed;
        }
    }
    for (const char* probe : kSometimes) {
        EXPECT_TRUE(!wide || probes.contains(probe))
            << "never happened, so nothing is proven about it: " << probe;
    }
    for (const auto& [probe, times] : probes) {
        std::printf("%10llu %s\n", static_cast<unsigned long long>(times), probe.c_str());
    }
}

}  // namespace
}  // namespace postlane::sim
