// A partition's runner with its ports in memory: what is decided when, what is durable before what,
// and what a restart or another process makes of open intents.
#include "runtime/partition_runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/ledger_codec.h"
#include "runner_bench.h"

namespace postlane {
namespace {

using enum MessageState;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;
using testing::HasSubstr;
using testing::Not;

// --- order within a sequence ---

TEST(PartitionRunnerTest, StepGoesOnceTheOneBeforeItWasAccepted) {
    RunnerBench bench;
    bench.send_step("ann", "m1", 1);
    bench.send_step("ann", "m2", 2);
    bench.settle();
    ASSERT_EQ(bench.on_the_wire(), 1U);
    EXPECT_EQ(bench.state("ann", "m2"), Waiting);

    bench.answer(202);
    bench.turn();

    // The result of the one and the intent of the other, in one transaction.
    EXPECT_EQ(bench.state("ann", "m1"), Sent);
    EXPECT_EQ(bench.state("ann", "m2"), Sending);
    EXPECT_EQ(bench.on_the_wire(), 1U);
}

TEST(PartitionRunnerTest, AProvidersIdThatNamesTheRecipientsAddressIsNotKept) {
    RunnerBench bench;
    bench.send("ann", "echo");
    bench.settle();
    bench.answer(202, "to-ANN@Example.com");
    bench.turn();
    EXPECT_THAT(*bench.written.back().value, Not(HasSubstr("provider_message_id")));
    EXPECT_EQ(bench.state("ann", "echo"), Sent);

    bench.send("ann", "m");
    bench.settle();
    bench.answer(202, "<17@mail.esp.example>");
    bench.turn();
    EXPECT_THAT(*bench.written.back().value,
                HasSubstr(R"("provider_message_id":"<17@mail.esp.example>")"));
}

// Markers of transactions and aborted records have offsets, and the client never gives them.
TEST(PartitionRunnerTest, WhatIsNoInputAtTheEndIsPassedWithTheNextTransaction) {
    RunnerBench bench;
    bench.next_send = 7;
    bench.next_suppression = 3;
    bench.runner->on_sends({}, 7, bench.now);
    bench.turn();
    EXPECT_EQ(bench.runner->next_offsets(), (OffsetsRow{7, 3}));
    EXPECT_FALSE(bench.runner->has_batch());  // no transaction for that alone
    EXPECT_EQ(bench.transactions, 0U);

    bench.advance(Millis{1});
    bench.send("ann", "m");
    bench.runner->decide(bench.now);  // the view is not fresh: it waits
    EXPECT_EQ(bench.runner->next_offsets().sends, 7);
    bench.settle();
    bench.next_send = 12;
    bench.runner->on_sends({}, 12, bench.now);
    bench.answer(202);
    bench.settle();
    bench.start();
    EXPECT_EQ(bench.runner->next_offsets(), (OffsetsRow{12, 3}));  // as the ledger has it
}

TEST(PartitionRunnerTest, WhatABatchHasNoRoomForIsNotPassed) {
    RunnerBench bench;
    constexpr Offset kRecords = 12;
    std::vector<InputRecord> records;
    while (bench.next_suppression < kRecords) {
        InputRecord record;
        record.offset = bench.next_suppression++;
        record.timestamp = bench.now.broker;
        record.key = "ann";
        record.value = "{" + std::string(900'000, 'x');  // a dead letter, whole
        records.push_back(std::move(record));
    }
    bench.runner->on_suppressions(std::move(records), ++bench.next_suppression);
    bench.runner->decide(bench.now);
    bench.runner->decide(bench.now);
    EXPECT_LT(bench.runner->next_offsets().suppressions, kRecords);
    bench.settle();
    EXPECT_EQ(bench.runner->next_offsets().suppressions, kRecords + 1);
}

TEST(PartitionRunnerTest, AGapTimerFiresBehindTheMarkerThatEndsTheInput) {
    RunnerBench bench;
    bench.send_step("ann", "m2", 2);
    bench.runner->on_sends({}, ++bench.next_send, bench.now);
    bench.settle();
    bench.advance(hours{24});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), DeadLettered);
}

TEST(PartitionRunnerTest, AGapTimerFiresOnTime) {
    RunnerBench bench;
    bench.send_step("ann", "m2", 2);
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), Held);
    bench.advance(hours{24} - Millis{1});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), Held);
    bench.advance(Millis{1});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), DeadLettered);
    EXPECT_EQ((bench.metrics.outcomes[{Outcome::DeadLettered, Reason::GapTimeout}]), 1U);
}

