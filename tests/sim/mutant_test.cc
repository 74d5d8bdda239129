// Each failure timeline, the mechanism that answers it, and who notices when that mechanism is taken away: the swarm
// within so many seeds, and the timeline's own scenario where the row names one.
//
// A checker that never fails proves nothing.
#include <gtest/gtest-spi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>
#include <sstream>

#include "sim/campaign.h"
#include "sim/scenario.h"
#include "sim/swarm.h"

namespace postlane::sim {
namespace {

constexpr std::uint64_t kWithinSeeds = 500;

struct Row {
    const char* timelines;  // their numbers; empty: one more mechanism
    Mutant mutant;
    const char* mechanism;  // that is gone
    const char* scenario = "";
    bool by_swarm = true;
};

constexpr std::array kRows{
    Row{"1", Mutant::LastCheckNeverRefuses, "the last check before the bytes"},
    Row{"2", Mutant::RevokeDropsResults, "a revoked partition waits for its requests",
        "RebalanceWaitsForRequestsInFlight"},
    Row{"3", Mutant::RestoreBeforeFence, "fence first, then restore"},
    Row{"4", Mutant::StoreBeforeCommit, "the store is written after the commit"},
    Row{"5", Mutant::UnknownTakenForDone, "an unknown commit is found out"},
    Row{"6 26", Mutant::TransportRepeats, "the transport never repeats a request",
        "DeadConnectionSendsNoSecondMail"},
    Row{"7", Mutant::StoreAgeUnchecked, "an old store is rebuilt", "StaleStoreIsRebuilt"},
    Row{"8", Mutant::LedgerDeletes, "the ledger is compacted, never deleted"},
    Row{"9", Mutant::LedgerEndUnchecked, "a ledger without its tail is refused",
        "LedgerWithoutItsTailIsRefused"},
    Row{"10", Mutant::SuppressionsAskedOnce, "suppressions are asked before every attempt"},
    Row{"11", Mutant::SilenceCalledFresh, "fresh is what the broker was asked"},
    Row{"12", Mutant::FirstBodyForgotten, "the first body of an id wins"},
    Row{"13", Mutant::LateStepsAreSent, "a late step is a dead letter"},
    Row{"14", Mutant::ResubscribeAlwaysLifts, "a resubscribe lifts older stops only"},
    Row{"15", Mutant::PartitionCountUnchecked, "the partition count is pinned",
        "ChangedPartitionCountIsRefused"},
    Row{"16", Mutant::OwnClockTrusted, "times are the broker's"},
    Row{"17", Mutant::PoisonStopsPartition, "what cannot be read is a dead letter"},
    Row{"18", Mutant::CircuitNeverOpens, "the circuit breaker", "LongOutageOfTheProvider"},
    Row{"19", Mutant::ResumesAtLatest, "the input goes on where the ledger stands"},
    Row{"20", Mutant::RecordAgeUnchecked, "older than the ledger is refused",
        "SendOlderThanTheLedgerIsRefused"},
    Row{"21", Mutant::KeyAgeUnchecked, "an old key is not replayed", "ExpiredKeyIsNotReplayed"},
    Row{"22", Mutant::NewKeyPerAttempt, "one key for every attempt"},
    Row{"23", Mutant::DiskErrorsIgnored, "a disk error stops the partition"},
    Row{"24", Mutant::StaysAfterRevoke, "nothing in memory outlives a revocation",
        "RapidRevokeAndReassign"},
    Row{"25", Mutant::DrainsTooShort, "a stop waits for its requests", "StopLeavesNothingInDoubt"},
    Row{"27", Mutant::FencedByGroup, "fenced by the ledger, not the group",
        "TwoGroupsOnOneLedgerFenceEachOther"},
    Row{"28", Mutant::AppliedPositionKept, "view and proof go together"},
    Row{"29", Mutant::ProofsOverwritten, "proofs queue up", "SteadySuppressionsDoNotStarveSending"},
    Row{"30", Mutant::EndSeenAtHighWatermark, "a hung transaction holds the proof back"},
    Row{"30", Mutant::EndOffsetsStable, "the end is the high watermark"},
    Row{"31", Mutant::CreditsUnlimited, "a slot before the intent", "CrashLeavesNoBacklogInDoubt"},
    Row{"32", Mutant::RegistryForgets, "the attempt registry"},
    Row{"33", Mutant::RewindsNotNoticed, "input below the ledger's offset is discarded"},
    Row{"34", Mutant::GroupOffsetsIgnored, "an emptied ledger is no first start",
        "LostLedgerIsRefused"},
    Row{"35", Mutant::RenderingUnchecked, "a replay compares the bytes",
        "ChangedRenderingIsNotReplayed"},
    Row{"36", Mutant::SizeUnchecked, "the size is checked on the way in",
        "OversizedRecordEndsAlone"},
    Row{"37", Mutant::ForwardsDropped, "a misrouted suppression is forwarded"},
    Row{"38", Mutant::IdWithoutStep, "the default id has the step"},
    Row{"39", Mutant::LifeCountsFromArrival, "time to live counts from due"},
    Row{"40", Mutant::LanesBlockEachOther, "lanes", "BackOffBlocksNoOtherLane"},
    Row{"", Mutant::LastCheckReadsOldClock, "the last check asks the time itself",
        "ZombieThatHadNotHandedOverIsRefused", false},
    Row{"", Mutant::EndOffsetsOld, "a proof is as of when it was asked"},
    Row{"", Mutant::NoFence, "fencing"},
    Row{"", Mutant::ReadsUncommitted, "a restore reads what is committed"},
    Row{"", Mutant::SharedProcessId, "attempts name their process"},
    Row{"", Mutant::AddressViewAlwaysFresh, "suppressions by address have a proof too"},
    Row{"", Mutant::EspForgetsKeys, "the provider keeps its keys"},
    Row{"", Mutant::AcksInputsEarly, "input is accounted for by the commit"},
};

std::string first_line(const std::string& text) {
    return text.substr(0, text.find('\n'));
}

// What goes wrong in the scenario with the mutant; empty: nothing.
std::string trouble_in_scenario(const Row& row) {
    testing::TestPartResultArray failures;
    {
        testing::ScopedFakeTestPartResultReporter reporter(
            testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &failures);
        mutant_of_scenarios = row.mutant;
        scenarios().at(row.scenario)();
        mutant_of_scenarios = Mutant::None;
    }
    if (failures.size() == 0) {
        return "";
    }
    std::string message = failures.GetTestPartResult(0).message();
    std::replace(message.begin(), message.end(), '\n', ' ');
    return message;
}

std::string trouble_in_swarm(const Row& row, std::FILE* out) {
    for (std::uint64_t seed = 1; seed <= kWithinSeeds; ++seed) {
        fmt::print(out, "{}\n", seed);
        std::fflush(out);
        Options options = swarm_options(seed);
        options.mutant = row.mutant;
        const std::string trouble = judge(options).trouble;
        if (!trouble.empty()) {
            return trouble;
        }
    }
    return "";
}

// A mechanism that is gone may break a rule of the core, which ends the process: that is noticing, too.
struct Caught {
    std::string by;  // empty: nobody
    std::string how;
};
Caught who_catches(const Row& row, bool swarm) {
    const Apart apart = run_apart([&](std::FILE* out) {
        const std::string trouble = swarm ? trouble_in_swarm(row, out) : trouble_in_scenario(row);
        fmt::print(out, "!{}", trouble);
    });
    const auto mark = apart.output.find('!');
    const std::string trouble = mark == std::string::npos ? "" : apart.output.substr(mark + 1);
    if (trouble.empty() && apart.ended_by.empty()) {
        return {};
    }
    std::string by = row.scenario;
    if (swarm) {
        const std::string seeds = apart.output.substr(0, mark);
        const auto last = seeds.find_last_not_of('\n');
        by = "seed " + seeds.substr(seeds.rfind('\n', last) + 1, 4);
        std::erase(by, '\n');
    }
    return {by, trouble.empty() ? apart.ended_by : first_line(trouble)};
}

std::string line_of(const Row& row, bool swarm) {
    const Caught caught = who_catches(row, swarm);
    EXPECT_FALSE(caught.by.empty()) << (swarm ? "the swarm" : row.scenario) << " did not notice "
                                    << to_string(row.mutant) << " (" << row.mechanism << ")";
    return fmt::format("{:<6} {:<46} {:<23} {:<35} {}\n", row.timelines, row.mechanism,
                       to_string(row.mutant), caught.by.empty() ? "NOBODY" : caught.by,
                       caught.how.substr(0, 100));
}

TEST(Mutants, EveryTimelineHasOneThatIsCaught) {
    std::string table = fmt::format("{:<6} {:<46} {:<23} {:<35} {}\n", "line", "mechanism removed",
                                    "mutant", "caught by", "as");
    std::set<int> lines;  // whose mutant the swarm catches
    const char* only = std::getenv("SIM_MUTANT");
    for (const Row& row : kRows) {
        if (only != nullptr && to_string(row.mutant) != only) {
            continue;
        }
        if (row.by_swarm) {
            table += line_of(row, true);
            std::istringstream numbers(row.timelines);
            for (int line = 0; numbers >> line;) {
                lines.insert(line);
            }
        }
        if (*row.scenario != '\0') {
            table += line_of(row, false);
        }
    }
    std::printf("%s", table.c_str());
    constexpr std::size_t kTimelines = 40;
    EXPECT_TRUE(only != nullptr || lines.size() == kTimelines) << "every timeline has a mutant";
}

// Without a mutant, the scenarios hold: otherwise the table would prove nothing.
TEST(Mutants, ScenariosOfTheTableExist) {
    for (const Row& row : kRows) {
        if (*row.scenario != '\0') {
            EXPECT_TRUE(scenarios().contains(row.scenario)) << row.scenario;
        }
    }
}

}  // namespace
}  // namespace postlane::sim
