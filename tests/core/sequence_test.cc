// Protocol section 7: which step may go, which wait, what is missing, and when a sequence stands
// still.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sequence_bench.h"

namespace postlane {
namespace {

using enum MessageState;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;

// --- places ---

TEST(Sequence, FirstStepIsEligibleLaterOnesWait) {
    Bench bench;
    receive_steps(bench, {1, 2, 3});
    EXPECT_EQ(bench.state("m1"), Ready);
    EXPECT_EQ(bench.state("m2"), Waiting);
    EXPECT_EQ(bench.state("m3"), Waiting);
    EXPECT_EQ(bench.counts[Count::What::Gap], 0);
}

TEST(Sequence, StepsGoOneByOne) {
    Bench bench;
    receive_steps(bench, {1, 2, 3});
    bench.send("m1");
    EXPECT_EQ(bench.state("m2"), Ready);
    EXPECT_EQ(bench.state("m3"), Waiting);
    bench.send("m2");
    bench.send("m3");
    EXPECT_EQ(bench.sequence().expected, 4U);
    EXPECT_TRUE(bench.view.steps.empty());
}

TEST(Sequence, AMissingStepHoldsAndCountsAsAGap) {
    Bench bench;
    receive_steps(bench, {1, 3, 4});
    EXPECT_EQ(bench.state("m3"), Held);
    EXPECT_EQ(bench.state("m4"), Held);
    EXPECT_EQ(bench.counts[Count::What::Gap], 2);
    EXPECT_EQ(bench.sequence().held, 2U);
    EXPECT_EQ(bench.row("m3").wake_at, bench.now + bench.config.ordering.max_wait);
    bench.send("m1");
    EXPECT_EQ(bench.state("m3"), Held);  // 2 is missing

    receive_steps(bench, {2});
    EXPECT_EQ(bench.sequence().held, 0U);
    EXPECT_EQ(bench.state("m2"), Ready);
    bench.send("m2");
    EXPECT_EQ(bench.state("m3"), Ready);
    bench.send("m3");
    bench.send("m4");
}

TEST(Sequence, EachSequenceCountsForItself) {
    Bench bench;
    bench.receive({.id = "a", .step = 2, .sequence_id = "one"});
    bench.receive({.id = "b", .step = 1, .sequence_id = "two"});
    bench.receive({.id = "c"});
    EXPECT_EQ(bench.state("a"), Held);
    EXPECT_EQ(bench.state("b"), Ready);
    EXPECT_EQ(bench.state("c"), Ready);
}

TEST(Sequence, LateStepIsNeverSent) {
    Bench bench;
    receive_steps(bench, {1});
    bench.send("m1");
    bench.receive({.id = "again", .step = 1});
    EXPECT_EQ(bench.state("again"), DeadLettered);
    EXPECT_EQ(bench.reason("again"), Reason::LateStep);
    EXPECT_TRUE(bench.row("again").outside_sequence);
    EXPECT_EQ(bench.dead_letters.at(0).record.value, "{again}");
    EXPECT_EQ(bench.counts[Count::What::OutOfOrder], 1);
    EXPECT_EQ(bench.sequence().expected, 2U);
}

TEST(Sequence, ALiveStepUnderAnotherIdIsAConflict) {
    Bench bench;
    receive_steps(bench, {1, 2, 4});
    for (const Step step : {1U, 2U, 4U}) {
        const std::string id = "other" + std::to_string(step);
        bench.receive({.id = id, .step = step});
        EXPECT_EQ(bench.reason(id), Reason::StepConflict);
    }
    // The losers took nothing from the sequence.
    bench.send("m1");
    bench.send("m2");
    EXPECT_EQ(bench.state("m4"), Held);
    EXPECT_EQ(bench.sequence().held, 1U);
}

TEST(Sequence, HeldOverflowIsADeadLetterAndTheRestGoesOn) {
    Bench bench;
    bench.config.ordering.max_held = 2;
    receive_steps(bench, {3, 4, 5});
    EXPECT_EQ(bench.reason("m5"), Reason::HeldOverflow);
    EXPECT_EQ(bench.counts[Count::What::Gap], 3) << "it, too, came before its turn";
    EXPECT_EQ(bench.sequence().held, 2U);
    receive_steps(bench, {1, 2});
    for (const char* id : {"m1", "m2", "m3", "m4"}) {
        bench.send(id);
    }
    EXPECT_EQ(bench.sequence().expected, 5U);
}

TEST(Sequence, WaitingStepsDoNotOverflow) {
    Bench bench;
    bench.config.ordering.max_held = 1;
    receive_steps(bench, {1, 2, 3, 4, 5});
    EXPECT_EQ(bench.state("m5"), Waiting);
}

TEST(Sequence, AdoptBeginsWithTheFirstSeen) {
    Bench bench;
    bench.config.ordering.first_step = config::FirstStep::Adopt;
    receive_steps(bench, {7});
    EXPECT_EQ(bench.state("m7"), Ready);
    receive_steps(bench, {6, 8});
    EXPECT_EQ(bench.reason("m6"), Reason::LateStep);
    bench.send("m7");
    EXPECT_EQ(bench.state("m8"), Ready);
}

// --- gaps ---

TEST(Sequence, GapTimeoutDeadLettersThatMessageAlone) {
    Bench bench = bench_with(config::OnGap::DeadLetter);
    receive_steps(bench, {1});
    bench.send("m1");
    receive_steps(bench, {3});
    bench.advance(hours{1});
    receive_steps(bench, {4});
    bench.advance(hours{23});

    bench.wake("m3");

    EXPECT_EQ(bench.reason("m3"), Reason::GapTimeout);
    EXPECT_EQ(bench.dead_letters.at(0).record.value, "{m3}");
    EXPECT_EQ(bench.dead_letters.at(0).record.key, "ann");
    EXPECT_EQ(bench.state("m4"), Held);
    EXPECT_EQ(bench.sequence().expected, 2U);
    EXPECT_EQ(bench.sequence().held, 1U);
}

TEST(Sequence, AGapTimeoutCanBeReplayed) {
    Bench bench = bench_with(config::OnGap::DeadLetter);
    receive_steps(bench, {3});
    bench.advance(hours{24});
    bench.wake("m3");
    ASSERT_EQ(bench.reason("m3"), Reason::GapTimeout);

    receive_steps(bench, {1, 2, 3});

    bench.send("m1");
    bench.send("m2");
    bench.send("m3");
    EXPECT_EQ(bench.sequence().expected, 4U);
    EXPECT_EQ(bench.outcomes.size(), 4U);  // the dead letter's, and one each
}

TEST(Sequence, AGapTimeoutLeavesAGapForWhatIsAbove) {
    Bench bench = bench_with(config::OnGap::DeadLetter);
    receive_steps(bench, {2, 3});
    bench.wake("m3");  // too early: nothing happens
    EXPECT_EQ(bench.state("m3"), Held);
    bench.advance(hours{24});
    bench.wake("m2");
    receive_steps(bench, {1});
    bench.send("m1");
    EXPECT_EQ(bench.state("m3"), Held);  // 2 is missing again
    EXPECT_EQ(bench.sequence().held, 1U);
    receive_steps(bench, {2});
    EXPECT_EQ(bench.state("m2"), Ready);
}

TEST(Sequence, TheTimerOfOneThatNoLongerMissesAnythingDoesNothing) {
    Bench bench = bench_with(config::OnGap::DeadLetter);
    receive_steps(bench, {2, 1});
    EXPECT_EQ(bench.state("m2"), Held);  // in name: its row is written when its timer or turn comes
    bench.advance(hours{24});
    bench.wake("m2");
    EXPECT_EQ(bench.state("m2"), Waiting);
    bench.send("m1");
    EXPECT_EQ(bench.state("m2"), Ready);
}

TEST(Sequence, SkipGivesUpOnTheMissingAndNamesThem) {
    Bench bench = bench_with(config::OnGap::Skip);
    receive_steps(bench, {1});
    bench.send("m1");
    receive_steps(bench, {4, 5});
    bench.advance(hours{24});

    bench.wake("m4");

    EXPECT_EQ(bench.state("m4"), Ready);
    EXPECT_EQ(bench.sequence().held, 0U);
    bench.send("m4");
    EXPECT_THAT(skipped_before(bench, "m4"), ElementsAre(2, 3));
    bench.send("m5");
    EXPECT_THAT(skipped_before(bench, "m5"), IsEmpty());  // named once
    receive_steps(bench, {2, 3});
    EXPECT_EQ(bench.reason("m2"), Reason::LateStep);
    EXPECT_EQ(bench.reason("m3"), Reason::LateStep);
}

TEST(Sequence, SkipWithSeveralGapsGoesInOrder) {
    Bench bench = bench_with(config::OnGap::Skip);
    receive_steps(bench, {7});
    bench.advance(minutes{1});
    receive_steps(bench, {3, 5});  // younger timers, lower steps
    bench.advance(hours{24} - minutes{1});

    bench.wake("m7");

    EXPECT_EQ(bench.state("m3"), Ready);
    EXPECT_EQ(bench.state("m7"), Waiting);
    bench.send("m3");
    bench.send("m5");
    bench.send("m7");
    EXPECT_THAT(skipped_before(bench, "m3"), ElementsAre(1, 2));
    EXPECT_THAT(skipped_before(bench, "m5"), ElementsAre(4));
    EXPECT_THAT(skipped_before(bench, "m7"), ElementsAre(6));
    EXPECT_EQ(bench.sequence().expected, 8U);
    EXPECT_EQ(bench.sequence().held, 0U);
}

TEST(Sequence, SkipLeavesALiveLowerStepItsTurn) {
    Bench bench = bench_with(config::OnGap::Skip);
    receive_steps(bench, {1, 3});
    bench.attempt("m1");
    bench.advance(hours{24});
    bench.wake("m3");
    EXPECT_EQ(bench.state("m1"), Sending);
    EXPECT_EQ(bench.state("m3"), Waiting);
    receive_steps(bench, {2});
    EXPECT_EQ(bench.reason("m2"), Reason::LateStep);  // skipped, though 1 has not ended
    bench.answer("m1", 202);
    EXPECT_EQ(bench.state("m3"), Ready);
    bench.send("m3");
    EXPECT_THAT(skipped_before(bench, "m3"), ElementsAre(2));
}

TEST(Sequence, WaitLastsAsLongAsTheLongestHalt) {
    Bench bench = bench_with(config::OnGap::Wait);
    receive_steps(bench, {2});
    EXPECT_EQ(bench.row("m2").wake_at, bench.now + bench.config.ordering.max_halt);
    bench.receive({.id = "m3", .step = 3, .expires_at = bench.now + days{1}});
    EXPECT_EQ(bench.row("m3").wake_at, bench.now + days{1});
    bench.advance(days{1});
    bench.wake("m3");
    EXPECT_EQ(bench.reason("m3"), Reason::TtlPassed);
    EXPECT_EQ(bench.state("m2"), Held);
    bench.advance(bench.config.ordering.max_halt - days{1});
    bench.wake("m2");
    EXPECT_EQ(bench.state("m2"), Expired);
    EXPECT_EQ(bench.reason("m2"), Reason::SequenceHalted);
    receive_steps(bench, {1});
    EXPECT_EQ(bench.state("m1"), Ready);
}

TEST(Sequence, ADefaultTimeToLiveBeginsWhenTheGapIsGivenUp) {
    Bench bench = bench_with(config::OnGap::Skip);
    bench.config.dispatch.default_ttl = hours{1};
    receive_steps(bench, {2});
    bench.advance(bench.config.ordering.max_wait);
    bench.wake("m2");
    EXPECT_EQ(bench.state("m2"), Ready);
    EXPECT_EQ(bench.row("m2").expires_at, bench.now + hours{1});
}

// Neither an outage nor an old topic makes a step younger.
TEST(Sequence, WaitingForAGapBlastsNothingOld) {
    Bench outage = bench_with(config::OnGap::Skip);
    receive_steps(outage, {2});
    outage.advance(days{20});
    outage.wake("m2");
    EXPECT_EQ(outage.reason("m2"), Reason::TtlPassed);

    Bench old_topic = bench_with(config::OnGap::Skip);
    old_topic.receive({.id = "m2", .step = 2, .recorded_at = old_topic.now - days{20}});
    old_topic.advance(old_topic.config.ordering.max_wait);
    old_topic.wake("m2");
    EXPECT_EQ(old_topic.reason("m2"), Reason::TtlPassed);
}

TEST(Sequence, SkippedStepsThatNobodyFollowsAreNamedByTheNextThatArrives) {
    Bench bench = bench_with(config::OnGap::Skip);
    receive_steps(bench, {1});
    bench.send("m1");
    bench.receive({.id = "m3", .step = 3, .expires_at = bench.now + hours{30}});
    bench.advance(hours{24});
    bench.wake("m3");
    ASSERT_EQ(bench.state("m3"), Ready);
    bench.suppress();
    bench.attempt("m3");
    EXPECT_EQ(bench.state("m3"), SuppressedAtSend);
    EXPECT_THAT(skipped_before(bench, "m3"), ElementsAre(2));
}

// --- ended ahead of their turn ---

TEST(Sequence, AHeldStepThatExpiresIsSteppedOver) {
    Bench bench = bench_with(config::OnGap::Wait);
    bench.receive({.id = "m2", .step = 2, .expires_at = bench.now + hours{1}});
    receive_steps(bench, {3});
    bench.advance(hours{1});
    bench.wake("m2");
    EXPECT_EQ(bench.state("m2"), Expired);
    EXPECT_TRUE(bench.row("m2").ended_ahead);
    EXPECT_EQ(bench.sequence().held, 1U);

    receive_steps(bench, {1});
    EXPECT_EQ(bench.sequence().held, 0U);
    bench.send("m1");

    EXPECT_EQ(bench.state("m3"), Ready);
    EXPECT_EQ(bench.sequence().expected, 3U);
    bench.send("m3");
    EXPECT_THAT(skipped_before(bench, "m3"), IsEmpty());  // it ended, it was not skipped
    EXPECT_TRUE(bench.view.steps.empty());
}

TEST(Sequence, AStepThatEndedAheadIsLateUnderAnotherId) {
    Bench bench;
    bench.receive({.id = "m1", .step = 1});
    bench.receive({.id = "m2", .step = 2, .expires_at = bench.now + hours{1}});
    bench.advance(hours{1});
    bench.wake("m2");
    bench.receive({.id = "other", .step = 2});
    EXPECT_EQ(bench.reason("other"), Reason::LateStep);
}

TEST(Sequence, NotSentAdvancesByDefault) {
    Bench bench;
    receive_steps(bench, {1, 2});
    bench.attempt("m1", "plain");
    bench.config.routes[0].providers = {"plain"};
    bench.answer("m1", 400);
    EXPECT_EQ(bench.state("m1"), Failed);
    EXPECT_EQ(bench.state("m2"), Ready);
}

// --- spacing and delays ---

TEST(Sequence, TheNextStepIsDueAfterSpacingAndDelay) {
    Bench bench;
    bench.config.ordering.min_spacing = minutes{10};
    bench.receive({.id = "m1", .step = 1, .delay = hours{5}});  // of a first step: ignored
    EXPECT_EQ(bench.state("m1"), Ready);
    bench.receive({.id = "m2", .step = 2, .delay = minutes{5}});
    bench.receive({.id = "m3", .step = 3, .delay = hours{1}});
    bench.receive({.id = "m4", .step = 4, .send_at = bench.now + days{2}});
    const auto send_at = [&](const std::string& id, Instant when) {
        EXPECT_EQ(bench.row(id).due_at, when);
        bench.now = when;
        bench.send(id);
    };
    const Instant start = bench.now;
    send_at("m1", start);
    EXPECT_EQ(bench.state("m2"), Scheduled);
    EXPECT_EQ(bench.row("m2").wake_at, start + minutes{10});
    send_at("m2", start + minutes{10});
    send_at("m3", start + minutes{70});
    send_at("m4", start + days{2});
}

TEST(Sequence, PreviousEndIsTheAcceptanceIfSent) {
    Bench bench;
    bench.config.ordering.min_spacing = minutes{10};
    receive_steps(bench, {1, 2});
    bench.attempt("m1");
    const Instant accepted = bench.now + Millis{300};
    bench.advance(minutes{3});  // the partition was away
    AttemptResult result;
    result.kind = AttemptResult::Kind::Answered;
    result.answer.status = 202;
    const MessageId id("m1");
    bench.feed(AttemptEnded{id, result, accepted});
    EXPECT_EQ(bench.row("m2").due_at, accepted + minutes{10});
}

TEST(Sequence, AStepThatArrivesLateCountsFromTheEndBeforeIt) {
    Bench bench;
    receive_steps(bench, {1});
    bench.send("m1");
    const Instant ended = bench.now;
    bench.advance(minutes{10});
    bench.receive({.id = "m2", .step = 2, .delay = hours{1}});
    EXPECT_EQ(bench.row("m2").due_at, ended + hours{1});
}

TEST(Sequence, SpacingIsNotPerRecipient) {
    Bench bench;
    bench.config.ordering.min_spacing = hours{1};
    receive_steps(bench, {1});
    bench.send("m1");
    bench.receive({.id = "other", .step = 1, .sequence_id = "two"});
    bench.receive({.id = "single"});
    EXPECT_EQ(bench.state("other"), Ready);
    EXPECT_EQ(bench.state("single"), Ready);
}

TEST(Sequence, TimeToLiveCountsFromWhenTheStepIsExpected) {
    Bench bench;
    receive_steps(bench, {1, 2});
    bench.attempt("m1");
    bench.answer("m1", 503, hours{23});
    bench.advance(days{2});
    bench.attempt("m1");
    bench.answer("m1", 503, hours{23});
    bench.advance(hours{23});
    bench.send("m1");  // 71 hours after its arrival; the second one arrived then, too
    EXPECT_EQ(bench.row("m2").expires_at, bench.now + bench.config.dispatch.default_ttl);
    bench.advance(bench.config.dispatch.default_ttl - Millis{1});
    bench.wake("m2");
    EXPECT_EQ(bench.state("m2"), Ready);
    bench.advance(Millis{1});
    bench.wake("m2");
    EXPECT_EQ(bench.state("m2"), Expired);
}

TEST(Sequence, AGivenExpiryCountsFromNothing) {
    Bench bench;
    receive_steps(bench, {1});
    bench.receive({.id = "m2", .step = 2, .expires_at = bench.now + hours{1}});
    bench.receive({.id = "m3", .step = 3});
    EXPECT_EQ(bench.row("m2").wake_at, bench.now + hours{1});
    bench.attempt("m1");
    bench.advance(hours{2});
    bench.answer("m1", 202);  // nobody looked at the second one in between
    EXPECT_EQ(bench.state("m2"), Expired);
    EXPECT_EQ(bench.state("m3"), Ready);
}

TEST(Sequence, AnIdleSequenceIsForgottenInTheEndALiveOneIsNot) {
    Bench bench;
    receive_steps(bench, {1});
    EXPECT_EQ(bench.sequence().row_expires_at, Instant{});
    bench.send("m1");
    EXPECT_GT(bench.sequence().row_expires_at, bench.now + days{365});
}

}  // namespace
}  // namespace postlane