TEST(PartitionRunnerTest, AHaltEndsOnTimeAlsoAfterARestart) {
    Config config = runner_config();
    config.providers[0].idempotency = config::Idempotency::None;
    RunnerBench bench(config);
    bench.send_step("ann", "m1", 1);
    bench.send_step("ann", "m2", 2);
    bench.settle();
    const DispatchRequest request = bench.take_submitted();
    AttemptResult result;
    result.kind = AttemptResult::Kind::NoAnswer;
    bench.finish(request, std::move(result));
    bench.settle();
    ASSERT_EQ(bench.state("ann", "m1"), Ambiguous);
    EXPECT_EQ(bench.metrics.in_doubt.size(), 1U);
    bench.start();
    bench.advance(hours{24 * 7});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), Expired);
    bench.send_step("ann", "m3", 3);
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m3"), Sending);
}

TEST(PartitionRunnerTest, ThousandsOfStepsEndInOneGoWithoutDepth) {
    RunnerBench bench;
    constexpr Step kSteps = 4'000;
    bench.send_step("ann", "m1", 1);
    bench.settle();
    for (Step step = 2; step <= kSteps; ++step) {
        bench.send_step("ann", "m" + std::to_string(step), step,
                        R"("expires_at":"2025-12-01T09:10:00Z")");
        if (step % 500 == 0) {
            bench.settle();
        }
    }
    bench.settle();
    bench.advance(minutes{10});
    bench.answer(202);  // decided before any of their timers
    bench.settle();
    EXPECT_EQ((bench.metrics.outcomes[{Outcome::Expired, Reason::TtlPassed}]), kSteps - 1);
}

// --- freshness ---

TEST(PartitionRunnerTest, NothingIsDecidedBeforeTheViewIsFresh) {
    RunnerBench bench;
    bench.addresses.fresh = bench.now.boot + seconds{1'000};
    bench.send("ann", "m");
    bench.runner->decide(bench.now);
    EXPECT_FALSE(bench.runner->has_batch());
    EXPECT_EQ(bench.runner->undecided(), 1U);
    EXPECT_EQ(bench.runner->wants_fresh_since(), bench.now.boot);

    // A proof whose end lies beyond what is applied proves nothing yet.
    bench.advance(Millis{5});
    bench.runner->on_proof(bench.now.boot, 1);
    bench.runner->decide(bench.now);
    EXPECT_FALSE(bench.runner->has_batch());

    bench.suppress("ann");
    bench.runner->decide(bench.now);
    bench.commit();
    EXPECT_EQ(bench.state("ann", "m"), SuppressedAtSend);
    EXPECT_EQ(bench.on_the_wire(), 0U);
}

TEST(PartitionRunnerTest, AProofOlderThanTheMessageProvesNothing) {
    RunnerBench bench;
    bench.prove_fresh();
    bench.advance(Millis{1});
    bench.send("ann", "m");
    bench.runner->decide(bench.now);
    EXPECT_FALSE(bench.runner->has_batch());
}

TEST(PartitionRunnerTest, TheAddressViewMustBeFreshAsWell) {
    RunnerBench bench;
    bench.runner->on_proof(bench.now.boot, 0);
    bench.addresses.fresh = bench.now.boot - Millis{1};
    bench.send("ann", "m");
    bench.runner->decide(bench.now);
    EXPECT_FALSE(bench.runner->has_batch());
}

TEST(PartitionRunnerTest, ARetryNeedsAFreshViewAgain) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    bench.answer(429);
    bench.settle();
    bench.advance(minutes{1});
    bench.addresses.fresh = bench.now.boot;
    bench.runner->decide(bench.now);  // the proof is a minute old
    EXPECT_EQ(bench.state("ann", "m"), Retrying);
    EXPECT_EQ(bench.runner->wants_fresh_since(), bench.now.boot);
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Sending);
}

TEST(PartitionRunnerTest, ARestartDropsTheProofs) {
    RunnerBench bench;
    bench.prove_fresh();
    bench.runner->decide(bench.now);
    ASSERT_NE(bench.guard->fresh_since.load(), 0);
    bench.start();
    EXPECT_EQ(bench.guard->fresh_since.load(), 0);
    EXPECT_EQ(bench.runner->fresh_since(), BootInstant{});
}

// --- the order of what becomes durable ---

TEST(PartitionRunnerTest, TheIntentIsCommittedBeforeTheRequestLeaves) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.prove_fresh();
    bench.runner->decide(bench.now);
    EXPECT_EQ(bench.on_the_wire(), 0U);
    const Transaction transaction = bench.runner->seal(bench.now);
    EXPECT_EQ(bench.on_the_wire(), 0U);

    std::optional<MessageRow> intent;
    for (const OutRecord& record : transaction.records) {
        if (record.key == ledger::message_key(RecipientId("ann"), MessageId("m"))) {
            intent = *ledger::decode_message(*record.value);
        }
    }
    ASSERT_TRUE(intent);
    EXPECT_EQ(intent->state, Sending);

    ASSERT_TRUE(bench.runner->committed(bench.ledger.commit(transaction.records), bench.now));
    ASSERT_EQ(bench.on_the_wire(), 1U);
    EXPECT_EQ(bench.dispatcher.submitted[0].attempt, intent->intent->attempt);
    EXPECT_EQ(bench.dispatcher.submitted[0].last_check->refuses(bench.now.boot), std::nullopt);
}

