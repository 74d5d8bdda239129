// What a restart of the partition, or a process that takes it over, makes of what was under way.
#include "runtime/partition_runner.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runner_bench.h"

namespace postlane {
namespace {

using enum MessageState;
using std::chrono::hours;
using std::chrono::seconds;

TEST(PartitionRestartTest, OwnIntentNeverSubmittedGoesBackUncounted) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.prove_fresh();
    bench.runner->decide(bench.now);
    // Committed, as it turns out, but the answer to the commit never came.
    (void)bench.ledger.commit(bench.runner->seal(bench.now).records);
    bench.start();
    EXPECT_EQ(bench.flow.in_flight(), 0U);

    EXPECT_EQ(bench.state("ann", "m"), Ready);
    EXPECT_EQ(bench.message("ann", "m")->attempts, 0U);
    bench.settle();
    EXPECT_EQ(bench.on_the_wire(), 1U);
    bench.answer(202);
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Sent);
    EXPECT_EQ(bench.message("ann", "m")->attempts, 1U);
}

TEST(PartitionRestartTest, AnAbortedCommitIsDecidedAnew) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.prove_fresh();
    bench.runner->decide(bench.now);
    (void)bench.runner->seal(bench.now);  // aborted
    bench.start();
    EXPECT_EQ(bench.on_the_wire(), 0U);
    EXPECT_EQ(bench.runner->next_offsets().sends, 0);
    bench.next_send = 0;
    bench.send("ann", "m");
    bench.settle();
    EXPECT_EQ(bench.on_the_wire(), 1U);
}

TEST(PartitionRestartTest, NothingIsCountedBeforeItsCommit) {
    RunnerBench bench;
    const auto events = [&] {
        bench.send_step("ann", "gap", 3);
        bench.send_step("ann", "gap", 3);
        bench.suppress("bob");
    };
    events();
    bench.prove_fresh();
    bench.runner->decide(bench.now);
    (void)bench.runner->seal(bench.now);  // aborted
    EXPECT_EQ(bench.metrics.gaps + bench.metrics.duplicates, 0U);
    EXPECT_EQ(bench.metrics.taken[InputTopic::Sends], 0U);
    bench.start();
    bench.rewind();
    bench.settle();
    EXPECT_EQ(bench.metrics.gaps, 1U);
    EXPECT_EQ(bench.metrics.duplicates, 1U);
    EXPECT_EQ(bench.runner->ordering().gaps, 1U);
    EXPECT_EQ(bench.metrics.taken[InputTopic::Sends], 2U);
    EXPECT_EQ(bench.metrics.taken[InputTopic::Suppressions], 1U);

    // Nor an attempt whose result has to be decided again.
    bench.send("eve", "m");
    bench.settle();
    bench.answer(202);
    bench.runner->on_results(bench.registry->take(0));
    bench.runner->decide(bench.now);
    (void)bench.runner->seal(bench.now);  // aborted
    EXPECT_EQ(bench.metrics.attempts[AnswerClass::Accepted], 0U);
    bench.start();
    bench.rewind();
    bench.settle();
    EXPECT_EQ(bench.metrics.attempts[AnswerClass::Accepted], 1U);
}

TEST(PartitionRestartTest, HeldStepsAreCountedAgain) {
    RunnerBench bench;
    const auto name = [](int number) { return "r" + std::to_string(number); };
    constexpr int kRecipients = 600;  // more than are counted at once
    for (int number = 0; number < kRecipients; ++number) {
        bench.send_step(name(number), "m3", 3);
    }
    bench.send_step("ann", "m1", 1);  // not held, nor is what waits behind it
    bench.send_step("ann", "m2", 2);
    bench.settle();
    EXPECT_EQ(bench.metrics.held_now, kRecipients);

    bench.metrics.held_now = 0;
    bench.start();
    EXPECT_GT(bench.metrics.held_now, 0);
    EXPECT_EQ(bench.runner->next_wake(bench.now), bench.now.boot);  // there is more to count
    // Changes on both sides of what has been counted.
    bench.send_step(name(0), "m4", 4);
    bench.send_step(name(599), "m4", 4);
    bench.send_step(name(1), "m1", 1);
    bench.send_step(name(1), "m2", 2);
    bench.send_step(name(598), "m1", 1);
    bench.send_step(name(598), "m2", 2);
    bench.settle();
    EXPECT_EQ(bench.metrics.held_now, kRecipients + 2 - 2);
    EXPECT_EQ(bench.runner->ordering().held, kRecipients);
    EXPECT_GT(bench.runner->next_wake(bench.now), bench.now.boot);
}

