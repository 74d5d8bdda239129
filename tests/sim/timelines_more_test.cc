// Named scenarios: what the ledger topic, the input topic and a stop may do.
#include "sim/scenario.h"

namespace postlane::sim {
namespace {

using Treatment = Esp::Treatment;

// Timelines 6 and 26. The provider accepts and the pooled connection dies before any answer.
SIM_SCENARIO(Timeline, DeadConnectionSendsNoSecondMail) {
    for (const char* route : {"plain", "park", "both"}) {
        World world(one_instance(40));
        ASSERT_TRUE(running(world));
        world.esp().treat = first_then_accept(Treatment::LoseAnswer);
        const std::size_t mail = send(world, Mail{.route = route});
        expect_good_end(world);
        EXPECT_EQ(executions_of(world, mail), 1U) << route;
        EXPECT_EQ(world.esp().requests().size(), std::string(route) == "both" ? 2U : 1U);
    }
}

// Timeline 8. A compacted ledger remembers however long ago it was; one that deletes would send again.
SIM_SCENARIO(Timeline, CompactedLedgerRemembers) {
    World world(one_instance(41));
    ASSERT_TRUE(running(world));
    const std::size_t mail = send(world, Mail{});
    world.run_for(20 * kSecond);
    world.kill(0, kForever);
    world.run_for(kMillisecond);
    world.wipe_disks(0);
    world.env().broker.compact(0, Instant{});
    world.start(0);
    ASSERT_TRUE(running(world));
    (void)world.traffic().produce_send(mail);
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), (Words{"sent/accepted", "duplicate/known_message"}));
}

// Timeline 9. An unclean election loses what the ledger had acknowledged; the local store knows better.
SIM_SCENARIO(Timeline, LedgerWithoutItsTailIsRefused) {
    Options options = one_instance(42);
    options.restart_the_dead = false;
    World world(options);
    ASSERT_TRUE(running(world));
    const Offset before = world.env().broker.end_offset(Topic::Ledger, 0);
    const std::size_t mail = send(world, Mail{});
    world.run_for(10 * kSecond);
    ASSERT_EQ(executions_of(world, mail), 1U);
    world.kill(0, kForever);
    world.run_for(kMillisecond);
    world.env().broker.lose_tail(Topic::Ledger, 0, before);
    world.start(0);
    world.run_for(20 * kSecond);
    EXPECT_EQ(executions_of(world, mail), 1U);
    ASSERT_FALSE(world.exits().empty());
    EXPECT_EQ(world.exits().back().code, 78);
    EXPECT_NE(world.exits().back().why.find("ledger_truncated"), std::string::npos);
}

// Timeline 20. A send that is older than what the ledger remembers may have been sent: it is not.
SIM_SCENARIO(Timeline, SendOlderThanTheLedgerIsRefused) {
    World world(one_instance(43));
    ASSERT_TRUE(running(world));
    const std::size_t mail = send(world, Mail{});
    world.run_for(10 * kSecond);
    ASSERT_EQ(executions_of(world, mail), 1U);
    const LogRecord first = world.env().broker.log(Topic::Sends, 0).front();
    world.kill(0, kForever);
    world.run_for(kMillisecond);
    world.env().scheduler.skip(3 * 24 * 3600 * kSecond);
    world.start(0);
    ASSERT_TRUE(running(world));
    world.run_for(120 * kSecond);  // the sweeper takes its time
    (void)world.env().broker.append(Topic::Sends, 0, first);
    expect_good_end(world);
    EXPECT_EQ(executions_of(world, mail), 1U);
    EXPECT_EQ(outcomes_of(world, "m1"), (Words{"sent/accepted", "expired/older_than_ledger"}));
}

// Timeline 22. An error that was executed, and one that is still being executed: the same key again, and no other.
SIM_SCENARIO(Timeline, EveryAttemptHasTheSameKey) {
    for (const Treatment first : {Treatment::ErrorExecuted, Treatment::HangLate}) {
        World world(one_instance(44));
        ASSERT_TRUE(running(world));
        world.esp().treat = first_then_accept(first);
        const std::size_t mail = send(world, Mail{});
        expect_good_end(world);
        EXPECT_EQ(outcomes_of(world, "m1"), Words{"sent/accepted"});
        EXPECT_EQ(executions_of(world, mail), 1U);
    }
}