TEST(PartitionRunnerTest, StraightThroughIsOneIntentAndOneResult) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.turn();
    const auto message_rows = [&] {
        std::vector<MessageState> states;
        for (const OutRecord& record : bench.last_transaction.records) {
            if (record.key == ledger::message_key(RecipientId("ann"), MessageId("m"))) {
                states.push_back(ledger::decode_message(*record.value)->state);
            }
        }
        return states;
    };
    EXPECT_EQ(message_rows(), std::vector{Sending});
    EXPECT_EQ(bench.last_transaction.records.size(), 2U);  // and the offsets
    bench.answer(202);
    bench.turn();
    EXPECT_EQ(message_rows(), std::vector{Sent});
    EXPECT_EQ(bench.last_transaction.records.size(), 2U);  // and the outcome
    EXPECT_EQ(bench.transactions, 2U);
}

TEST(PartitionRunnerTest, AnOpenIntentIsNeverInTheStoreAndHoldsThePositionBack) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.turn();
    EXPECT_FALSE(
        bench.store.rows.contains(ledger::message_key(RecipientId("ann"), MessageId("m"))));
    const auto position = [&] { return (**bench.runner->ledger().position()).ledger_next; };
    const Offset held_at = position();
    EXPECT_LT(held_at, bench.ledger.next - 1);
    bench.send("bob", "n");
    bench.turn();
    EXPECT_EQ(position(), held_at);
    bench.answer(202);
    bench.turn();
    EXPECT_GT(position(), held_at);  // bob's, now
    bench.answer(202);
    bench.turn();
    EXPECT_EQ(position(), bench.ledger.next - 1);  // the marker's own offset is no matter
}

TEST(PartitionRunnerTest, AResultsCreditComesBackOnceItIsCommitted) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    bench.answer(202);
    bench.prove_fresh();
    bench.runner->on_results(bench.registry->take(0));
    bench.runner->decide(bench.now);
    EXPECT_EQ(bench.flow.in_flight(), 1U);
    bench.commit();
    EXPECT_EQ(bench.flow.in_flight(), 0U);
}

TEST(PartitionRunnerTest, NoCreditNoIntent) {
    Config config = runner_config();
    config.dispatch.max_in_flight = 2;
    RunnerBench bench(config);
    for (const char* recipient : {"ann", "bob", "cid"}) {
        bench.send(recipient, "m");
    }
    bench.settle();
    EXPECT_EQ(bench.on_the_wire(), 2U);
    EXPECT_EQ(bench.state("cid", "m"), Ready);
    bench.answer(202);
    bench.settle();
    EXPECT_EQ(bench.state("cid", "m"), Sending);
}

TEST(PartitionRunnerTest, RecordsBelowTheLedgersOffsetAreDiscarded) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    bench.next_send = 0;
    bench.send("ann", "m");
    bench.settle();
    EXPECT_TRUE(bench.written.empty());  // no duplicate: it is the same record
    EXPECT_EQ(bench.runner->next_offsets().sends, 1);
    bench.start();
    bench.next_send = 0;
    bench.send("ann", "m");
    EXPECT_EQ(bench.runner->undecided(), 0U);
}

// --- suppressions and the last check ---

TEST(PartitionRunnerTest, ASuppressionBetweenDecisionAndHookIsRefusedThere) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.send("bob", "n");
    bench.settle();
    ASSERT_EQ(bench.on_the_wire(), 2U);
    bench.suppress("ann");
    bench.prove_fresh();
    bench.runner->decide(bench.now);

    for (const DispatchRequest& request : bench.dispatcher.submitted) {
        const bool anns = request.request.body.find("ann@") != std::string::npos;
        EXPECT_EQ(request.last_check->refuses(bench.now.boot),
                  anns ? std::optional(NotHandedOver::SuppressionArrived) : std::nullopt);
    }

    AttemptResult result;
    result.why_not = NotHandedOver::SuppressionArrived;
    bench.finish(bench.dispatcher.submitted.front(), std::move(result));
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), SuppressedAtSend);
    EXPECT_EQ(bench.message("ann", "m")->attempts, 0U);
}

TEST(PartitionRunnerTest, TheLastCheckRefusesOnceThePartitionRestarted) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    bench.start();
    EXPECT_EQ(bench.dispatcher.submitted[0].last_check->refuses(bench.now.boot),
              NotHandedOver::EpochEnded);
}

