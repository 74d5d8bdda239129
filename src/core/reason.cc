#include "postlane/reason.h"

#include <array>
#include <cstddef>

namespace postlane {
namespace {

constexpr std::array<std::string_view, 7> kOutcomes{
    "sent", "suppressed_at_send", "duplicate", "expired", "failed", "dead_lettered", "ambiguous",
};

// In the order of their numbers.
constexpr std::array kReasons{
    ReasonInfo{Reason::MissingKey, "missing_key",
               "The record has no key, so nobody knows whom it concerns."},
    ReasonInfo{Reason::MisroutedKey, "misrouted_key",
               "The key belongs to another partition: the producer uses another partitioner than "
               "kafka.partitioner."},
    ReasonInfo{Reason::TooLarge, "too_large",
               "The record is larger than dispatch.max_payload_bytes."},
    ReasonInfo{Reason::MalformedJson, "malformed_json",
               "The value is no JSON text, or it is empty."},
    ReasonInfo{Reason::InvalidField, "invalid_field",
               "A field is missing or wrong, or the value is no JSON object; the dead letter names "
               "the field."},
    ReasonInfo{Reason::KeyMismatch, "key_mismatch", "recipient_id differs from the record's key."},
    ReasonInfo{Reason::UnknownRoute, "unknown_route",
               "The configuration has no route of that name."},
    ReasonInfo{Reason::Accepted, "accepted", "The provider took the message."},
    ReasonInfo{Reason::KnownMessage, "known_message",
               "A message with this id and the same body is already known for this recipient."},
    ReasonInfo{Reason::PayloadConflict, "payload_conflict",
               "A message with this id but another body is already known for this recipient; the "
               "first one stands."},
    ReasonInfo{Reason::OlderThanLedger, "older_than_ledger",
               "The record is older than ledger.retention_days, so whether it was sent before is "
               "no longer known."},
    ReasonInfo{Reason::LateStep, "late_step",
               "The sequence had already passed this step when it arrived."},
    ReasonInfo{Reason::StepConflict, "step_conflict",
               "Another message id already holds this step."},
    ReasonInfo{
        Reason::GapTimeout, "gap_timeout",
        "A lower step did not arrive within ordering.max_wait_ms (ordering.on_gap = dead_letter)."},
    ReasonInfo{Reason::HeldOverflow, "held_overflow",
               "More than ordering.max_held steps of the sequence wait for a missing one."},
    ReasonInfo{Reason::SequenceHalted, "sequence_halted",
               "An earlier step was missing or unresolved for longer than ordering.max_halt_ms."},
    ReasonInfo{Reason::TtlPassed, "ttl_passed",
               "The time to live had passed before the message could be sent."},
    ReasonInfo{Reason::Suppressed, "suppressed",
               "The recipient or the address is suppressed for this mail."},
    ReasonInfo{Reason::RejectedByProvider, "rejected_by_provider",
               "Every provider of the route that was asked refused the message for good."},
    ReasonInfo{Reason::RetriesExhausted, "retries_exhausted",
               "dispatch.max_attempts attempts were made; ambiguous if one of them may have been "
               "executed."},
    ReasonInfo{Reason::NoIdempotency, "no_idempotency",
               "Nobody knows whether an attempt was executed, and the provider takes no "
               "idempotency key, so asking again could send twice; or the route says "
               "on_ambiguous = \"park\"."},
    ReasonInfo{Reason::KeyExpired, "key_expired",
               "Nobody knows whether an attempt was executed, and the provider no longer remembers "
               "its key."},
    ReasonInfo{Reason::RenderChanged, "render_changed",
               "Nobody knows whether an attempt was executed, and the same key would now carry "
               "other bytes: "
               "configuration or program changed in between."},
    ReasonInfo{Reason::SuppressedWhileInDoubt, "suppressed_while_in_doubt",
               "Nobody knows whether an attempt was executed, and the recipient has been "
               "suppressed since."},
    ReasonInfo{
        Reason::ExpiredWhileInDoubt, "expired_while_in_doubt",
        "Nobody knows whether an attempt was executed, and the time to live has passed since."},
    ReasonInfo{Reason::NewerStands, "newer_stands",
               "Suppression receipts: something newer stands, so this event changed nothing."},
    ReasonInfo{
        Reason::InvalidMadeEffective, "invalid_made_effective",
        "Suppression receipts: parts of the event were invalid; it suppresses nevertheless."},
};
static_assert(kReasons.size() == static_cast<std::size_t>(kLastReason));
static_assert([] {
    for (std::size_t i = 0; i < kReasons.size(); ++i) {
        if (static_cast<std::size_t>(kReasons[i].reason) != i + 1) {
            return false;
        }
    }
    return true;
}());

}  // namespace

std::string_view to_string(Outcome outcome) noexcept {
    return kOutcomes[static_cast<std::size_t>(outcome) - 1];
}

std::string_view to_string(Reason reason) noexcept {
    return reason == Reason::None ? "none" : kReasons[static_cast<std::size_t>(reason) - 1].word;
}

std::optional<Outcome> outcome_from(std::string_view word) noexcept {
    for (std::size_t i = 0; i < kOutcomes.size(); ++i) {
        if (kOutcomes[i] == word) {
            return static_cast<Outcome>(i + 1);
        }
    }
    return std::nullopt;
}

std::optional<Reason> reason_from(std::string_view word) noexcept {
    for (const ReasonInfo& info : kReasons) {
        if (info.word == word) {
            return info.reason;
        }
    }
    return word == "none" ? std::optional(Reason::None) : std::nullopt;
}

ReasonInfos reasons() noexcept {
    return {kReasons.data(), kReasons.data() + kReasons.size()};
}

}  // namespace postlane