// Timeline 25. Whoever stops waits for what is on the wire.
SIM_SCENARIO(Timeline, StopLeavesNothingInDoubt) {
    World world(one_instance(45));
    ASSERT_TRUE(running(world));
    world.esp().treat = [](std::size_t, const std::string&) { return Treatment::Accept; };
    for (int number = 0; number < 20; ++number) {
        send(world, Mail{.recipient = "r" + std::to_string(number),
                         .message_id = "m" + std::to_string(number),
                         .route = "plain"});
    }
    ASSERT_TRUE(
        world.run_until(30 * kSecond, [&] { return world.instance(0)->open_intents() > 0; }));
    world.stop_gracefully(0, kSecond);
    expect_good_end(world);
    EXPECT_TRUE(world.exits().empty());
    for (int number = 0; number < 20; ++number) {
        EXPECT_EQ(outcomes_of(world, "m" + std::to_string(number)), Words{"sent/accepted"});
    }
}

// Timeline 33. The client reads some of the input again: one outcome and one dead letter for each record all the same.
SIM_SCENARIO(Timeline, RewoundInputIsDiscarded) {
    Options options = one_instance(46);
    options.faults.input_rewinds = 0.3;
    World world(options);
    ASSERT_TRUE(running(world));
    for (int number = 0; number < 40; ++number) {
        if (number % 5 == 0) {
            SendSpec spec;
            spec.recipient = "r1";
            spec.message_id = "poison";
            spec.poison = true;
            spec.value = "{";
            (void)world.traffic().produce_send(world.traffic().add_send(std::move(spec)));
        }
        send(world, Mail{.recipient = "r" + std::to_string(number % 7),
                         .message_id = "m" + std::to_string(number)});
        if (number % 8 == 0) {
            suppress(world, "s" + std::to_string(number));
        }
        world.run_for(30 * kMillisecond);
    }
    world.run_for(kSecond);
    EXPECT_GT(world.env().probes["input_rewound"], 0U);
    expect_good_end(world);
    EXPECT_EQ(world.esp().executions().size(), 40U);
}

// Timeline 36. A record that no topic takes: it ends alone, without its value.
SIM_SCENARIO(Timeline, OversizedRecordEndsAlone) {
    World world(one_instance(47));
    ASSERT_TRUE(running(world));
    SendSpec spec;
    spec.recipient = "r1";
    spec.message_id = "large";
    spec.poison = true;
    spec.value = R"({"to":{"email":"r1@example.com"},"message_id":"large","route":"keyed",)"
                 R"("category":"news","sequence":{"id":"big","step":2},)"
                 R"("content":{"subject":"T0","text":")" +
                 std::string(1'200'000, 'x') + R"("}})";
    (void)world.traffic().produce_send(world.traffic().add_send(std::move(spec)));
    send(world, Mail{});
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), Words{"sent/accepted"});
    EXPECT_EQ(world.env().probes["dead_lettered/too_large"], 1U);
}

// Found by running seeds twice: the reason of a restart was read after it was freed with the runner that gave it.
SIM_SCENARIO(Found, RestartKnowsItsReason) {
    World world(one_instance(48));
    ASSERT_TRUE(running(world));
    for (std::uint64_t restarts = 1; restarts <= Partition::kRestartsMax; ++restarts) {
        send(world, Mail{.message_id = "m" + std::to_string(restarts)});
        world.env().faults.store_corrupt = 1;
        ASSERT_TRUE(world.run_until(
            30 * kSecond, [&] { return world.env().probes["partition_restarted"] == restarts; }));
        world.env().faults.store_corrupt = 0;
        ASSERT_TRUE(running(world) || restarts == Partition::kRestartsMax);
    }
    ASSERT_FALSE(world.exits().empty());
    EXPECT_NE(world.exits().front().why.find("checksum mismatch"), std::string::npos);
    expect_good_end(world);
}

// Found by the swarm: an instance slept in the middle of the very first start, somebody else began the ledger and
// committed the group's offsets, and the sleeper took the ledger it had seen empty for a lost one (78).
SIM_SCENARIO(Found, SleptFirstStartIsNoLostLedger) {
    Options options = two_instances(49);
    options.faults.latency_us = 20'000;
    World world(options);
    ASSERT_TRUE(
        world.run_until(20 * kSecond, [&] { return world.env().probes["store_begun"] == 1; }));
    world.pause(owner_of_all(world), 30 * kSecond);
    send(world, Mail{});
    world.run_for(40 * kSecond);
    EXPECT_TRUE(world.exits().empty()) << world.exits().front().why;
    expect_good_end(world);
}

}  // namespace
}  // namespace postlane::sim
