// What the runtime counts. Every method is thread-safe and cheap; series exist at 0 from the start.
#pragma once

#include <cstdint>
#include <string_view>

#include "postlane/answer.h"
#include "postlane/reason.h"
#include "postlane/types.h"

namespace postlane {

enum class InputTopic : std::uint8_t { Sends, Suppressions, AddressSuppressions };

enum class PartitionState : std::uint8_t { Fencing, Restoring, Running, Draining, Stopped };

class Metrics {
public:
    virtual ~Metrics() = default;
    virtual void consumed(InputTopic topic, std::uint64_t records) = 0;
    // A record of the address-suppressions topic that suppresses nobody.
    virtual void address_suppression_rejected(Reason why) = 0;
    virtual void outcome(Outcome outcome, Reason reason) = 0;
    virtual void attempt(std::string_view provider, AnswerClass result) = 0;
    virtual void send_duration(std::string_view provider, double seconds) = 0;
    // From the moment the message was due and received to the provider's acceptance.
    virtual void dispatch_latency(double seconds) = 0;
    virtual void ambiguous(std::string_view provider) = 0;
    virtual void out_of_order() = 0;
    virtual void gap() = 0;
    virtual void duplicate() = 0;
    virtual void payload_conflict() = 0;
    virtual void held(PartitionId partition, std::int64_t now_held) = 0;
    virtual void in_flight(PartitionId partition, std::int64_t open_intents) = 0;
    virtual void staleness(PartitionId partition, double seconds) = 0;
    virtual void lag(InputTopic topic, PartitionId partition, std::int64_t records) = 0;
    virtual void ledger_write(double seconds, std::uint64_t records) = 0;
    virtual void partition_state(PartitionId partition, PartitionState state) = 0;
    virtual void restore_progress(PartitionId partition, std::int64_t remaining_records) = 0;
    virtual void partition_restarted(PartitionId partition) = 0;
    virtual void rebalanced(std::string_view kind) = 0;  // assigned, revoked, lost
    virtual void circuit(std::string_view provider, bool open) = 0;
    // The partition is no longer here: its per-partition gauges go away.
    virtual void partition_gone(PartitionId partition) = 0;
};

}  // namespace postlane
