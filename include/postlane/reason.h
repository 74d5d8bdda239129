// The closed sets of words that users, dashboards and stored rows rely on.
//
// The numbers are stored in the ledger: DO NOT CHANGE OR REUSE THEM. Adding is fine.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace postlane {

enum class Outcome : std::uint8_t {
    Sent = 1,
    SuppressedAtSend = 2,
    Duplicate = 3,
    Expired = 4,
    Failed = 5,
    DeadLettered = 6,
    Ambiguous = 7,
};

enum class Reason : std::uint8_t {
    None = 0,
    // Record level: the record could not become a message.
    MissingKey = 1,
    MisroutedKey = 2,
    TooLarge = 3,
    MalformedJson = 4,
    InvalidField = 5,
    KeyMismatch = 6,
    UnknownRoute = 7,
    // Message level.
    Accepted = 8,      // sent: the provider took it
    KnownMessage = 9,  // duplicate: same id, same body
    PayloadConflict = 10,
    OlderThanLedger = 11,
    LateStep = 12,
    StepConflict = 13,
    GapTimeout = 14,
    HeldOverflow = 15,
    SequenceHalted = 16,
    TtlPassed = 17,
    Suppressed = 18,
    RejectedByProvider = 19,
    RetriesExhausted = 20,
    // Nobody can know whether the provider executed the attempt, because ...
    NoIdempotency = 21,  // ... it takes no idempotency key
    KeyExpired = 22,     // ... its memory of the key has ended
    RenderChanged = 23,  // ... the same key would now carry other bytes
    SuppressedWhileInDoubt = 24,
    ExpiredWhileInDoubt = 25,
    // Suppression receipts.
    NewerStands = 26,
    InvalidMadeEffective = 27,
};
// The highest number in use; a stored one above it is from a newer program.
inline constexpr Reason kLastReason = Reason::InvalidMadeEffective;

[[nodiscard]] std::string_view to_string(Outcome outcome) noexcept;
[[nodiscard]] std::string_view to_string(Reason reason) noexcept;
[[nodiscard]] std::optional<Outcome> outcome_from(std::string_view word) noexcept;
[[nodiscard]] std::optional<Reason> reason_from(std::string_view word) noexcept;

// Every reason but None, for documentation and for metrics that exist at zero from the start.
struct ReasonInfo {
    Reason reason;
    std::string_view word;
    std::string_view help;
};
struct ReasonInfos {
    const ReasonInfo* first;
    const ReasonInfo* last;
    [[nodiscard]] const ReasonInfo* begin() const noexcept { return first; }
    [[nodiscard]] const ReasonInfo* end() const noexcept { return last; }
};
[[nodiscard]] ReasonInfos reasons() noexcept;

}  // namespace postlane