TEST(PartitionRunnerTest, TheDeadlineRunsFromTheSeal) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    bench.advance(Millis{5'000});
    bench.prove_fresh();
    bench.runner->decide(bench.now);
    EXPECT_EQ(bench.dispatcher.submitted[0].last_check->refuses(bench.now.boot),
              NotHandedOver::DeadlinePassed);
}

TEST(PartitionRunnerTest, EverySuppressionGetsAReceipt) {
    RunnerBench bench;
    bench.suppress("ann");
    bench.suppress("ann");
    bench.settle();
    EXPECT_EQ(bench.written.size(), 2U);
    EXPECT_EQ(bench.runner->next_offsets().suppressions, 2);
    EXPECT_EQ(bench.metrics.taken[InputTopic::Suppressions], 2U);
}

// --- what the ledger forgets ---

TEST(PartitionRunnerTest, ExpiredRowsLeaveTheLedger) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    bench.answer(202);
    bench.settle();
    bench.advance(hours{24 * 90});
    bench.settle();
    const std::string key = ledger::message_key(RecipientId("ann"), MessageId("m"));
    EXPECT_FALSE(bench.store.rows.contains(key));
    EXPECT_EQ(bench.ledger.entries.back().key, key);
    EXPECT_FALSE(bench.ledger.entries.back().value);
}

TEST(PartitionRunnerTest, AnIdThatWasForgottenMayComeBackInTheSameBatch) {
    RunnerBench bench;
    bench.send("ann", "m");
    bench.settle();
    bench.answer(202);
    bench.settle();
    bench.advance(hours{24 * 90});
    bench.prove_fresh();
    bench.runner->decide(bench.now);  // the sweeper's turn; the batch is not sealed yet
    bench.send("ann", "m");
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Sending);
    bench.answer(202);
    bench.settle();
    bench.start();
    EXPECT_EQ(bench.state("ann", "m"), Sent);
}

// --- what is missing, and what is only unread ---

TEST(PartitionRunnerTest, AGapTimerWaitsForInputThatIsStillToBeRead) {
    RunnerBench bench;
    bench.send_step("ann", "m2", 2);
    bench.settle();
    ASSERT_EQ(bench.state("ann", "m2"), Held);
    bench.advance(bench.config.ordering.max_wait + Millis{1'000});
    bench.start();  // and has not come to the end of the topic yet
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), Held);
    bench.send_step("ann", "m1", 1);
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m1"), Sending);
}

TEST(PartitionRunnerTest, AClockThatIsAheadDoesNotMakeUnreadInputMissing) {
    RunnerBench bench;
    bench.send_step("ann", "m2", 2);
    bench.settle();
    bench.advance(bench.config.ordering.max_wait + Millis{1'000});
    bench.start();  // and has not come to the end of the topic yet
    InputRecord record;
    record.offset = bench.next_send++;
    record.timestamp = bench.now.broker + Millis{5'000};
    record.key = "bob";
    record.value = "{}";
    bench.runner->on_sends({record}, std::nullopt, bench.now);
    bench.settle();
    bench.advance(Millis{20});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), Held);
}

TEST(PartitionRunnerTest, AGapTimerDoesNotFireOnceInputIsNoLongerRead) {
    RunnerBench bench;
    bench.send_step("ann", "m2", 2);
    bench.settle();
    bench.runner->stop_intents();
    bench.advance(bench.config.ordering.max_wait + Millis{1'000});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), Held);
}

TEST(PartitionRunnerTest, AResubscriptionFromTheFutureIsOneOfNow) {
    RunnerBench bench;
    InputRecord record;
    record.offset = bench.next_suppression++;
    record.timestamp = bench.now.broker + hours{1};
    record.key = "ann";
    record.value =
        R"({"action":"unsuppress","recipient_id":"ann","reason":"unsubscribe","occurred_at":"2025-12-01T10:00:00Z"})";
    bench.runner->on_suppressions({record}, bench.next_suppression);
    bench.settle();
    bench.advance(Millis{60'000});
    record.offset = bench.next_suppression++;
    record.timestamp = bench.now.broker;
    record.value =
        R"({"action":"suppress","recipient_id":"ann","reason":"unsubscribe","occurred_at":"2025-12-01T09:01:00Z"})";
    bench.runner->on_suppressions({record}, bench.next_suppression);
    bench.settle();
    bench.send("ann", "m");
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), SuppressedAtSend);
}

TEST(PartitionRunnerTest, AGapTimerFiresOnceTheInputIsRead) {
    RunnerBench bench;
    bench.send_step("ann", "m2", 2);
    bench.settle();
    bench.advance(bench.config.ordering.max_wait + Millis{1'000});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m2"), MessageState::DeadLettered);
}

}  // namespace
}  // namespace postlane
