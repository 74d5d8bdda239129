// Progress of one sequence: which step may go, which wait, which are missing.
//
// Pure arithmetic over a SequenceRow and the step entries that a StateView shows. A step number is in
// exactly one place:
//   < expected                       passed
//   expected .. known_through        live (an entry), ended ahead (an entry marked ended), or skipped (none)
//   > known_through + 1              held, if there is an entry
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/decision.h"

namespace postlane {

enum class StepPlace : std::uint8_t {
    Eligible,  // the expected one
    Waiting,   // every lower step is known
    Held,      // a lower step is missing
    Overflow,  // would be held, but too many are
    Late,      // passed, skipped, or ended ahead under another id
    Taken,     // live under another message id
};

// The stored row, or a new sequence's: first step 1, or `first_seen` if the configuration adopts.
[[nodiscard]] SequenceRow sequence_row(const Decision& decision, std::string_view sequence_id,
                                       Step first_seen);

// Where an unknown message's step belongs; enters it into the row (not written) unless it was
// Overflow, Late or Taken.
[[nodiscard]] StepPlace enter_step(const Decision& decision, std::string_view sequence_id,
                                   Step step, SequenceRow& row);

// A live step ended. Moves the row on (or halts it) and asks for the next step's turn.
// `row_of_step` gets ended_ahead set where the step stays on record until its turn.
void step_ended(Decision& decision, const SequenceRef& step, MessageRow& row_of_step,
                Instant ended_at);

// ordering.on_gap = "skip": gives up on missing steps until `step` is held no longer.
void skip_gaps_below(Decision& decision, const SequenceRef& step, SequenceRow& row);

// Moves `expected` over what has ended or was skipped; asks for the turn of the next live step.
void settle(Decision& decision, std::string_view sequence_id, SequenceRow& row);

// Steps that nobody has and that are passed over; the outcome of the next one names them.
void note_skipped(SequenceRow& row, Step first, Step last);

void write_sequence(Decision& decision, std::string_view sequence_id, SequenceRow row);

[[nodiscard]] inline bool is_held(const SequenceRow& row, Step step) {
    return step > row.known_through;
}

}  // namespace postlane
