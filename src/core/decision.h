// What one step() call has decided so far, and the few verbs that every decision is made of.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "postlane/machine.h"

namespace postlane {

// Stops the process: a stored state says something that the rules exclude.
[[noreturn]] void violated(const char* rule);

class Decision {
public:
    Decision(const StateView& view, const Context& context) : view_(view), context_(context) {
        effects_.reserve(kEffectsUsual);
    }

    [[nodiscard]] const StateView& view() const { return view_; }
    [[nodiscard]] const Config& config() const { return context_.config; }
    [[nodiscard]] const RecipientId& recipient() const { return context_.recipient; }
    [[nodiscard]] Instant now() const { return context_.now; }

    void add(Effect effect) { effects_.push_back(std::move(effect)); }
    [[nodiscard]] Effects take() { return std::move(effects_); }

    // Changes the state if the table allows it, else stops the process. The row is not yet written.
    void become(MessageRow& row, MessageState state) const;
    // Writes a live row: `wake_at` is when to look at it again, the epoch for never.
    void keep(const MessageId& id, MessageRow row, MessageState state, Instant wake_at);

    // How a message ended, beyond its row.
    struct Ending {
        MessageState state;
        Reason reason;
        std::optional<CheckedAt> checked = std::nullopt;
        std::optional<SuppressionHit> suppression = std::nullopt;
        // When it ended, for the sequence: the provider's acceptance if sent. Absent: now.
        std::optional<Instant> ended_at = std::nullopt;
        // Needed exactly when state is DeadLettered and the input is not at hand in the row.
        const InputRecord* record = nullptr;
        std::string detail = {};
    };
    // The one place where messages end: row, outcome, dead letter, and the step of its sequence.
    void end(const MessageId& id, MessageRow row, Ending ending);

    // A sequence as this decision leaves it: what was written by it, else what is stored.
    [[nodiscard]] std::optional<SequenceRow> sequence(std::string_view sequence_id) const;

    [[nodiscard]] OutcomeRecord outcome_of_row(const MessageId& id, const MessageRow& row,
                                               Outcome outcome, Reason reason) const;

private:
    static constexpr std::size_t kEffectsUsual = 6;  // the end of a step has five

    const StateView& view_;
    const Context& context_;
    Effects effects_;
};

// The rules of one handler each (machine.cc picks).
void on(Decision& decision, const SendReceived& input);         // admission.cc
void on(Decision& decision, const SuppressionReceived& input);  // suppression_received.cc
void on(Decision& decision, const AttemptDue& input);           // attempt.cc
void on(Decision& decision, const AttemptEnded& input);         // attempt.cc
void on(Decision& decision, const AttemptWithdrawn& input);     // attempt.cc
void on(Decision& decision, const RenderFailed& input);         // attempt.cc
void on(Decision& decision, const InDoubt& input);              // attempt.cc
void on(Decision& decision, const PayloadUnreadable& input);    // attempt.cc
void on(Decision& decision, const Woke& input);                 // timers.cc
void on(Decision& decision, const StepReached& input);          // timers.cc
void on(Decision& decision, const HaltOver& input);             // timers.cc

// When a message may go and until when (protocol section 7). `previous_end`: the epoch if none.
struct Timing {
    Instant due_at;
    Instant expires_at;
};
[[nodiscard]] Timing timing_of(const SendEvent& event, Instant recorded_at, Instant previous_end,
                               const Config& config);

// Puts an eligible message where its times say: ended, scheduled or ready. The gate is asked only
// at acceptance; later it is asked with the attempt.
void place(Decision& decision, const MessageId& id, MessageRow row, const SendEvent& event,
           bool at_acceptance);

// Ends a message that must not be attempted now, and says so. Asked before every attempt.
[[nodiscard]] SuppressionGate::Verdict ask_gate(const Decision& decision, const SendEvent& event);

}  // namespace postlane
