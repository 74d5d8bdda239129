// What the core asks the runtime to do. All of one step's effects become durable together, in one
// Kafka transaction; SendEmail is acted on only after that transaction is known to be committed.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "postlane/event.h"
#include "postlane/rows.h"
#include "postlane/suppression_gate.h"
#include "postlane/types.h"

namespace postlane {

struct PutMessage {
    MessageId message_id;
    MessageRow row;
};
struct PutSequence {
    std::string sequence_id;
    SequenceRow row;
};
struct PutSuppressions {
    SuppressionRow row;
};
// The step has been passed: its local entry may go.
struct ForgetStep {
    std::string sequence_id;
    Step step;
};

enum class CheckedAt : std::uint8_t { Acceptance, Attempt };

struct OutcomeRecord {
    Outcome outcome = Outcome::Sent;
    Reason reason = Reason::None;
    std::optional<RecipientId> recipient_id;  // absent only where the key is no UTF-8
    std::optional<MessageId> message_id;      // absent where the record did not parse
    std::string campaign_id;
    std::optional<SequenceRef> sequence;
    std::string category;
    std::string route;
    std::string provider;
    std::string provider_message_id;
    std::uint32_t attempts = 0;  // above 0, the encoder adds the idempotency key
    Offset input_offset = 0;
    Instant received_at{};
    Instant decided_at{};
    std::optional<CheckedAt> checked;
    std::optional<SuppressionHit> suppression;
    std::vector<Step> skipped_steps;
    struct Original {
        Offset input_offset = 0;
        MessageState state = MessageState::Ready;
    };
    std::optional<Original> original;  // duplicates only
};

struct DeadLetter {
    Reason reason = Reason::None;
    std::string detail;              // for people; never a value of the record
    bool from_suppressions = false;  // which input topic
    InputRecord record;  // whole; the Kafka adapter omits what would not fit, and names it
    std::uint32_t attempts = 0;
    std::optional<MessageId> message_id;
};

struct SuppressionReceipt {
    enum class Result : std::uint8_t { Applied, Superseded, Forwarded, Rejected };
    Result result = Result::Applied;
    Reason reason = Reason::None;
    std::optional<RecipientId> recipient_id;
    Offset input_offset = 0;
    Instant decided_at{};
};

// A suppression whose key belongs to another partition travels there, whole, in the same transaction.
struct ForwardSuppression {
    PartitionId target = 0;
    InputRecord record;
};

// Hand this message to the provider, once, now. Holds a Clearance, so it cannot be made without
// the suppression check, and is never stored: a retry must ask again.
struct SendEmail {
    MessageId message_id;
    Intent intent;
    Clearance clearance;
};

// Later in the same batch: look at this message of the sequence, its turn has come.
struct ReachStep {
    std::string sequence_id;
    MessageId message_id;
};
// Later in the same batch: end the next messages that wait in a sequence whose halt is over.
struct EndHalt {
    std::string sequence_id;
};

// Counted once the transaction is committed.
struct Count {
    enum class What : std::uint8_t { OutOfOrder, Gap, Duplicate, PayloadConflict };
    What what = What::Duplicate;
};

using Effect =
    std::variant<PutMessage, PutSequence, PutSuppressions, ForgetStep, OutcomeRecord, DeadLetter,
                 SuppressionReceipt, ForwardSuppression, SendEmail, ReachStep, EndHalt, Count>;
using Effects = std::vector<Effect>;

}  // namespace postlane
