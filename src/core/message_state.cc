#include "postlane/message_state.h"

#include <array>
#include <cstddef>
#include <cstdlib>
#include <initializer_list>

namespace postlane {
namespace {

constexpr std::uint32_t bit(MessageState state) {
    return std::uint32_t{1} << static_cast<unsigned>(state);
}

struct Transitions {
    MessageState from;
    std::string_view word;
    std::uint32_t to;

    constexpr Transitions(MessageState state, std::string_view name,
                          std::initializer_list<MessageState> targets)
        : from(state), word(name), to(0) {
        for (const MessageState target : targets) {
            to |= bit(target);
        }
    }
};

// A live row may be written again in its state (a new wake_at, a new attempt while in doubt). A
// message that is not yet its sequence's turn (held, waiting) cannot be sending: it is placed first
// (scheduled, ready).
// clang-format off
constexpr std::array kTransitions = [] {
    using enum MessageState;
    return std::array{
        Transitions{Held, "held",
                    {Held, Waiting, Scheduled, Ready,  // the gap closed, or was skipped
                     SuppressedAtSend, Expired, DeadLettered /* gap_timeout */}},
        Transitions{Waiting, "waiting",
                    {Waiting, Held /* a lower step was dead-lettered and is missing again */,
                     Scheduled, Ready, SuppressedAtSend, Expired, DeadLettered}},
        Transitions{Scheduled, "scheduled",
                    {Scheduled, Ready, Sending, SuppressedAtSend, Expired, DeadLettered}},
        Transitions{Ready, "ready",
                    {Held, Waiting,  // every new row begins as ready
                     Scheduled, Ready, Sending, SuppressedAtSend, Expired, Failed, DeadLettered,
                     Ambiguous /* an earlier attempt is in doubt */}},
        Transitions{Sending, "sending",
                    {Sending /* replay with the same key */, Ready /* uncounted */, Retrying,
                     Sent, SuppressedAtSend, Expired, Failed, Ambiguous}},
        Transitions{Retrying, "retrying",
                    {Retrying, Ready, Sending,
                     SuppressedAtSend, Expired, Failed, DeadLettered, Ambiguous}},
        Transitions{Sent, "sent", {}},
        Transitions{SuppressedAtSend, "suppressed_at_send", {}},
        Transitions{Expired, "expired", {}},
        Transitions{Failed, "failed", {}},
        Transitions{DeadLettered, "dead_lettered",  // a new input with its id is like a new message
                    {Held, Waiting, Scheduled, Ready, SuppressedAtSend, Expired, DeadLettered}},
        Transitions{Ambiguous, "ambiguous", {Sent, Failed}},  // resolved by evidence
    };
}();
// clang-format on

constexpr const Transitions& transitions(MessageState state) {
    for (const Transitions& entry : kTransitions) {
        if (entry.from == state) {
            return entry;
        }
    }
    std::abort();  // not a state: memory is damaged, sending anything would be worse
}

}  // namespace

bool can_become(MessageState from, MessageState to) noexcept {
    return (transitions(from).to & bit(to)) != 0;
}

std::string_view to_string(MessageState state) noexcept {
    return transitions(state).word;
}

MessageState state_of(Outcome outcome) noexcept {
    switch (outcome) {
        case Outcome::Sent:
            return MessageState::Sent;
        case Outcome::SuppressedAtSend:
            return MessageState::SuppressedAtSend;
        case Outcome::Expired:
            return MessageState::Expired;
        case Outcome::Failed:
            return MessageState::Failed;
        case Outcome::DeadLettered:
            return MessageState::DeadLettered;
        case Outcome::Ambiguous:
            return MessageState::Ambiguous;
        case Outcome::Duplicate:
            break;
    }
    std::abort();  // a duplicate has no row
}

Outcome outcome_of(MessageState state) noexcept {
    switch (state) {
        case MessageState::Sent:
            return Outcome::Sent;
        case MessageState::SuppressedAtSend:
            return Outcome::SuppressedAtSend;
        case MessageState::Expired:
            return Outcome::Expired;
        case MessageState::Failed:
            return Outcome::Failed;
        case MessageState::DeadLettered:
            return Outcome::DeadLettered;
        case MessageState::Ambiguous:
            return Outcome::Ambiguous;
        case MessageState::Held:
        case MessageState::Waiting:
        case MessageState::Scheduled:
        case MessageState::Ready:
        case MessageState::Sending:
        case MessageState::Retrying:
            break;
    }
    std::abort();  // it has not ended
}

}  // namespace postlane
