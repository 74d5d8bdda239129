#include "sim/mutants.h"

#include <array>

namespace postlane::sim {
namespace {

// In the order of the enumerators.
constexpr std::array kNames{
    "None",
    "LastCheckNeverRefuses",
    "LastCheckReadsOldClock",
    "EndOffsetsOld",
    "EndOffsetsStable",
    "EndSeenAtHighWatermark",
    "NoFence",
    "RestoreBeforeFence",
    "ReadsUncommitted",
    "StoreBeforeCommit",
    "SharedProcessId",
    "RegistryForgets",
    "TransportRepeats",
    "AddressViewAlwaysFresh",
    "LedgerDeletes",
    "EspForgetsKeys",
    "AcksInputsEarly",
    "RevokeDropsResults",
    "UnknownTakenForDone",
    "StoreAgeUnchecked",
    "LedgerEndUnchecked",
    "SuppressionsAskedOnce",
    "SilenceCalledFresh",
    "FirstBodyForgotten",
    "LateStepsAreSent",
    "ResubscribeAlwaysLifts",
    "PartitionCountUnchecked",
    "OwnClockTrusted",
    "PoisonStopsPartition",
    "CircuitNeverOpens",
    "ResumesAtLatest",
    "RecordAgeUnchecked",
    "KeyAgeUnchecked",
    "NewKeyPerAttempt",
    "DiskErrorsIgnored",
    "StaysAfterRevoke",
    "DrainsTooShort",
    "FencedByGroup",
    "AppliedPositionKept",
    "ProofsOverwritten",
    "CreditsUnlimited",
    "RewindsNotNoticed",
    "GroupOffsetsIgnored",
    "RenderingUnchecked",
    "SizeUnchecked",
    "ForwardsDropped",
    "IdWithoutStep",
    "LifeCountsFromArrival",
    "LanesBlockEachOther",
};
static_assert(kNames.size() == static_cast<std::size_t>(Mutant::LanesBlockEachOther) + 1);

}  // namespace

std::string_view to_string(Mutant mutant) {
    return kNames.at(static_cast<std::size_t>(mutant));
}

}  // namespace postlane::sim
