// What passing time, or a step's turn, does to messages that wait.
#include <algorithm>

#include "core/decision.h"
#include "core/sequence.h"

namespace postlane {
namespace {

// A halt may leave thousands of steps behind; they end in slices so that no batch grows without bound.
constexpr int kHaltSlice = 64;

void gap_timer_fired(Decision& decision, const MessageId& id, MessageRow row) {
    const SequenceRef ref = *row.sequence;
    SequenceRow sequence = sequence_row(decision, ref.id, ref.step);
    const Instant expires = row.expires_at_given.value_or(Instant{});
    if (!is_held(sequence, ref.step)) {
        decision.keep(id, std::move(row), MessageState::Waiting, expires);
        return;
    }
    switch (decision.config().ordering.on_gap) {
        case config::OnGap::DeadLetter:
            decision.end(id, std::move(row),
                         {.state = MessageState::DeadLettered,
                          .reason = Reason::GapTimeout,
                          .detail = "a lower step did not arrive within ordering.max_wait_ms"});
            return;
        case config::OnGap::Skip:
            decision.keep(id, std::move(row), MessageState::Waiting, expires);
            skip_gaps_below(decision, ref, sequence);
            write_sequence(decision, ref.id, std::move(sequence));
            return;
        case config::OnGap::Wait: {
            const Instant until = row.received_at + decision.config().ordering.max_halt;
            if (decision.now() >= until) {
                decision.end(id, std::move(row),
                             {.state = MessageState::Expired, .reason = Reason::SequenceHalted});
                return;
            }
            decision.keep(id, std::move(row), MessageState::Held,
                          expires == Instant{} ? until : std::min(expires, until));
            return;
        }
    }
}

}  // namespace

void on(Decision& decision, const Woke& input) {
    auto row = decision.view().message(input.message_id);
    if (!row || has_ended(row->state) || row->state == MessageState::Sending) {
        return;  // a hint that came too late
    }
    const bool behind = row->state == MessageState::Held || row->state == MessageState::Waiting;
    const Instant expires =
        behind ? row->expires_at_given.value_or(Instant::max()) : row->expires_at;
    if (decision.now() >= expires) {
        const bool doubt = row->maybe_executed;
        decision.end(input.message_id, *std::move(row),
                     {.state = doubt ? MessageState::Ambiguous : MessageState::Expired,
                      .reason = doubt ? Reason::ExpiredWhileInDoubt : Reason::TtlPassed});
        return;
    }
    if (row->state == MessageState::Held && row->wake_at <= decision.now()) {
        gap_timer_fired(decision, input.message_id, *std::move(row));
    }
}

void on(Decision& decision, const StepReached& input) {
    auto row = decision.view().message(input.message_id);
    const auto sequence = decision.view().sequence(input.sequence_id);
    const bool behind = row &&
                        (row->state == MessageState::Held || row->state == MessageState::Waiting) &&
                        row->sequence;
    if (!behind || !sequence || sequence->halt || sequence->expected != row->sequence->step) {
        return;
    }
    SequenceRow left = *sequence;
    row->skipped_steps = std::exchange(left.skipped_steps, {});
    if (!row->skipped_steps.empty()) {
        write_sequence(decision, input.sequence_id, left);
    }
    const Instant recorded_at = std::min(row->payload->timestamp, row->received_at);
    const Timing timing =
        timing_of(input.event, recorded_at, sequence->last_end_at, decision.config());
    row->due_at = timing.due_at;
    row->expires_at = timing.expires_at;
    if (!input.event.expires_at) {
        // The default time to live does not count while a missing step was waited for; but an outage, or an old topic,
        // makes no step younger.
        const Millis waited = std::clamp(decision.now() - row->received_at, Millis{0},
                                         decision.config().ordering.max_wait);
        row->expires_at = std::max(row->expires_at,
                                   recorded_at + waited + decision.config().dispatch.default_ttl);
    }
    place(decision, input.message_id, *std::move(row), input.event, /*at_acceptance=*/false);
}

// What waited behind the halted step has waited long enough; then the sequence is free for new steps.
void on(Decision& decision, const HaltOver& input) {
    auto sequence = decision.view().sequence(input.sequence_id);
    if (!sequence || !sequence->halt || sequence->halt->until > decision.now()) {
        return;
    }
    const std::string sequence_id(input.sequence_id);
    Step from = sequence->expected;
    for (int ended = 0; ended < kHaltSlice; ++ended) {
        const auto entry = decision.view().next_step(sequence_id, from);
        if (!entry || entry->step > sequence->known_through) {
            note_skipped(*sequence, from, sequence->known_through);
            sequence->expected = sequence->known_through + 1;
            sequence->halt.reset();
            write_sequence(decision, sequence_id, *std::move(sequence));
            return;
        }
        note_skipped(*sequence, from, entry->step - 1);
        from = entry->step + 1;
        if (entry->ended) {
            decision.add(ForgetStep{sequence_id, entry->step});
            continue;
        }
        auto row = decision.view().message(entry->message_id);
        if (!row) {
            violated("a step entry has its message");
        }
        row->skipped_steps = std::exchange(sequence->skipped_steps, {});
        // The row of the sequence is ahead of it already, so that its end moves nothing.
        sequence->expected = from;
        sequence->last_end_at = decision.now();
        write_sequence(decision, sequence_id, *sequence);
        decision.end(entry->message_id, *std::move(row),
                     {.state = MessageState::Expired, .reason = Reason::SequenceHalted});
    }
    sequence->expected = from;
    write_sequence(decision, sequence_id, *std::move(sequence));
    decision.add(EndHalt{sequence_id});
}

}  // namespace postlane