TEST(PartitionRestartTest, OwnIntentOnTheWireIsAwaited) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    const DispatchRequest request = bench.take_submitted();
    bench.registry->handed_over(request.attempt);
    bench.start();
    bench.advance(hours{1});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Sending);
    EXPECT_EQ(bench.on_the_wire(), 0U);

    AttemptResult result;
    result.kind = AttemptResult::Kind::Answered;
    result.answer.status = 202;
    bench.finish(request, std::move(result));
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Sent);
    EXPECT_EQ(bench.flow.in_flight(), 0U);
}

TEST(PartitionRestartTest, AnAwaitedIntentKeepsItsStep) {
    RunnerBench bench;
    bench.send_step("ann", "m1", 1);  // straight through: the store never had its step
    bench.settle();
    bench.start();
    bench.send_step("ann", "other", 1);
    bench.send_step("ann", "m2", 2);
    bench.settle();
    EXPECT_EQ(bench.message("ann", "other")->reason, Reason::StepConflict);
    EXPECT_EQ(bench.state("ann", "m2"), Waiting);
    bench.answer(202);
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), Sending);
}

TEST(PartitionRestartTest, AResultWhoseCommitFailedIsDecidedAgain) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    bench.answer(202);
    bench.prove_fresh();
    bench.runner->on_results(bench.registry->take(0));
    bench.runner->decide(bench.now);
    (void)bench.runner->seal(bench.now);  // aborted
    bench.start();
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Sent);
    EXPECT_EQ(bench.on_the_wire(), 0U);
    EXPECT_EQ(bench.flow.in_flight(), 0U);
}

TEST(PartitionRestartTest, ASecondIntentWaitsBehindOneThatIsAwaited) {
    RunnerBench bench;
    bench.send("ann", "m1");
    bench.send("ann", "m2");
    bench.settle();
    bench.start();
    bench.settle();
    EXPECT_EQ(bench.on_the_wire(), 1U);
    EXPECT_EQ(bench.state("ann", "m2"), Ready);
}

TEST(PartitionRestartTest, AForeignIntentWaitsOutItsLease) {
    RunnerBench bench;
    bench.send("ann", "m1");
    bench.settle();
    const std::string key = header_of(bench.dispatcher.submitted[0], "Idempotency-Key");
    ASSERT_FALSE(key.empty());
    const std::string body = bench.dispatcher.submitted[0].request.body;
    bench.dispatcher.submitted.clear();
    bench.start_process(8);  // the other one died; its credits are its own
    bench.send("ann", "m2");
    bench.send("bob", "n");

    bench.settle();
    EXPECT_EQ(bench.state("ann", "m1"), Sending);
    EXPECT_EQ(bench.state("ann", "m2"), Ready);  // only that recipient waits
    EXPECT_EQ(bench.state("bob", "n"), Sending);
    bench.dispatcher.submitted.clear();

    // 5 s deadline + 30 s request time-out + 1 s.
    bench.advance(seconds{36} - Millis{1});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m1"), Sending);
    EXPECT_EQ(bench.on_the_wire(), 0U);
    bench.advance(Millis{1});
    bench.settle();
    EXPECT_NE(bench.state("ann", "m1"), Sending);
    EXPECT_TRUE(bench.message("ann", "m1")->maybe_executed);
    // Free for the recipient's other mail, and replayed with the same key and bytes.
    bench.advance(seconds{2});
    bench.settle();
    std::vector<DispatchRequest> requests = std::move(bench.dispatcher.submitted);
    bench.dispatcher.submitted.clear();
    ASSERT_EQ(requests.size(), 1U);
    bench.dispatcher.submitted = std::move(requests);
    const bool replay_first = header_of(bench.dispatcher.submitted[0], "Idempotency-Key") == key;
    if (!replay_first) {
        bench.answer(202);
        bench.settle();
    }
    ASSERT_EQ(bench.on_the_wire(), 1U);
    EXPECT_EQ(header_of(bench.dispatcher.submitted[0], "Idempotency-Key"), key);
    EXPECT_EQ(bench.dispatcher.submitted[0].request.body, body);
}

