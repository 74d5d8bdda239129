#include "core/decision.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "core/sequence.h"

namespace postlane {

void violated(const char* rule) {
    std::fputs("postlane: an internal rule was violated, stopping before anything is sent: ",
               stderr);
    std::fputs(rule, stderr);
    std::fputc('\n', stderr);
    std::abort();
}

void Decision::become(MessageRow& row, MessageState state) const {
    if (row.state != state && !can_become(row.state, state)) {
        violated("message states change as the table in message_state.cc says");
    }
    row.state = state;
    row.decided_at = now();
}

void Decision::keep(const MessageId& id, MessageRow row, MessageState state, Instant wake_at) {
    become(row, state);
    row.wake_at = wake_at;
    add(PutMessage{id, std::move(row)});
}

std::optional<SequenceRow> Decision::sequence(std::string_view sequence_id) const {
    for (auto effect = effects_.rbegin(); effect != effects_.rend(); ++effect) {
        const auto* put = std::get_if<PutSequence>(&*effect);
        if (put != nullptr && put->sequence_id == sequence_id) {
            return put->row;
        }
    }
    return view_.sequence(sequence_id);
}

OutcomeRecord Decision::outcome_of_row(const MessageId& id, const MessageRow& row, Outcome outcome,
                                       Reason reason) const {
    OutcomeRecord record;
    record.outcome = outcome;
    record.reason = reason;
    record.recipient_id = recipient();
    record.message_id = id;
    record.campaign_id = row.campaign_id;
    record.sequence = row.sequence;
    record.category = row.category;
    record.route = row.route;
    record.provider = row.provider;
    record.provider_message_id = row.provider_message_id;
    record.attempts = row.attempts;
    record.input_offset = row.input_offset;
    record.received_at = row.received_at;
    record.decided_at = now();
    return record;
}

void Decision::end(const MessageId& id, MessageRow row, Ending ending) {
    become(row, ending.state);
    row.reason = ending.reason;

    if (ending.state == MessageState::DeadLettered) {
        DeadLetter letter;
        letter.reason = ending.reason;
        letter.detail = std::move(ending.detail);
        letter.attempts = row.attempts;
        letter.message_id = id;
        if (ending.record != nullptr) {
            letter.record = *ending.record;
        } else if (row.payload) {
            letter.record.offset = row.input_offset;
            letter.record.timestamp = row.payload->timestamp;
            letter.record.key = recipient().value();
            letter.record.value = row.payload->value;
            letter.record.headers = row.payload->headers;
        } else {
            violated("a dead letter has its record");
        }
        add(std::move(letter));
    }

    OutcomeRecord outcome =
        outcome_of_row(id, row, postlane::outcome_of(ending.state), ending.reason);
    outcome.checked = ending.checked;
    outcome.suppression = std::move(ending.suppression);
    outcome.skipped_steps = std::exchange(row.skipped_steps, {});
    add(std::move(outcome));

    row.payload.reset();
    row.intent.reset();
    row.wake_at = {};
    row.row_expires_at = now() + config().ledger.retention_days;

    if (row.sequence && !row.outside_sequence) {
        step_ended(*this, *row.sequence, row, ending.ended_at.value_or(now()));
    }
    add(PutMessage{id, std::move(row)});
}

Timing timing_of(const SendEvent& event, Instant recorded_at, Instant previous_end,
                 const Config& config) {
    Instant due = std::max(recorded_at, event.send_at.value_or(recorded_at));
    if (event.sequence && previous_end != Instant{}) {
        due = std::max(due, previous_end + event.delay_after_previous.value_or(Millis{0}));
        due = std::max(due, previous_end + config.ordering.min_spacing);
    }
    return Timing{due, event.expires_at.value_or(due + config.dispatch.default_ttl)};
}

SuppressionGate::Verdict ask_gate(const Decision& decision, const SendEvent& event) {
    const auto by_recipient = decision.view().suppressions();
    const auto by_address = decision.view().address_suppressions(event.address);
    const Mail mail{event.category,
                    event.sequence ? std::string_view(event.sequence->id) : std::string_view()};
    return SuppressionGate::check(
        by_recipient ? &*by_recipient : nullptr, by_address ? &*by_address : nullptr, mail,
        decision.config().suppression.transactional_categories, decision.now());
}

void place(Decision& decision, const MessageId& id, MessageRow row, const SendEvent& event,
           bool at_acceptance) {
    if (decision.now() >= row.expires_at) {
        decision.end(id, std::move(row),
                     {.state = MessageState::Expired, .reason = Reason::TtlPassed});
        return;
    }
    if (at_acceptance) {
        if (auto verdict = ask_gate(decision, event); !verdict.clearance) {
            decision.end(id, std::move(row),
                         {.state = MessageState::SuppressedAtSend,
                          .reason = Reason::Suppressed,
                          .checked = CheckedAt::Acceptance,
                          .suppression = std::move(verdict.hit)});
            return;
        }
    }
    const bool due = row.due_at <= decision.now();
    const Instant wake_at = std::min(row.due_at, row.expires_at);
    decision.keep(id, std::move(row), due ? MessageState::Ready : MessageState::Scheduled, wake_at);
}

}  // namespace postlane
