// The states of a message and the legal steps between them. Everything that changes a state goes
// through can_become(); docs/architecture.md's diagram is this table.
//
// The numbers are stored in the ledger: DO NOT CHANGE THEM.
#pragma once

#include <cstdint>
#include <string_view>

#include "postlane/reason.h"

namespace postlane {

enum class MessageState : std::uint8_t {
    Held = 1,       // a lower step is missing
    Waiting = 2,    // a lower step is known and has not ended
    Scheduled = 3,  // not due
    Ready = 4,
    Sending = 5,   // an intent is committed
    Retrying = 6,  // backs off before the next attempt
    Sent = 16,
    SuppressedAtSend = 17,
    Expired = 18,
    Failed = 19,
    DeadLettered = 20,
    Ambiguous = 21,
};

[[nodiscard]] constexpr bool has_ended(MessageState state) noexcept {
    return state >= MessageState::Sent;
}
[[nodiscard]] bool can_become(MessageState from, MessageState to) noexcept;
[[nodiscard]] std::string_view to_string(MessageState state) noexcept;
[[nodiscard]] MessageState state_of(Outcome outcome) noexcept;  // not for Duplicate
[[nodiscard]] Outcome outcome_of(MessageState state) noexcept;  // ended states only

}  // namespace postlane
