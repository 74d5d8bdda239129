// Each mechanism taken away, through the ports: the checkers must notice within so many seeds of the same swarm.
// A checker that never fails proves nothing; the printed table says at which seed each mutant was caught.
#include <gtest/gtest.h>

#include <ostream>

#include "sim/swarm.h"

namespace postlane::sim {

void PrintTo(Mutant mutant, std::ostream* out) {
    *out << to_string(mutant);
}

namespace {

constexpr std::uint64_t kWithinSeeds = 500;

class Mutants : public testing::TestWithParam<Mutant> {};

TEST_P(Mutants, IsCaught) {
    for (std::uint64_t seed = 1; seed <= kWithinSeeds; ++seed) {
        Options options = swarm_options(seed);
        options.mutant = GetParam();
        const Verdict verdict = judge(options);
        if (!verdict.trouble.empty()) {
            std::printf("mutant %-24s caught at seed %3llu: %s\n",
                        std::string(to_string(GetParam())).c_str(),
                        static_cast<unsigned long long>(seed),
                        verdict.trouble.substr(0, verdict.trouble.find('\n')).c_str());
            return;
        }
    }
    FAIL() << "nobody noticed that " << to_string(GetParam()) << " within " << kWithinSeeds
           << " seeds";
}

INSTANTIATE_TEST_SUITE_P(
    Table, Mutants,
    testing::Values(Mutant::LastCheckNeverRefuses, Mutant::LastCheckReadsOldClock,
                    Mutant::EndOffsetsOld, Mutant::EndOffsetsStable, Mutant::EndSeenAtHighWatermark,
                    Mutant::NoFence, Mutant::RestoreBeforeFence, Mutant::ReadsUncommitted,
                    Mutant::StoreBeforeCommit, Mutant::SharedProcessId, Mutant::RegistryForgets,
                    Mutant::TransportRepeats, Mutant::AddressViewAlwaysFresh, Mutant::LedgerDeletes,
                    Mutant::EspForgetsKeys, Mutant::AcksInputsEarly),
    [](const auto& row) { return std::string(to_string(row.param)); });

}  // namespace
}  // namespace postlane::sim
