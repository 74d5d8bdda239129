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

#include "sim/case.h"
#include "sim/checkers.h"
#include "sim/shrink.h"
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

// Once each of these showed a fault, in postlane or in the simulator.
TEST(Swarm, SeedsThatOnceFailed) {
    const auto cases = load_cases(SIM_SEEDS_FOLDER);
    ASSERT_TRUE(cases) << cases.error().detail;
    EXPECT_FALSE(cases->empty());
    for (const NamedCase& one : *cases) {
        EXPECT_EQ(judge(options_of(one.what)).trouble, "") << one.name << ".seed";
    }
}

TEST(Swarm, PromisesHoldWhateverHappens) {
    if (std::getenv("SIM_SEED") != nullptr) {
        Options options = swarm_options(number_from("SIM_SEED", 1));
        options.trace.print = true;
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
        const Verdict verdict = judge_twice_sometimes(swarm_options(seed));
        EXPECT_EQ(verdict.trouble, "") << "SIM_SEED=" << seed;
        for (const auto& [probe, times] : verdict.probes) {
            probes[probe] += times;
        }
    }
    for (const std::string& probe : wide ? never_happened(probes) : std::vector<std::string>()) {
        ADD_FAILURE() << "never happened, so nothing is proven about it: " << probe;
    }
    for (const auto& [probe, times] : probes) {
        std::printf("%10llu %s\n", static_cast<unsigned long long>(times), probe.c_str());
    }
}

// When a message arrived, and so which proof of freshness it needs, is known only after the poll that brought it.
TEST(Swarm, PromisesHoldWhereThreadsStopInTheMiddleOfAPoll) {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        Options options = swarm_options(seed);
        options.faults.slow_polls = 0.05;
        EXPECT_EQ(judge(options).trouble, "") << "seed " << seed;
    }
}

// Any seed, as it could be kept.
TEST(Case, IsReadAsItIsWritten) {
    Case one;
    one.seed = 4711;
    one.luck = 3;
    one.without = {"kills", "pauses"};
    one.messages = 4;
    one.suppressions = 0;
    one.duration_ms = 2'500;
    one.note = "G3: executed twice\nG1: out of order\n";
    const auto read = parse_case(to_text(one));
    ASSERT_TRUE(read) << read.error().detail;
    EXPECT_EQ(to_text(*read), to_text(one));
    EXPECT_EQ(options_of(*read).faults.kills, 0);
    EXPECT_LE(options_of(*read).traffic.messages, 4U);
}

TEST(Case, RefusesWhatItDoesNotKnow) {
    for (const char* text : {"seed", "seed x", "without rain", "messages -1", "weather 3"}) {
        EXPECT_FALSE(parse_case(text)) << text;
    }
}

// A planted fault needs one kind of trouble and one message; everything else goes.
TEST(Shrink, LeavesOnlyWhatTheFailureNeeds) {
    const Judge judge = [](const Case& one) -> std::string {
        const Options options = options_of(one);
        return options.faults.kills > 0 && options.traffic.messages >= 3 ? "G3: planted" : "";
    };
    Case failing;
    while (judge(failing).empty()) {
        failing.seed += 1;
    }
    const Shrunk shrunk = shrink(failing, judge(failing), judge, 1'000);
    const Options options = options_of(shrunk.smallest);
    EXPECT_EQ(judge(shrunk.smallest), "G3: planted");
    EXPECT_EQ(shrunk.smallest.note, "G3: planted");
    EXPECT_LE(options.traffic.messages, 4U);
    EXPECT_EQ(options.traffic.suppressions, 0U);
    EXPECT_EQ(options.instances, 1);
    for (const FaultClass& each : fault_classes()) {
        EXPECT_EQ(options.faults.*each.magnitude > 0, each.name == "kills") << each.name;
    }
}

}  // namespace
}  // namespace postlane::sim