TEST(PartitionRestartTest, AForeignIntentIsDecidedOnAFreshViewOnly) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    bench.start_process(8);
    bench.advance(seconds{36});
    bench.runner->decide(bench.now);
    EXPECT_EQ(bench.state("ann", "m"), Sending);
    EXPECT_NE(bench.runner->wants_fresh_since(), BootInstant{});
    bench.suppress("ann");
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Ambiguous);
    EXPECT_EQ(bench.message("ann", "m")->reason, Reason::SuppressedWhileInDoubt);
}

TEST(PartitionRestartTest, ScheduledMailSurvivesARestart) {
    RunnerBench bench;
    bench.send("ann", "m", R"("send_at":"2025-12-01T10:00:00Z")");
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Scheduled);
    bench.start();
    bench.advance(hours{1} - Millis{1});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Scheduled);
    bench.advance(Millis{1});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Sending);
}

// Stored by a program that accepted it: this one's decoder wants `content`.
void make_unreadable(RunnerBench& bench, const std::string& marker) {
    const auto damage = [&](std::string& row) {
        const auto at = row.find("\"content\"");
        if (row.find(marker) != std::string::npos && at != std::string::npos) {
            row[at + 1] = 'k';
        }
    };
    for (LedgerTopic::Entry& entry : bench.ledger.entries) {
        if (entry.value) {
            damage(*entry.value);
        }
    }
    for (auto& [key, row] : bench.store.rows) {
        damage(row);
    }
}

std::size_t dead_letters(const RunnerBench& bench) {
    return static_cast<std::size_t>(std::count_if(
        bench.written.begin(), bench.written.end(),
        [](const OutRecord& out) { return out.destination == Destination::DeadLetters; }));
}

TEST(PartitionRestartTest, AStoredPayloadThatIsRefusedEndsWhenItIsDue) {
    RunnerBench bench;
    const std::string later = R"("send_at":"2025-12-01T10:00:00Z")";
    bench.send("ann", "scheduled", later);
    bench.settle();
    ASSERT_EQ(bench.state("ann", "scheduled"), Scheduled);
    make_unreadable(bench, "scheduled");
    bench.start();
    bench.advance(hours{2});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "scheduled"), DeadLettered);
    EXPECT_EQ(bench.message("ann", "scheduled")->reason, Reason::InvalidField);
    EXPECT_EQ(dead_letters(bench), 1U);
    EXPECT_EQ(bench.flow.in_flight(), 0U);
    EXPECT_EQ(bench.on_the_wire(), 0U);
}

TEST(PartitionRestartTest, AStoredStepThatIsRefusedDoesNotBlockItsSequence) {
    RunnerBench bench;
    bench.send_step("ann", "m1", 1);
    bench.send_step("ann", "m2", 2);
    bench.send_step("ann", "m3", 3);
    bench.settle();
    make_unreadable(bench, "\"m2\"");
    bench.start();
    bench.answer(202);
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), DeadLettered);
    EXPECT_EQ(dead_letters(bench), 1U);
    ASSERT_EQ(bench.state("ann", "m3"), Sending);
    bench.answer(202);
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m3"), Sent);
}

TEST(PartitionRestartTest, AForeignIntentWhosePayloadIsRefusedIsAmbiguous) {
    RunnerBench bench;
    bench.send("ann", "m1");
    bench.settle();
    bench.dispatcher.submitted.clear();
    make_unreadable(bench, "m1");
    bench.start_process(8);
    bench.send("ann", "m2");
    bench.advance(seconds{36});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m1"), Ambiguous);
    EXPECT_EQ(bench.message("ann", "m1")->reason, Reason::RenderChanged);
    EXPECT_EQ(dead_letters(bench), 0U);
    EXPECT_EQ(bench.state("ann", "m2"), Sending);  // the recipient is free again
}

TEST(PartitionRestartTest, AStoreThatFailsStopsEverything) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.prove_fresh();
    bench.store.broken = true;
    bench.runner->decide(bench.now);
    EXPECT_TRUE(bench.runner->failure());
    EXPECT_EQ(bench.on_the_wire(), 0U);
}

TEST(PartitionRestartTest, LeavingMakesNoNewIntents) {
    RunnerBench bench;
    bench.send("ann", "m1");
    bench.send("ann", "m2");
    bench.settle();
    bench.runner->stop_intents();
    EXPECT_FALSE(bench.runner->wants_sends());
    bench.answer(202);
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m1"), Sent);
    EXPECT_EQ(bench.state("ann", "m2"), Ready);
    EXPECT_EQ(bench.runner->open_intents(), 0U);
}

}  // namespace
}  // namespace postlane
