// What the ledger remembers: one struct per kind of row. docs/ledger-format.md has the bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "postlane/event.h"
#include "postlane/message_state.h"
#include "postlane/types.h"

namespace postlane {

// The input record, kept until its message ends: a dead letter needs it byte for byte.
struct Payload {
    Instant timestamp{};
    std::string value;
    std::vector<Header> headers;
};

// A committed promise to hand the message over at most once, before `deadline` from its commit.
// Durations, not times: a successor counts them on its own clock.
struct Intent {
    AttemptId attempt;
    std::string provider;
    Millis deadline{};
    Millis timeout{};
    Hash128 request_hash{};
    friend bool operator==(const Intent&, const Intent&) = default;
};

// One logical message. Payload, intent and times that only matter before the end are dropped when it ends.
struct MessageRow {
    MessageState state = MessageState::Ready;
    Reason reason = Reason::None;
    Hash128 body_hash{};
    Offset input_offset = 0;  // of the input that made it
    std::optional<SequenceRef> sequence;
    std::string category;
    std::string campaign_id;
    std::string route;
    std::string provider;              // that took it, or of the last attempt
    std::string provider_message_id;   // once sent
    std::uint32_t attempts = 0;        // that the last check let pass
    std::uint32_t route_position = 0;  // providers before it rejected for good
    bool maybe_executed = false;       // at least one of them has no known result
    bool ended_ahead = false;          // ended while a lower step of its sequence had not
    bool outside_sequence = false;     // its step was never its: late, conflicting
    Instant received_at{};
    Instant decided_at{};  // of the latest state
    Instant due_at{};
    Instant expires_at{};                     // time to live; fixed once the step is expected
    std::optional<Instant> expires_at_given;  // from the event
    Instant wake_at{};                        // due, gap timer, retry; the epoch: never
    Instant first_attempt_at{};               // when the provider may first have seen the key
    std::vector<Step> skipped_steps;          // passed over before this one, named by its outcome
    std::optional<Intent> intent;             // of the open or last undecided attempt
    std::shared_ptr<const Payload>
        payload;               // null once ended; shared, so that a row is copied without it
    Instant row_expires_at{};  // ended rows: when the ledger forgets
};

// Progress of one (recipient, sequence).
//
//   expected .. known_through   steps that are live, ended ahead, or skipped (no step row)
//   > known_through + 1         held: something below is missing
struct SequenceRow {
    Step expected = 1;
    Step known_through = 0;
    std::uint32_t held = 0;  // live steps above known_through
    Instant last_end_at{};   // acceptance if sent, else decision; the epoch: no step ended yet
    struct Halt {
        Reason reason = Reason::None;
        Step step = 0;
        Instant until{};
    };
    std::optional<Halt> halt;
    std::vector<Step> skipped_steps;  // no outcome named them yet; at most kSkippedMax
    Instant row_expires_at{};
};
inline constexpr std::size_t kSkippedMax = 100;

// Which message holds a step. Derived from message rows, local to the store.
struct StepEntry {
    Step step = 0;
    MessageId message_id;
    bool ended = false;  // ended ahead of its turn
};

// Everything known about one recipient's (or one address's) suppressions.
struct SuppressionRow {
    struct Entry {
        Scope scope;
        SuppressionReason reason = SuppressionReason::Manual;
        Instant occurred_at{};
        std::optional<Instant> expires_at;
        friend bool operator==(const Entry&, const Entry&) = default;
    };
    // An unsuppress that was seen; older suppressions it matches stay cleared whenever they arrive.
    struct Clearing {
        std::optional<Scope> scope;               // absent: every scope
        std::optional<SuppressionReason> reason;  // absent: every reason
        Instant occurred_at{};
        friend bool operator==(const Clearing&, const Clearing&) = default;
    };
    std::vector<Entry> entries;
    std::vector<Clearing> clearings;
    friend bool operator==(const SuppressionRow&, const SuppressionRow&) = default;
};

// The next input offset of each input topic, as of the transaction that wrote it.
struct OffsetsRow {
    Offset sends = 0;
    Offset suppressions = 0;
    friend bool operator==(const OffsetsRow&, const OffsetsRow&) = default;
};

// The first record of a ledger partition.
struct GenesisRow {
    Hash128 uuid{};
    std::int32_t partition_count = 0;
    std::string partitioner;
    std::uint8_t format = 1;
    friend bool operator==(const GenesisRow&, const GenesisRow&) = default;
};

}  // namespace postlane
