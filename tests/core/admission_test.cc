// Protocol section 6: each check of a record, and that an earlier one wins over a later one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "fake_view.h"

namespace postlane {
namespace {

using enum MessageState;
using std::chrono::days;
using std::chrono::hours;

// --- checks 1-5: made while decoding, reported here ---

class Rejected : public testing::TestWithParam<Reason> {};

TEST_P(Rejected, IsADeadLetterAndAnOutcomeWithoutARow) {
    Bench bench;
    InputRecord record;
    record.offset = 41;
    record.key = "ann";
    record.value = "not what it should be";
    record.headers = {{"trace", "1"}};
    const tl::expected<SendEvent, Rejection> decoded =
        tl::unexpected<Rejection>(Rejection{GetParam(), "field `to`: required"});

    bench.feed(SendReceived{record, decoded, bench.now});

    ASSERT_EQ(bench.dead_letters.size(), 1U);
    EXPECT_EQ(bench.dead_letters[0].reason, GetParam());
    EXPECT_EQ(bench.dead_letters[0].detail, "field `to`: required");
    EXPECT_EQ(bench.dead_letters[0].record.value, "not what it should be");
    EXPECT_EQ(bench.dead_letters[0].record.headers, record.headers);
    ASSERT_EQ(bench.outcomes.size(), 1U);
    EXPECT_EQ(bench.outcomes[0].outcome, Outcome::DeadLettered);
    EXPECT_EQ(bench.outcomes[0].reason, GetParam());
    EXPECT_EQ(bench.outcomes[0].input_offset, 41);
    EXPECT_FALSE(bench.outcomes[0].message_id);
    EXPECT_TRUE(bench.view.messages.empty());
    EXPECT_TRUE(bench.view.sequences.empty());
}

// Its record is a message that nobody may send as it is: whoever produced it looks for its id.
TEST(AdmissionTest, ARejectedRecordThatIsAMessageSaysWhich) {
    Bench bench;
    InputRecord record;
    record.offset = 41;
    record.key = "ann";
    Rejection rejection{Reason::UnknownRoute, "route: no such route is configured"};
    rejection.message = Rejection::Message{.id = MessageId("m1"),
                                           .campaign_id = "spring",
                                           .sequence = SequenceRef{"drip", 2},
                                           .category = "news",
                                           .route = "nowhere"};
    const tl::expected<SendEvent, Rejection> decoded = tl::unexpected<Rejection>(rejection);

    bench.feed(SendReceived{record, decoded, bench.now});

    ASSERT_EQ(bench.outcomes.size(), 1U);
    const OutcomeRecord& outcome = bench.outcomes[0];
    EXPECT_EQ(outcome.message_id, MessageId("m1"));
    EXPECT_EQ(outcome.campaign_id, "spring");
    EXPECT_EQ(outcome.sequence, (SequenceRef{"drip", 2}));
    EXPECT_EQ(outcome.category, "news");
    EXPECT_EQ(outcome.route, "nowhere");
    ASSERT_EQ(bench.dead_letters.size(), 1U);
    EXPECT_EQ(bench.dead_letters[0].message_id, MessageId("m1"));
    EXPECT_TRUE(bench.view.messages.empty());
    EXPECT_TRUE(bench.view.sequences.empty());
}

INSTANTIATE_TEST_SUITE_P(RecordLevel, Rejected,
                         testing::Values(Reason::MissingKey, Reason::MisroutedKey, Reason::TooLarge,
                                         Reason::MalformedJson, Reason::InvalidField,
                                         Reason::KeyMismatch, Reason::UnknownRoute));

// --- checks 6-11, and their order ---

// Every way in which one event can offend; the row says which of the checks speaks.
struct OrderCase {
    std::string name;
    bool known;       // 6
    bool too_old;     // 7
    bool late_step;   // 8
    bool ttl_over;    // 9
    bool suppressed;  // 10
    bool not_due;     // 11
    Outcome outcome;
    Reason reason;
    friend void PrintTo(const OrderCase& c, std::ostream* out) { *out << c.name; }
};

class CheckOrder : public testing::TestWithParam<OrderCase> {};

TEST_P(CheckOrder, TheEarlierOneSpeaks) {
    const OrderCase& c = GetParam();
    Bench bench;
    if (c.late_step) {
        bench.receive({.id = "first", .step = 1, .category = "transactional"});
        bench.send("first");
    }
    if (c.known) {
        bench.receive({.id = "m", .category = "transactional"});
    }
    if (c.suppressed) {
        bench.suppress();
    }
    bench.outcomes.clear();

    EventSpec spec{.id = "m"};
    if (c.late_step) {
        spec.step = 1;
    }
    if (c.too_old) {
        spec.recorded_at = bench.now - days{91};
    }
    if (c.ttl_over) {
        spec.expires_at = bench.now - Millis{1};
    }
    if (c.not_due) {
        spec.send_at = bench.now + hours{1};
        spec.expires_at = c.ttl_over ? spec.expires_at : bench.now + hours{2};
    }
    bench.receive(spec);

    ASSERT_EQ(bench.outcomes.size(), 1U);
    EXPECT_EQ(bench.outcomes[0].outcome, c.outcome);
    EXPECT_EQ(bench.outcomes[0].reason, c.reason);
}

INSTANTIATE_TEST_SUITE_P(
    MessageLevel, CheckOrder,
    testing::Values(
        OrderCase{"known", 1, 1, 1, 1, 1, 1, Outcome::Duplicate, Reason::KnownMessage},
        OrderCase{"too_old", 0, 1, 1, 1, 1, 1, Outcome::Expired, Reason::OlderThanLedger},
        OrderCase{"late_step", 0, 0, 1, 1, 1, 1, Outcome::DeadLettered, Reason::LateStep},
        OrderCase{"ttl", 0, 0, 0, 1, 1, 1, Outcome::Expired, Reason::TtlPassed},
        OrderCase{"suppressed", 0, 0, 0, 0, 1, 1, Outcome::SuppressedAtSend, Reason::Suppressed}),
    [](const auto& given) { return given.param.name; });

TEST(Admission, NotDueIsScheduledUntilItIs) {
    Bench bench;
    bench.receive({.id = "m", .send_at = bench.now + hours{1}});

    EXPECT_EQ(bench.state("m"), Scheduled);
    EXPECT_EQ(bench.row("m").wake_at, bench.now + hours{1});
    EXPECT_TRUE(bench.outcomes.empty());
}

TEST(Admission, DueAtOnceIsReadyWithWhatItsOutcomeWillNeed) {
    Bench bench;
    const Offset offset = bench.receive({.id = "m"});

    const MessageRow& row = bench.row("m");
    EXPECT_EQ(row.state, Ready);
    EXPECT_EQ(row.input_offset, offset);
    EXPECT_EQ(row.received_at, bench.now);
    EXPECT_EQ(row.due_at, bench.now);
    EXPECT_EQ(row.expires_at, bench.now + bench.config.dispatch.default_ttl);
    EXPECT_EQ(row.category, "marketing");
    EXPECT_EQ(row.campaign_id, "c1");
    EXPECT_EQ(row.route, "default");
    ASSERT_TRUE(row.payload);
    EXPECT_EQ(row.payload->value, "{m}");
}

TEST(Admission, SuppressedAtAcceptanceIsFinalAndSaysWhere) {
    Bench bench;
    bench.suppress(SuppressionReason::Complaint);
    bench.receive({.id = "m"});

    EXPECT_EQ(bench.state("m"), SuppressedAtSend);
    ASSERT_EQ(bench.outcomes.size(), 1U);
    EXPECT_EQ(bench.outcomes[0].checked, CheckedAt::Acceptance);
    ASSERT_TRUE(bench.outcomes[0].suppression);
    EXPECT_EQ(bench.outcomes[0].suppression->reason, SuppressionReason::Complaint);
    EXPECT_FALSE(bench.row("m").payload);
}

TEST(Admission, SuppressionByAddressCounts) {
    Bench bench;
    bench.view.by_address[AddressKey("ann@example.com")].entries = {
        {Scope{}, SuppressionReason::HardBounce, bench.now, std::nullopt}};
    bench.receive({.id = "m"});

    EXPECT_EQ(bench.state("m"), SuppressedAtSend);
    EXPECT_EQ(bench.outcomes.at(0).suppression->by, SuppressionHit::By::Address);
}

// --- time ---

TEST(Admission, DueIsNeverLaterThanReceivedUnlessTheEventSaysSo) {
    Bench bench;
    bench.receive({.id = "m", .recorded_at = bench.now + hours{5}});  // a producer's wrong clock
    EXPECT_EQ(bench.row("m").due_at, bench.now);
    EXPECT_EQ(bench.state("m"), Ready);
}

TEST(Admission, TimeToLiveCountsFromDue) {
    Bench bench;
    bench.receive({.id = "m", .send_at = bench.now + days{7}});  // later than the default allows
    EXPECT_EQ(bench.state("m"), Scheduled);
    EXPECT_EQ(bench.row("m").expires_at, bench.now + days{7} + bench.config.dispatch.default_ttl);
}

TEST(Admission, AnOldTopicIsNotBlastedWhenFirstMet) {
    Bench bench;
    bench.receive({.id = "m", .recorded_at = bench.now - bench.config.dispatch.default_ttl});
    EXPECT_EQ(bench.state("m"), Expired);
    EXPECT_EQ(bench.reason("m"), Reason::TtlPassed);
}

TEST(Admission, ExactlyAtTheRetentionItIsStillKnowable) {
    Bench bench;
    bench.config.dispatch.default_ttl = days{200};
    bench.receive({.id = "m", .recorded_at = bench.now - days{90}});
    EXPECT_EQ(bench.state("m"), Ready);
    bench.receive({.id = "n", .recorded_at = bench.now - days{90} - Millis{1}});
    EXPECT_EQ(bench.reason("n"), Reason::OlderThanLedger);
}

TEST(Admission, TooOldAStepStillCountsAsPassed) {
    Bench bench;
    bench.receive({.id = "one", .step = 1, .recorded_at = bench.now - days{91}});
    bench.receive({.id = "two", .step = 2});
    EXPECT_EQ(bench.reason("one"), Reason::OlderThanLedger);
    EXPECT_EQ(bench.state("two"), Ready);
}

TEST(Admission, TooOldAndLateChangesNothingInItsSequence) {
    Bench bench;
    bench.receive({.id = "one", .step = 1});
    bench.send("one");
    const Step expected = bench.sequence().expected;
    bench.receive({.id = "again", .step = 1, .recorded_at = bench.now - days{91}});
    EXPECT_EQ(bench.reason("again"), Reason::OlderThanLedger);
    EXPECT_TRUE(bench.row("again").outside_sequence);
    EXPECT_EQ(bench.sequence().expected, expected);
}

// --- duplicates ---

struct DuplicateCase {
    std::string name;
    std::uint8_t body;
    Reason reason;
    int conflicts;
    friend void PrintTo(const DuplicateCase& c, std::ostream* out) { *out << c.name; }
};
class Duplicates : public testing::TestWithParam<DuplicateCase> {};

TEST_P(Duplicates, NameTheOriginalInWhateverStateItIs) {
    Bench bench;
    const Offset original = bench.receive({.id = "m"});
    const auto again = [&](MessageState state) {
        const MessageRow before = bench.row("m");
        bench.outcomes.clear();
        const Offset offset = bench.receive({.id = "m", .body = GetParam().body});
        ASSERT_EQ(bench.outcomes.size(), 1U);
        EXPECT_EQ(bench.outcomes[0].outcome, Outcome::Duplicate);
        EXPECT_EQ(bench.outcomes[0].reason, GetParam().reason);
        EXPECT_EQ(bench.outcomes[0].input_offset, offset);
        ASSERT_TRUE(bench.outcomes[0].original);
        EXPECT_EQ(bench.outcomes[0].original->input_offset, original);
        EXPECT_EQ(bench.outcomes[0].original->state, state);
        EXPECT_EQ(bench.row("m").input_offset, before.input_offset);
        EXPECT_EQ(bench.row("m").body_hash, before.body_hash);
        EXPECT_EQ(bench.state("m"), state);
    };

    again(Ready);
    bench.attempt("m");
    again(Sending);
    bench.answer("m", 503, Millis{1'000});
    again(Retrying);
    bench.send("m");
    again(Sent);
    EXPECT_EQ(bench.sends.size(), 2U);
    EXPECT_EQ(bench.counts[Count::What::Duplicate], 4);
    EXPECT_EQ(bench.counts[Count::What::PayloadConflict], 4 * GetParam().conflicts);
}

INSTANTIATE_TEST_SUITE_P(Bodies, Duplicates,
                         testing::Values(DuplicateCase{"same", 1, Reason::KnownMessage, 0},
                                         DuplicateCase{"other", 2, Reason::PayloadConflict, 1}),
                         [](const auto& given) { return given.param.name; });

TEST(Admission, DuplicateOfAStepIsNotAStepConflict) {
    Bench bench;
    bench.receive({.id = "m", .step = 1});
    bench.receive({.id = "m", .step = 1});
    ASSERT_EQ(bench.outcomes.size(), 1U);
    EXPECT_EQ(bench.outcomes[0].reason, Reason::KnownMessage);
    EXPECT_EQ(bench.outcomes[0].sequence, (SequenceRef{"drip", 1}));
    EXPECT_TRUE(bench.dead_letters.empty());
}

TEST(Admission, WhatTheLedgerForgotIsNew) {
    Bench bench;
    bench.receive({.id = "m"});
    bench.send("m");
    bench.advance(days{90});
    bench.receive({.id = "m"});
    EXPECT_EQ(bench.state("m"), Ready);
}

TEST(Admission, ADeadLetterMayBeAdmittedAgain) {
    Bench bench;
    bench.config.ordering.max_held = 0;
    bench.receive({.id = "m", .step = 2});
    ASSERT_EQ(bench.reason("m"), Reason::HeldOverflow);
    bench.config.ordering.max_held = 10;

    const Offset again = bench.receive({.id = "m", .step = 2});

    EXPECT_EQ(bench.state("m"), Held);
    EXPECT_EQ(bench.row("m").input_offset, again);
    bench.receive({.id = "one", .step = 1});
    bench.send("one");
    EXPECT_EQ(bench.state("m"), Ready);
}

TEST(Admission, EndedOtherwiseIsNeverAdmittedAgain) {
    Bench bench;
    bench.suppress();
    bench.receive({.id = "m"});
    bench.view.by_recipient.reset();
    bench.receive({.id = "m"});
    EXPECT_EQ(bench.state("m"), SuppressedAtSend);
    EXPECT_EQ(bench.outcomes.back().reason, Reason::KnownMessage);
}

}  // namespace
}  // namespace postlane
