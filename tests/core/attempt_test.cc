// Protocol sections 6 (check 12) and 9: what is checked before an attempt, and what its answer
// means.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/retry.h"
#include "fake_view.h"

namespace postlane {
namespace {

using enum MessageState;
using std::chrono::hours;
using std::chrono::minutes;

Bench bench_with_one(std::vector<std::string> providers = {"keyed"}) {
    Bench bench;
    bench.config.routes[0].providers = std::move(providers);
    bench.receive({.id = "m"});
    return bench;
}

// --- before ---

TEST(Attempt, GoesOutWithAnIntentThatASuccessorCanWaitFor) {
    Bench bench = bench_with_one();
    bench.attempt("m", "keyed", 5);

    EXPECT_EQ(bench.state("m"), Sending);
    ASSERT_EQ(bench.sends.size(), 1U);
    const Intent& intent = bench.sends[0].intent;
    EXPECT_EQ(intent.provider, "keyed");
    EXPECT_EQ(intent.deadline, bench.config.dispatch.intent_deadline);
    EXPECT_EQ(intent.timeout, bench.config.providers[0].timeout);
    EXPECT_EQ(intent.request_hash, hash_of(5));
    EXPECT_EQ(intent.attempt, (AttemptId{1, 1}));
    EXPECT_EQ(bench.row("m").intent, intent);
    EXPECT_EQ(bench.sends[0].clearance.given_at(), bench.now);
    EXPECT_EQ(bench.row("m").first_attempt_at, bench.now);
    EXPECT_EQ(bench.row("m").attempts, 0U);  // it counts once its last check has passed
}

TEST(Attempt, ExpiredIsSaidBeforeSuppressed) {
    Bench bench = bench_with_one();
    bench.suppress();
    bench.now = bench.row("m").expires_at;
    bench.attempt("m");
    EXPECT_EQ(bench.reason("m"), Reason::TtlPassed);
    EXPECT_EQ(bench.state("m"), Expired);
    EXPECT_TRUE(bench.sends.empty());
}

TEST(Attempt, SuppressedSinceAcceptanceIsNotSent) {
    Bench bench = bench_with_one();
    bench.suppress(SuppressionReason::Objection);
    bench.attempt("m");
    EXPECT_EQ(bench.state("m"), SuppressedAtSend);
    EXPECT_EQ(bench.outcomes.at(0).checked, CheckedAt::Attempt);
    EXPECT_EQ(bench.outcomes.at(0).suppression->reason, SuppressionReason::Objection);
    EXPECT_TRUE(bench.sends.empty());
}

TEST(Attempt, SuppressedBetweenRetriesIsNotSentAgain) {
    Bench bench = bench_with_one();
    bench.attempt("m");
    bench.answer("m", 429);
    bench.suppress();
    bench.attempt("m");
    EXPECT_EQ(bench.state("m"), SuppressedAtSend);  // a 429 was not executed
    EXPECT_EQ(bench.sends.size(), 1U);
}

// --- what each answer makes of a first attempt ---

struct AnswerCase {
    std::string name;
    std::string provider;
    int status;  // 0: no answer
    std::optional<Millis> retry_after;
    MessageState state;
    Reason reason;
    std::uint32_t attempts;
    bool doubt;
    friend void PrintTo(const AnswerCase& c, std::ostream* out) { *out << c.name; }
};
class Answers : public testing::TestWithParam<AnswerCase> {};

TEST_P(Answers, LeaveTheMessageInThisState) {
    const AnswerCase& c = GetParam();
    Bench bench = bench_with_one({c.provider});
    bench.attempt("m", c.provider);
    if (c.status == 0) {
        bench.no_answer("m");
    } else {
        bench.answer("m", c.status, c.retry_after);
    }
    EXPECT_EQ(bench.state("m"), c.state);
    EXPECT_EQ(bench.reason("m"), c.reason);
    EXPECT_EQ(bench.row("m").attempts, c.attempts);
    EXPECT_EQ(bench.row("m").maybe_executed, c.doubt);
    EXPECT_EQ(bench.outcomes.size(), has_ended(c.state) ? 1U : 0U);
    EXPECT_TRUE(bench.dead_letters.empty());
    EXPECT_EQ(bench.row("m").payload != nullptr, !has_ended(c.state));
}

constexpr Reason kNone = Reason::None;
INSTANTIATE_TEST_SUITE_P(
    Table, Answers,
    testing::Values(
        AnswerCase{"accepted", "plain", 202, {}, Sent, Reason::Accepted, 1, false},
        AnswerCase{"unauthorised", "plain", 401, {}, Ready, kNone, 0, false},
        AnswerCase{"forbidden", "keyed", 403, {}, Ready, kNone, 0, false},
        AnswerCase{"timeout_said", "plain", 408, {}, Retrying, kNone, 1, false},
        AnswerCase{"too_early", "plain", 425, {}, Retrying, kNone, 1, false},
        AnswerCase{"throttled", "plain", 429, {}, Retrying, kNone, 1, false},
        AnswerCase{"in_progress", "keyed", 409, {}, Retrying, kNone, 1, false},
        AnswerCase{"conflict", "plain", 409, {}, Failed, Reason::RejectedByProvider, 1, false},
        AnswerCase{"busy", "plain", 503, Millis{2'000}, Retrying, kNone, 1, false},
        AnswerCase{"rejected", "plain", 422, {}, Failed, Reason::RejectedByProvider, 1, false},
        AnswerCase{"redirect", "plain", 302, {}, Failed, Reason::RejectedByProvider, 1, false},
        AnswerCase{"error", "plain", 500, {}, Ambiguous, Reason::NoIdempotency, 1, true},
        AnswerCase{"error_keyed", "keyed", 500, {}, Retrying, kNone, 1, true},
        AnswerCase{"busy_bare", "plain", 503, {}, Ambiguous, Reason::NoIdempotency, 1, true},
        AnswerCase{"silence", "plain", 0, {}, Ambiguous, Reason::NoIdempotency, 1, true},
        AnswerCase{"silence_keyed", "keyed", 0, {}, Retrying, kNone, 1, true}),
    [](const auto& given) { return given.param.name; });

TEST(Attempt, SentKeepsTheProvidersIdAndSaysSo) {
    Bench bench = bench_with_one();
    bench.send("m");
    EXPECT_EQ(bench.row("m").provider_message_id, "p-m");
    EXPECT_EQ(bench.outcomes.at(0).outcome, Outcome::Sent);
    EXPECT_EQ(bench.outcomes.at(0).provider, "keyed");
    EXPECT_EQ(bench.outcomes.at(0).provider_message_id, "p-m");
    EXPECT_EQ(bench.outcomes.at(0).attempts, 1U);
    EXPECT_FALSE(bench.row("m").intent);
    EXPECT_EQ(bench.row("m").row_expires_at, bench.now + bench.config.ledger.retention_days);
}

class NeverLeft : public testing::TestWithParam<NotHandedOver> {};

TEST_P(NeverLeft, DoesNotCount) {
    Bench bench = bench_with_one({"plain"});
    bench.attempt("m", "plain");
    bench.never_left("m", GetParam());
    const bool backs_off = GetParam() == NotHandedOver::ConnectFailed;
    EXPECT_EQ(bench.state("m"), backs_off ? Retrying : Ready);
    EXPECT_EQ(bench.row("m").attempts, 0U);
    EXPECT_FALSE(bench.row("m").maybe_executed);
    EXPECT_FALSE(bench.row("m").intent);
    if (!backs_off) {
        EXPECT_EQ(bench.row("m").wake_at, bench.now);
    }
    bench.attempt("m", "plain");
    EXPECT_EQ(bench.sends.size(), 2U);
}

INSTANTIATE_TEST_SUITE_P(Why, NeverLeft,
                         testing::Values(NotHandedOver::ConnectFailed, NotHandedOver::EpochEnded,
                                         NotHandedOver::DeadlinePassed, NotHandedOver::ViewStale,
                                         NotHandedOver::SuppressionArrived,
                                         NotHandedOver::Withdrawn));

TEST(Attempt, ConnectionsThatFailNeverUseTheAttemptsUp) {
    Bench bench = bench_with_one();
    for (int attempt = 0; attempt < 20; ++attempt) {
        bench.attempt("m");
        bench.never_left("m", NotHandedOver::ConnectFailed);
        bench.advance(minutes{1});
    }
    EXPECT_EQ(bench.state("m"), Retrying);
}

TEST(Attempt, WithdrawnGoesBackUncounted) {
    Bench bench = bench_with_one();
    bench.attempt("m");
    const MessageId id("m");
    bench.feed(AttemptWithdrawn{id});
    EXPECT_EQ(bench.state("m"), Ready);
    EXPECT_EQ(bench.row("m").attempts, 0U);
    EXPECT_FALSE(bench.row("m").intent);
}

// --- retries ---

TEST(Attempt, RetryAfterIsObeyed) {
    Bench bench = bench_with_one();
    bench.attempt("m");
    bench.answer("m", 429, minutes{10});
    EXPECT_GE(bench.row("m").wake_at, bench.now + minutes{10});
    EXPECT_LE(bench.row("m").wake_at, bench.now + minutes{10} + kRetryBase);
}

TEST(Attempt, BackOffLooksAgainNoLaterThanItsTimeToLive) {
    Bench bench = bench_with_one();
    bench.attempt("m");
    bench.answer("m", 429, hours{24});
    bench.advance(hours{71});
    bench.attempt("m");
    bench.answer("m", 429, hours{24});
    EXPECT_EQ(bench.row("m").wake_at, bench.row("m").expires_at);
}

TEST(Attempt, ExhaustedAfterDefiniteAnswersIsFailed) {
    Bench bench = bench_with_one();
    for (std::uint32_t attempt = 1; attempt <= bench.config.dispatch.max_attempts; ++attempt) {
        ASSERT_FALSE(has_ended(bench.state("m")));
        bench.attempt("m");
        bench.answer("m", 429);
    }
    EXPECT_EQ(bench.state("m"), Failed);
    EXPECT_EQ(bench.reason("m"), Reason::RetriesExhausted);
    EXPECT_EQ(bench.outcomes.at(0).attempts, bench.config.dispatch.max_attempts);
}

TEST(Attempt, ExhaustedWithOneInDoubtIsAmbiguous) {
    Bench bench = bench_with_one();
    bench.attempt("m");
    bench.no_answer("m");
    bench.attempt("m");
    bench.answer("m", 429);
    bench.attempt("m");
    bench.answer("m", 429);
    EXPECT_EQ(bench.state("m"), Ambiguous);
    EXPECT_EQ(bench.reason("m"), Reason::RetriesExhausted);
}

TEST(Attempt, AccountRefusedUsesNoAttemptsUp) {
    Bench bench = bench_with_one();
    for (int attempt = 0; attempt < 10; ++attempt) {
        bench.attempt("m");
        bench.answer("m", 401);
    }
    EXPECT_EQ(bench.state("m"), Ready);
}

TEST(Attempt, AccountRefusedStepsAsideSoThatOthersAreTried) {
    Bench bench = bench_with_one();
    const auto aside = [&] {
        bench.attempt("m");
        bench.answer("m", 403);
        return bench.row("m").wake_at - bench.now;
    };
    EXPECT_EQ(aside(), Millis{2'000});
    bench.advance(Millis{5'000});
    EXPECT_EQ(aside(), Millis{12'000});
    bench.advance(Millis{95'000});
    EXPECT_EQ(aside(), Millis{25'000});
    bench.advance(std::chrono::hours{2});
    EXPECT_EQ(aside(), Millis{300'000});
    bench.config.routes[0].providers = {"keyed", "plain"};
    EXPECT_EQ(aside(), Millis{500}) << "it goes on to the next provider";
    bench.config.routes[0].providers = {"keyed"};
    bench.advance(bench.row("m").expires_at - bench.now - Millis{10});
    EXPECT_EQ(aside(), Millis{10});
}

// --- another provider of the route ---

TEST(Attempt, ADefiniteRejectionFallsBackToTheNextProvider) {
    Bench bench = bench_with_one({"keyed", "plain"});
    bench.attempt("m", "keyed");
    bench.answer("m", 422);
    EXPECT_EQ(bench.state("m"), Ready);
    EXPECT_EQ(bench.row("m").route_position, 1U);
    EXPECT_FALSE(bench.row("m").intent);
    bench.attempt("m", "plain");
    bench.answer("m", 202);
    EXPECT_EQ(bench.state("m"), Sent);
    EXPECT_EQ(bench.outcomes.at(0).provider, "plain");
    EXPECT_EQ(bench.outcomes.at(0).attempts, 2U);
}

TEST(Attempt, TheLastProvidersRejectionIsFinal) {
    Bench bench = bench_with_one({"keyed", "plain"});
    bench.attempt("m", "keyed");
    bench.answer("m", 422);
    bench.attempt("m", "plain");
    bench.answer("m", 422);
    EXPECT_EQ(bench.state("m"), Failed);
    EXPECT_EQ(bench.reason("m"), Reason::RejectedByProvider);
}

// The first one's circuit was open, so the runtime chose the second.
TEST(Attempt, AProviderThatRejectedIsNotAskedAgain) {
    Bench bench = bench_with_one({"keyed", "plain"});
    bench.attempt("m", "plain");
    bench.answer("m", 422);
    EXPECT_EQ(bench.state("m"), Failed);
    EXPECT_EQ(bench.outcomes.size(), 1U);
}

TEST(Attempt, NoOtherProviderWhileInDoubt) {
    Bench bench = bench_with_one({"keyed", "plain"});
    bench.attempt("m", "keyed");
    bench.no_answer("m");
    bench.attempt("m", "keyed");
    bench.answer("m", 422);  // says nothing about the first attempt
    EXPECT_EQ(bench.state("m"), Ambiguous);
    EXPECT_EQ(bench.reason("m"), Reason::RejectedByProvider);
}

TEST(Attempt, AThrottledProviderIsNotLeft) {
    Bench bench = bench_with_one({"keyed", "plain"});
    bench.attempt("m", "keyed");
    bench.answer("m", 429);
    EXPECT_EQ(bench.row("m").route_position, 0U);
}

TEST(Attempt, WhatAProviderCannotTakeFallsBackOrFails) {
    Bench bench = bench_with_one({"keyed", "plain"});
    const MessageId id("m");
    bench.feed(RenderFailed{id, bench.config.providers[0]});
    EXPECT_EQ(bench.state("m"), Ready);
    EXPECT_EQ(bench.row("m").route_position, 1U);
    bench.feed(RenderFailed{id, bench.config.providers[1]});
    EXPECT_EQ(bench.state("m"), Failed);
    EXPECT_EQ(bench.outcomes.at(0).attempts, 0U);
}

// --- a payload that today's decoder refuses ---

const Rejection kRefused{Reason::InvalidField, "content: required"};

void refuse_payload(Bench& bench, const std::string& id) {
    const MessageId message_id(id);
    bench.feed(PayloadUnreadable{message_id, kRefused});
}

TEST(PayloadUnreadableTest, WhatNeverLeftIsADeadLetterWithItsBytes) {
    for (const bool scheduled : {false, true}) {
        Bench bench;
        EventSpec spec{.id = "m"};
        if (scheduled) {
            spec.send_at = bench.now + std::chrono::hours{1};
        }
        const Offset offset = bench.receive(spec);
        refuse_payload(bench, "m");
        EXPECT_EQ(bench.state("m"), MessageState::DeadLettered);
        EXPECT_FALSE(bench.row("m").payload);
        ASSERT_EQ(bench.dead_letters.size(), 1U);
        const DeadLetter& letter = bench.dead_letters[0];
        EXPECT_EQ(letter.reason, Reason::InvalidField);
        EXPECT_EQ(letter.detail, "content: required");
        EXPECT_EQ(letter.record.value, "{m}");
        EXPECT_EQ(letter.record.key, "ann");
        EXPECT_EQ(letter.record.offset, offset);
        ASSERT_EQ(bench.outcomes.size(), 1U);
        EXPECT_EQ(bench.outcomes[0].outcome, Outcome::DeadLettered);
        EXPECT_EQ(bench.outcomes[0].reason, Reason::InvalidField);

        refuse_payload(bench, "m");  // ended: nothing more
        EXPECT_EQ(bench.outcomes.size(), 1U);
        bench.receive({.id = "m", .body = 2});  // what `dlq replay` does
        EXPECT_EQ(bench.state("m"), MessageState::Ready);
    }
}

TEST(PayloadUnreadableTest, WhatMayHaveBeenExecutedIsInDoubt) {
    for (const bool open : {true, false}) {
        Bench bench = bench_with_one({"keyed"});
        bench.attempt("m", "keyed");
        if (!open) {
            bench.no_answer("m");
            ASSERT_EQ(bench.state("m"), MessageState::Retrying);
        }
        refuse_payload(bench, "m");
        EXPECT_EQ(bench.state("m"), MessageState::Ambiguous);
        EXPECT_EQ(bench.reason("m"), Reason::RenderChanged);
        EXPECT_EQ(bench.outcomes.at(0).attempts, 1U);
        EXPECT_TRUE(bench.dead_letters.empty());
    }
}

TEST(PayloadUnreadableTest, ItsSequenceGoesOnAsAfterAnyStepThatWasNotSent) {
    for (const auto policy : {config::OnNotSent::Advance, config::OnNotSent::Halt}) {
        Bench bench;
        bench.config.ordering.on_not_sent = policy;
        bench.receive({.id = "m1", .step = 1});
        bench.receive({.id = "m2", .step = 2});
        bench.receive({.id = "m3", .step = 3});
        bench.send("m1");
        refuse_payload(bench, "m2");
        EXPECT_EQ(bench.state("m2"), MessageState::DeadLettered);
        if (policy == config::OnNotSent::Advance) {
            EXPECT_EQ(bench.state("m3"), MessageState::Ready);
            EXPECT_EQ(bench.sequence().expected, 3U);
        } else {
            EXPECT_EQ(bench.state("m3"), MessageState::Waiting);
            ASSERT_TRUE(bench.sequence().halt);
            EXPECT_EQ(bench.sequence().halt->step, 2U);
        }
    }
}

TEST(PayloadUnreadableTest, AStepThatStillWaitsMayEndAheadOfItsTurn) {
    Bench bench;
    bench.receive({.id = "m1", .step = 1});
    bench.receive({.id = "m2", .step = 2});
    bench.receive({.id = "m3", .step = 3});
    refuse_payload(bench, "m2");
    EXPECT_EQ(bench.state("m2"), MessageState::DeadLettered);
    bench.send("m1");
    EXPECT_EQ(bench.state("m3"), MessageState::Ready);  // stepped over, never stuck behind it
}

// --- replay with the same key ---

Bench in_doubt_keyed() {
    Bench bench = bench_with_one();
    bench.attempt("m", "keyed", 5);
    bench.no_answer("m");
    return bench;
}

TEST(Attempt, ReplayWithTheSameBytesResolvesTheDoubt) {
    Bench bench = in_doubt_keyed();
    const Instant first = bench.row("m").first_attempt_at;
    bench.advance(minutes{1});
    bench.attempt("m", "keyed", 5);
    EXPECT_EQ(bench.state("m"), Sending);
    EXPECT_EQ(bench.row("m").first_attempt_at, first);
    bench.answer("m", 200);
    EXPECT_EQ(bench.state("m"), Sent);
    EXPECT_EQ(bench.row("m").attempts, 2U);
}

TEST(Attempt, NoReplayWithOtherBytes) {
    Bench bench = in_doubt_keyed();
    bench.attempt("m", "keyed", 6);
    EXPECT_EQ(bench.state("m"), Ambiguous);
    EXPECT_EQ(bench.reason("m"), Reason::RenderChanged);
    EXPECT_EQ(bench.sends.size(), 1U);
}

TEST(Attempt, ChangedBytesMatterOnlyInDoubt) {
    Bench bench = bench_with_one();
    bench.attempt("m", "keyed", 5);
    bench.answer("m", 429);
    bench.attempt("m", "keyed", 6);
    EXPECT_EQ(bench.state("m"), Sending);
}

TEST(Attempt, NoReplayOnceTheKeyMayBeForgotten) {
    const auto replay_after = [](Millis age) {
        Bench bench = in_doubt_keyed();
        bench.advance(age);
        bench.attempt("m", "keyed", 5);
        return bench;
    };
    const Millis safe =
        hours{24} - minutes{5} - std::chrono::seconds{5 + 30};  // deadline and time-out
    EXPECT_EQ(replay_after(safe - Millis{1}).state("m"), Sending);
    const Bench late = replay_after(safe);
    EXPECT_EQ(late.state("m"), Ambiguous);
    EXPECT_EQ(late.reason("m"), Reason::KeyExpired);
    EXPECT_EQ(late.sends.size(), 1U);
}

TEST(Attempt, ADefiniteAnswerDoesNotEndAnEarlierDoubt) {
    Bench bench = in_doubt_keyed();
    bench.attempt("m", "keyed", 5);
    bench.never_left("m", NotHandedOver::ViewStale);
    EXPECT_TRUE(bench.row("m").maybe_executed);
    ASSERT_TRUE(bench.row("m").intent);  // whose bytes the next replay must repeat
    bench.attempt("m", "keyed", 6);
    EXPECT_EQ(bench.reason("m"), Reason::RenderChanged);
}

TEST(Attempt, SuppressedOrExpiredWhileInDoubtIsAmbiguous) {
    Bench suppressed = in_doubt_keyed();
    suppressed.suppress();
    suppressed.attempt("m", "keyed", 5);
    EXPECT_EQ(suppressed.state("m"), Ambiguous);
    EXPECT_EQ(suppressed.reason("m"), Reason::SuppressedWhileInDoubt);

    Bench expired = in_doubt_keyed();
    expired.now = expired.row("m").expires_at;
    expired.attempt("m", "keyed", 5);
    EXPECT_EQ(expired.state("m"), Ambiguous);
    EXPECT_EQ(expired.reason("m"), Reason::ExpiredWhileInDoubt);
}

TEST(Attempt, AKeyKnownWithOtherBytesIsAmbiguous) {
    Bench bench = in_doubt_keyed();
    bench.attempt("m", "keyed", 5);
    AttemptResult result;
    result.kind = AttemptResult::Kind::Answered;
    result.answer.status = 409;
    result.answer.error_word = "invalid_idempotent_request";
    bench.finish("m", result);
    EXPECT_EQ(bench.state("m"), Ambiguous);
    EXPECT_EQ(bench.reason("m"), Reason::RenderChanged);
}

// --- the route's policy ---

struct PolicyCase {
    std::string name;
    config::RouteOnAmbiguous policy;
    std::string provider;
    MessageState state;
    friend void PrintTo(const PolicyCase& c, std::ostream* out) { *out << c.name; }
};
class Policies : public testing::TestWithParam<PolicyCase> {};

TEST_P(Policies, DecideAboutSilence) {
    Bench bench = bench_with_one({GetParam().provider});
    bench.config.routes[0].on_ambiguous = GetParam().policy;
    bench.attempt("m", GetParam().provider);
    bench.no_answer("m");
    EXPECT_EQ(bench.state("m"), GetParam().state);
    if (GetParam().state == Retrying) {
        bench.attempt("m", GetParam().provider);
        EXPECT_EQ(bench.state("m"), Sending);
    } else {
        EXPECT_EQ(bench.reason("m"), Reason::NoIdempotency);
    }
}

using enum config::RouteOnAmbiguous;
INSTANTIATE_TEST_SUITE_P(OnAmbiguous, Policies,
                         testing::Values(PolicyCase{"auto_keyed", Auto, "keyed", Retrying},
                                         PolicyCase{"auto_plain", Auto, "plain", Ambiguous},
                                         PolicyCase{"park_keyed", Park, "keyed", Ambiguous},
                                         PolicyCase{"park_plain", Park, "plain", Ambiguous},
                                         PolicyCase{"resend_keyed", Resend, "keyed", Retrying},
                                         PolicyCase{"resend_plain", Resend, "plain", Retrying}),
                         [](const auto& given) { return given.param.name; });

// --- what must never happen stops the process ---

TEST(AttemptDeathTest, AnOpenIntentIsNotAttemptedAgain) {
    Bench bench = bench_with_one();
    bench.attempt("m");
    EXPECT_DEATH(bench.attempt("m"), "only a live message without an open intent");
}

TEST(AttemptDeathTest, AResultWithoutAnIntentIsNobodys) {
    Bench bench = bench_with_one();
    EXPECT_DEATH(bench.answer("m", 202), "a result belongs to an open intent");
}

}  // namespace
}  // namespace postlane
