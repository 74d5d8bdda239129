// Mechanisms that can be taken away, one at a time, to see that the checkers notice.
//
// Most are taken away through the simulated ports; the production code is the same. Some lie inside the runtime or the
// core: mechanisms.cc, which is linked into the tests alone, stands before the function that has them.
#pragma once

#include <cstdint>
#include <string_view>

namespace postlane::sim {

enum class Mutant : std::uint8_t {
    None,
    LastCheckNeverRefuses,    // the hook lets everything pass
    LastCheckReadsOldClock,   // deadline and staleness are judged by the time of submission
    EndOffsetsOld,            // answers with what was true a while ago
    EndOffsetsStable,         // answers with the last stable offset
    EndSeenAtHighWatermark,   // a hung transaction does not hold back "nothing more is there"
    NoFence,                  // init_transactions fences nobody
    RestoreBeforeFence,       // the end of the ledger is read, then the predecessor is fenced
    ReadsUncommitted,         // a restore takes aborted records for true
    StoreBeforeCommit,        // the store learns what was never committed
    SharedProcessId,          // a new process takes its predecessor's attempts for its own
    RegistryForgets,          // results vanish before they are committed
    TransportRepeats,         // a dead pooled connection makes the transport send again by itself
    AddressViewAlwaysFresh,   // suppressions by address are called fresh unread
    LedgerDeletes,            // cleanup.policy=delete: old rows vanish
    EspForgetsKeys,           // the provider forgets keys long before it promised
    AcksInputsEarly,          // records vanish from the input between poll and commit
    RevokeDropsResults,       // a revoked partition does not wait for its requests
    UnknownTakenForDone,      // a commit without an answer is believed
    StoreAgeUnchecked,        // a store that was away for long is trusted
    LedgerEndUnchecked,       // nobody notices that the ledger lost its tail
    SuppressionsAskedOnce,    // a second attempt does not ask again
    SilenceCalledFresh,       // nobody asks where a topic ends: what was read is all there is
    FirstBodyForgotten,       // an id with another body is a new message
    LateStepsAreSent,         // a step that was passed over goes when it comes
    ResubscribeAlwaysLifts,   // whatever its time
    PartitionCountUnchecked,  // the ledger's partition count is not compared
    OwnClockTrusted,          // the broker's time is never learnt
    PoisonStopsPartition,     // what cannot be read is tried again
    CircuitNeverOpens,        // a failing provider is tried again at once, by the next message
    ResumesAtLatest,          // the input goes on at its end, not where the ledger stands
    RecordAgeUnchecked,       // a send older than the ledger's memory is admitted
    KeyAgeUnchecked,          // a key is replayed however old it is
    NewKeyPerAttempt,         // every attempt has a key of its own
    DiskErrorsIgnored,        // what the store did not take is forgotten
    StaysAfterRevoke,         // a revoked partition is kept and taken up again as it was
    DrainsTooShort,           // a stopping process does not wait for its requests
    FencedByGroup,            // transactional ids differ between processes
    AppliedPositionKept,  // a restart drops the view of suppressions and keeps how far it had come
    ProofsOverwritten,    // a new question replaces the proof that was not reached yet
    CreditsUnlimited,     // intents are committed without a slot
    RewindsNotNoticed,    // input below the ledger's next offset is taken again
    GroupOffsetsIgnored,  // an empty ledger always looks like a first start
    RenderingUnchecked,   // a replay does not compare the bytes
    SizeUnchecked,        // oversized records are taken in
    ForwardsDropped,      // a suppression with the wrong key goes nowhere
    IdWithoutStep,        // the default message id leaves out the step
    LifeCountsFromArrival,  // the time to live begins before a message is due
    LanesBlockEachOther,    // one message that backs off holds back all mail of its recipient
};
[[nodiscard]] std::string_view to_string(Mutant mutant);

// Of the world that is running.
inline Mutant mutant_at_work = Mutant::None;

}  // namespace postlane::sim
