// A record of the sends topic: the order of checks is protocol law (docs/architecture.md, "Order of checks").
// Checks 1-5 were made while decoding; here are 6-11, in that order.
#include <algorithm>

#include "core/decision.h"
#include "core/sequence.h"

namespace postlane {
namespace {

// Checks 1-5 failed: a dead letter with the original bytes, an outcome, and no row.
void reject(Decision& decision, const SendReceived& input) {
    const Rejection& rejection = input.decoded.error();
    DeadLetter letter;
    letter.reason = rejection.reason;
    letter.detail = rejection.detail;
    letter.record = input.record;

    OutcomeRecord outcome;
    outcome.outcome = Outcome::DeadLettered;
    outcome.reason = rejection.reason;  // recipient: the raw key, if it is text
    outcome.input_offset = input.record.offset;
    outcome.received_at = input.received_at;
    outcome.decided_at = decision.now();
    if (const auto& message = rejection.message) {
        letter.message_id = message->id;
        outcome.message_id = message->id;
        outcome.campaign_id = message->campaign_id;
        outcome.sequence = message->sequence;
        outcome.category = message->category;
        outcome.route = message->route;
    }
    decision.add(std::move(letter));
    decision.add(std::move(outcome));
}

MessageRow new_row(const SendReceived& input, const SendEvent& event) {
    MessageRow row;
    row.body_hash = event.body_hash;
    row.input_offset = input.record.offset;
    row.sequence = event.sequence;
    row.category = event.category;
    row.campaign_id = event.campaign_id;
    row.route = event.route;
    row.received_at = input.received_at;
    row.expires_at_given = event.expires_at;
    row.payload = std::make_shared<const Payload>(
        Payload{input.record.timestamp, input.record.value.value_or(""), input.record.headers});
    return row;
}

// Check 6. The outcome belongs to this input; `original` names the one that made the message.
void report_duplicate(Decision& decision, const SendReceived& input, const MessageRow& known) {
    const SendEvent& event = *input.decoded;
    const bool same_body = known.body_hash == event.body_hash;
    OutcomeRecord outcome =
        decision.outcome_of_row(event.message_id, new_row(input, event), Outcome::Duplicate,
                                same_body ? Reason::KnownMessage : Reason::PayloadConflict);
    outcome.original = OutcomeRecord::Original{known.input_offset, known.state};
    decision.add(std::move(outcome));
    decision.add(Count{Count::What::Duplicate});
    if (!same_body) {
        decision.add(Count{Count::What::PayloadConflict});
    }
}

// Its step cannot be held by this message, so the sequence stays as it is.
void dead_letter(Decision& decision, const SendReceived& input, Reason reason, std::string detail) {
    MessageRow row = new_row(input, *input.decoded);
    row.outside_sequence = true;
    decision.end(input.decoded->message_id, std::move(row),
                 {.state = MessageState::DeadLettered,
                  .reason = reason,
                  .record = &input.record,
                  .detail = std::move(detail)});
}

// Waits for lower steps. A held one also has a gap timer, unless the configuration waits for ever.
void hold(Decision& decision, const SendReceived& input, MessageRow row, bool held) {
    const config::Ordering& ordering = decision.config().ordering;
    Instant wake_at = row.expires_at_given.value_or(Instant{});
    if (held) {
        decision.add(Count{Count::What::Gap});
        const Instant gap_ends =
            input.received_at +
            (ordering.on_gap == config::OnGap::Wait ? ordering.max_halt : ordering.max_wait);
        wake_at = wake_at == Instant{} ? gap_ends : std::min(wake_at, gap_ends);
    }
    decision.keep(input.decoded->message_id, std::move(row),
                  held ? MessageState::Held : MessageState::Waiting, wake_at);
}

// Checks 9-11 of a message whose turn it is.
void accept(Decision& decision, const SendReceived& input, MessageRow row, Instant previous_end) {
    const SendEvent& event = *input.decoded;
    const Instant recorded_at = std::min(input.record.timestamp, input.received_at);
    const Timing timing = timing_of(event, recorded_at, previous_end, decision.config());
    row.due_at = timing.due_at;
    row.expires_at = timing.expires_at;
    place(decision, event.message_id, std::move(row), event, /*at_acceptance=*/true);
}

// Check 8.
void admit_step(Decision& decision, const SendReceived& input) {
    const SequenceRef& ref = *input.decoded->sequence;
    SequenceRow sequence = sequence_row(decision, ref.id, ref.step);
    const StepPlace where = enter_step(decision, ref.id, ref.step, sequence);
    switch (where) {
        case StepPlace::Late:
            decision.add(Count{Count::What::OutOfOrder});
            dead_letter(decision, input, Reason::LateStep,
                        "the sequence has already passed this step");
            return;
        case StepPlace::Taken:
            if (ref.step > sequence.known_through + 1) {
                decision.add(Count{Count::What::Gap});
            }
            dead_letter(decision, input, Reason::StepConflict,
                        "another message id holds this step");
            return;
        case StepPlace::Overflow:
            decision.add(Count{Count::What::Gap});
            dead_letter(decision, input, Reason::HeldOverflow,
                        "too many steps of this sequence wait for a missing one");
            return;
        case StepPlace::Held:
        case StepPlace::Waiting:
            write_sequence(decision, ref.id, std::move(sequence));
            hold(decision, input, new_row(input, *input.decoded), where == StepPlace::Held);
            return;
        case StepPlace::Eligible:
            break;
    }
    MessageRow row = new_row(input, *input.decoded);
    row.skipped_steps = std::exchange(sequence.skipped_steps, {});
    const Instant previous_end = sequence.last_end_at;
    write_sequence(decision, ref.id, std::move(sequence));
    accept(decision, input, std::move(row), previous_end);
}

// Check 7. It counts as an expired step where its sequence still waits for it, else newer steps would wait in vain.
void expire_as_too_old(Decision& decision, const SendReceived& input) {
    MessageRow row = new_row(input, *input.decoded);
    if (row.sequence) {
        SequenceRow sequence = sequence_row(decision, row.sequence->id, row.sequence->step);
        const StepPlace where =
            enter_step(decision, row.sequence->id, row.sequence->step, sequence);
        row.outside_sequence =
            where == StepPlace::Late || where == StepPlace::Taken || where == StepPlace::Overflow;
        if (!row.outside_sequence) {
            write_sequence(decision, row.sequence->id, std::move(sequence));
        }
    }
    decision.end(input.decoded->message_id, std::move(row),
                 {.state = MessageState::Expired, .reason = Reason::OlderThanLedger});
}

}  // namespace

void on(Decision& decision, const SendReceived& input) {
    if (!input.decoded) {
        reject(decision, input);
        return;
    }
    const SendEvent& event = *input.decoded;
    // 6: known already? What ended as a dead letter may be admitted again; that is what a replay does.
    const auto known = decision.view().message(event.message_id);
    if (known && known->state != MessageState::DeadLettered) {
        report_duplicate(decision, input, *known);
        return;
    }
    // 7: the ledger would have forgotten it by now, so not knowing it proves nothing.
    if (input.record.timestamp < decision.now() - decision.config().ledger.retention_days) {
        expire_as_too_old(decision, input);
        return;
    }
    // 8: its place in the sequence, then 9-11.
    if (event.sequence) {
        admit_step(decision, input);
    } else {
        accept(decision, input, new_row(input, event), Instant{});
    }
}

}  // namespace postlane
