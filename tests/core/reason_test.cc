// The words are API: dashboards and dead-letter tools match on them, so they are spelled out here
// again.
#include "postlane/reason.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "postlane/event.h"

namespace postlane {
namespace {

struct WordRow {
    Reason reason;
    std::string word;
};
void PrintTo(const WordRow& row, std::ostream* out) {
    *out << row.word;
}

class ReasonWord : public testing::TestWithParam<WordRow> {};

TEST_P(ReasonWord, IsTheContracts) {
    EXPECT_EQ(to_string(GetParam().reason), GetParam().word);
    EXPECT_EQ(reason_from(GetParam().word), GetParam().reason);
}

INSTANTIATE_TEST_SUITE_P(
    Contract, ReasonWord,
    testing::Values(
        WordRow{Reason::MissingKey, "missing_key"}, WordRow{Reason::MisroutedKey, "misrouted_key"},
        WordRow{Reason::TooLarge, "too_large"}, WordRow{Reason::MalformedJson, "malformed_json"},
        WordRow{Reason::InvalidField, "invalid_field"},
        WordRow{Reason::KeyMismatch, "key_mismatch"},
        WordRow{Reason::UnknownRoute, "unknown_route"},
        WordRow{Reason::PayloadConflict, "payload_conflict"},
        WordRow{Reason::OlderThanLedger, "older_than_ledger"},
        WordRow{Reason::LateStep, "late_step"}, WordRow{Reason::StepConflict, "step_conflict"},
        WordRow{Reason::GapTimeout, "gap_timeout"}, WordRow{Reason::HeldOverflow, "held_overflow"},
        WordRow{Reason::SequenceHalted, "sequence_halted"},
        WordRow{Reason::TtlPassed, "ttl_passed"},
        WordRow{Reason::RejectedByProvider, "rejected_by_provider"},
        WordRow{Reason::RetriesExhausted, "retries_exhausted"},
        WordRow{Reason::NoIdempotency, "no_idempotency"},
        WordRow{Reason::KeyExpired, "key_expired"},
        WordRow{Reason::RenderChanged, "render_changed"},
        WordRow{Reason::SuppressedWhileInDoubt, "suppressed_while_in_doubt"},
        WordRow{Reason::ExpiredWhileInDoubt, "expired_while_in_doubt"},
        WordRow{Reason::Accepted, "accepted"}, WordRow{Reason::KnownMessage, "known_message"},
        WordRow{Reason::Suppressed, "suppressed"}, WordRow{Reason::NewerStands, "newer_stands"},
        WordRow{Reason::InvalidMadeEffective, "invalid_made_effective"}),
    [](const auto& row) { return row.param.word; });

TEST(Reasons, EveryOneIsListedOnceWithHelp) {
    std::set<std::string_view> words;
    for (const ReasonInfo& info : reasons()) {
        EXPECT_TRUE(words.insert(info.word).second);
        EXPECT_EQ(to_string(info.reason), info.word);
        EXPECT_EQ(reason_from(info.word), info.reason);
        EXPECT_GT(info.help.size(), 20U);
        EXPECT_EQ(info.help.back(), '.');
    }
    EXPECT_EQ(words.size(), static_cast<std::size_t>(kLastReason));
    EXPECT_EQ(reason_from("Sent"), std::nullopt);
    EXPECT_EQ(reason_from(""), std::nullopt);
    EXPECT_EQ(reason_from(to_string(Reason::None)), Reason::None);
}

TEST(Outcomes, WordsAreTheContracts) {
    const std::pair<Outcome, std::string_view> rows[]{
        {Outcome::Sent, "sent"},           {Outcome::SuppressedAtSend, "suppressed_at_send"},
        {Outcome::Duplicate, "duplicate"}, {Outcome::Expired, "expired"},
        {Outcome::Failed, "failed"},       {Outcome::DeadLettered, "dead_lettered"},
        {Outcome::Ambiguous, "ambiguous"},
    };
    for (const auto& [outcome, word] : rows) {
        EXPECT_EQ(to_string(outcome), word);
        EXPECT_EQ(outcome_from(word), outcome);
    }
    EXPECT_EQ(outcome_from("SENT"), std::nullopt);
}

TEST(SuppressionWords, AreTheContracts) {
    const std::pair<SuppressionReason, std::string_view> rows[]{
        {SuppressionReason::Unsubscribe, "unsubscribe"},
        {SuppressionReason::HardBounce, "hard_bounce"},
        {SuppressionReason::SoftBounce, "soft_bounce"},
        {SuppressionReason::Complaint, "complaint"},
        {SuppressionReason::Objection, "objection"},
        {SuppressionReason::Erasure, "erasure"},
        {SuppressionReason::Manual, "manual"},
    };
    for (const auto& [reason, word] : rows) {
        EXPECT_EQ(to_string(reason), word);
        EXPECT_EQ(suppression_reason_from(word), reason);
    }
    EXPECT_EQ(suppression_reason_from("bounce"), std::nullopt);
    EXPECT_EQ(to_string(Scope{}), "everything");
    EXPECT_EQ(to_string(Scope{Scope::Kind::Category, "marketing"}), "category:marketing");
    EXPECT_EQ(to_string(Scope{Scope::Kind::Sequence, "onboarding"}), "sequence:onboarding");
}

}  // namespace
}  // namespace postlane
