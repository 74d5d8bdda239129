#include "core/sequence.h"

#include <algorithm>

namespace postlane {
namespace {

// A sequence is forgotten long after its last step: a drip may pause for months, and forgetting it would
// make its next step look like a gap.
constexpr std::chrono::days kSequenceRetention{400};

// What arrived earlier than its predecessors and now joins them without a gap.
void join_contiguous(const Decision& decision, std::string_view sequence_id, SequenceRow& row) {
    while (row.held > 0) {
        const auto entry = decision.view().step(sequence_id, row.known_through + 1);
        if (!entry) {
            return;
        }
        row.known_through += 1;
        row.held -= entry->ended ? 0U : 1U;
    }
    // Only ended entries can be left above: they join too, so that nobody takes them for missing.
    while (decision.view().step(sequence_id, row.known_through + 1)) {
        row.known_through += 1;
    }
}

bool halts(const config::Ordering& ordering, MessageState ended) {
    if (ended == MessageState::Sent) {
        return false;
    }
    return ended == MessageState::Ambiguous ? ordering.on_ambiguous == config::OnAmbiguous::Halt
                                            : ordering.on_not_sent == config::OnNotSent::Halt;
}

void halt(const Decision& decision, SequenceRow& row, Step step, Reason why) {
    row.halt = SequenceRow::Halt{why, step, decision.now() + decision.config().ordering.max_halt};
}

}  // namespace

void note_skipped(SequenceRow& row, Step first, Step last) {
    for (Step step = first; step <= last && row.skipped_steps.size() < kSkippedMax; ++step) {
        row.skipped_steps.push_back(step);
    }
}

SequenceRow sequence_row(const Decision& decision, std::string_view sequence_id, Step first_seen) {
    if (auto stored = decision.sequence(sequence_id)) {
        return *std::move(stored);
    }
    const bool adopt = decision.config().ordering.first_step == config::FirstStep::Adopt;
    const Step first = adopt ? first_seen : 1;
    SequenceRow row;
    row.expected = first;
    row.known_through = first - 1;
    return row;
}

StepPlace enter_step(const Decision& decision, std::string_view sequence_id, Step step,
                     SequenceRow& row) {
    if (step < row.expected) {
        return StepPlace::Late;
    }
    if (const auto entry = decision.view().step(sequence_id, step)) {
        const bool halted_here = row.halt && row.halt->step == step;
        return entry->ended && !halted_here ? StepPlace::Late : StepPlace::Taken;
    }
    if (step <= row.known_through) {
        return StepPlace::Late;  // skipped
    }
    if (step == row.known_through + 1) {
        row.known_through = step;
        join_contiguous(decision, sequence_id, row);
        return step == row.expected ? StepPlace::Eligible : StepPlace::Waiting;
    }
    if (row.held >= decision.config().ordering.max_held) {
        return StepPlace::Overflow;
    }
    row.held += 1;
    return StepPlace::Held;
}

void settle(Decision& decision, std::string_view sequence_id, SequenceRow& row) {
    while (row.expected <= row.known_through) {
        const auto entry = decision.view().next_step(sequence_id, row.expected);
        const Step reached =
            entry ? std::min(entry->step, row.known_through + 1) : row.known_through + 1;
        if (reached > row.expected) {
            note_skipped(row, row.expected, reached - 1);
            row.expected = reached;
        }
        if (!entry || entry->step > row.known_through) {
            return;
        }
        if (!entry->ended) {
            decision.add(ReachStep{std::string(sequence_id), entry->message_id});
            return;
        }
        // It ended before its turn, which is now: the policy for its end counts as for any other's.
        const auto ended = decision.view().message(entry->message_id);
        if (ended && has_ended(ended->state)) {
            row.last_end_at = std::max(row.last_end_at, ended->decided_at);
            if (halts(decision.config().ordering, ended->state)) {
                halt(decision, row, entry->step, ended->reason);
                return;  // the step stays taken until the halt is over
            }
        }
        decision.add(ForgetStep{std::string(sequence_id), entry->step});
        row.expected = entry->step + 1;
    }
}

void step_ended(Decision& decision, const SequenceRef& step, MessageRow& row_of_step,
                Instant ended_at) {
    SequenceRow row = sequence_row(decision, step.id, step.step);
    if (step.step < row.expected) {
        return;  // its turn was over before it ended
    }
    if (step.step > row.known_through) {
        row.held -= row.held > 0 ? 1U : 0U;
        if (row_of_step.state == MessageState::DeadLettered) {
            write_sequence(decision, step.id, std::move(row));  // missing again: it may be replayed
            return;
        }
    }
    if (step.step > row.expected) {
        row_of_step.ended_ahead = true;
        write_sequence(decision, step.id, std::move(row));
        return;
    }
    row.last_end_at = std::max(row.last_end_at, ended_at);
    if (halts(decision.config().ordering, row_of_step.state)) {
        row_of_step.ended_ahead = true;  // the step stays taken until the halt is over
        halt(decision, row, step.step, row_of_step.reason);
    } else {
        row.expected = step.step + 1;
        settle(decision, step.id, row);
    }
    write_sequence(decision, step.id, std::move(row));
}

void skip_gaps_below(Decision& decision, const SequenceRef& step, SequenceRow& row) {
    while (is_held(row, step.step)) {
        const auto lowest = decision.view().next_step(step.id, row.known_through + 1);
        if (!lowest) {
            violated("a held step has an entry");
        }
        row.known_through = lowest->step;
        row.held -= lowest->ended || row.held == 0 ? 0U : 1U;
        join_contiguous(decision, step.id, row);
    }
    if (!row.halt) {
        settle(decision, step.id, row);
    }
}

void write_sequence(Decision& decision, std::string_view sequence_id, SequenceRow row) {
    const bool idle = row.expected > row.known_through && row.held == 0 && !row.halt;
    row.row_expires_at = idle ? decision.now() + kSequenceRetention : Instant{};
    decision.add(PutSequence{std::string(sequence_id), std::move(row)});
}

}  // namespace postlane
