// Named scenarios of docs/guarantees: who owns a partition, what its store and its ledger say, and what a commit did.
#include "codec/ledger_codec.h"
#include "sim/scenario.h"

namespace postlane::sim {
namespace {

// Timeline 1. The owner stops in the middle of a request, the other takes over, the owner wakes.
SIM_SCENARIO(Timeline, ZombieWithAKeyIsReplayedOnce) {
    World world(two_instances(1));
    ASSERT_TRUE(running(world));
    world.esp().treat = [](std::size_t, const std::string&) {
        return Esp::Treatment::HangExecuted;
    };
    const std::size_t mail = send(world, Mail{});
    ASSERT_TRUE(handed_over(world, mail));
    world.pause(owner_of_all(world), 40 * kSecond);
    world.esp().treat = nullptr;
    world.run_for(60 * kSecond);
    EXPECT_EQ(outcomes_of(world, "m1"), std::vector<std::string>{"sent/accepted"});
    EXPECT_EQ(world.env().probes["replayed_by_key"], 1U);
    expect_good_end(world);
}

SIM_SCENARIO(Timeline, ZombieWithoutAKeyIsNeverSentAgain) {
    World world(two_instances(2));
    ASSERT_TRUE(running(world));
    const std::size_t mail = send(world, Mail{.route = "plain"});
    ASSERT_TRUE(handed_over(world, mail));
    world.pause(owner_of_all(world), 40 * kSecond);
    world.run_for(60 * kSecond);
    EXPECT_EQ(outcomes_of(world, "m1"), std::vector<std::string>{"ambiguous/no_idempotency"});
    EXPECT_EQ(executions_of(world, mail), 1U);
    expect_good_end(world);
}

// The owner stops after the intent's commit, before the last check. When it wakes, the check refuses.
SIM_SCENARIO(Timeline, ZombieThatHadNotHandedOverIsRefused) {
    Options options = two_instances(3);
    options.faults.slow_hand_over = 1;
    for (std::uint64_t seed = 3; seed < 40; ++seed) {
        options.seed = seed;
        World world(options);
        ASSERT_TRUE(running(world));
        const std::size_t mail = send(world, Mail{.route = "plain"});
        const int owner = owner_of_all(world);
        ASSERT_TRUE(world.run_until(30 * kSecond,
                                    [&] { return world.instance(owner)->open_intents() > 0; }));
        world.run_for(20 * kMillisecond);
        if (requests_of(world, mail) > 0) {
            continue;  // too fast this time
        }
        world.pause(owner, 60 * kSecond);
        world.run_for(70 * kSecond);
        EXPECT_EQ(requests_of(world, mail), 0U);
        EXPECT_EQ(outcomes_of(world, "m1"), std::vector<std::string>{"ambiguous/no_idempotency"});
        expect_good_end(world);
        return;
    }
    FAIL() << "never struck in between";
}

// Timeline 2. A revoked partition waits for its requests and commits what they gave.
SIM_SCENARIO(Timeline, RebalanceWaitsForRequestsInFlight) {
    World world(two_instances(4));
    world.run_for(2 * kSecond);
    world.kill(0, kForever);
    ASSERT_TRUE(world.run_until(60 * kSecond, [&] {
        const Instance* owner = world.owner(0);
        return owner != nullptr && owner == world.instance(1) && owner->all_running();
    }));
    world.run_for(kSecond);
    const std::size_t mail = send(world, Mail{.route = "plain"});
    ASSERT_TRUE(handed_over(world, mail));
    Instance* owner = world.instance(1);
    world.env().scheduler.at(world.env().now(), owner->process(),
                             [owner] { owner->revoked(false); });
    world.start(0);  // the partition becomes its own
    world.run_for(15 * kSecond);
    EXPECT_EQ(outcomes_of(world, "m1"), Words{"sent/accepted"});
    expect_good_end(world);
}

// Timeline 24. Rebalances faster than anything settles.
SIM_SCENARIO(Timeline, RapidRevokeAndReassign) {
    Options options = two_instances(5);
    options.partitions = 3;
    World world(options);
    ASSERT_TRUE(running(world));
    for (int number = 0; number < 40; ++number) {
        send(world, Mail{.recipient = "r" + std::to_string(number % 7),
                         .message_id = "m" + std::to_string(number),
                         .route = number % 2 == 0 ? "plain" : "keyed"});
        if (number % 4 == 0) {
            world.group().force_rebalance();
        }
        world.run_for(250 * kMillisecond);
    }
    expect_good_end(world);
    EXPECT_EQ(world.esp().executions().size(), 40U);
    EXPECT_EQ(world.env().probes["commit_fenced"], 0U) << "two owners at a time";
}

// Timeline 4. The transaction that would have said `sent` aborts, then the process dies: the store must not say it.
SIM_SCENARIO(Timeline, StoreIsNeverAheadOfTheLedger) {
    World world(one_instance(6));
    ASSERT_TRUE(running(world));
    const std::size_t mail = send(world, Mail{});
    ASSERT_TRUE(handed_over(world, mail));
    world.env().faults.commit_aborted = 1;
    world.run_for(kSecond);
    world.kill(0, kSecond);
    world.env().faults.commit_aborted = 0;
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), std::vector<std::string>{"sent/accepted"});
    EXPECT_EQ(executions_of(world, mail), 1U);
}

// Timelines 5 and 32. The commit's outcome is unknown while requests are on the wire: they are awaited, not doubted.
SIM_SCENARIO(Timeline, OwnRestartKeepsAttemptsOnTheWire) {
    for (std::uint64_t seed = 7; seed < 19; ++seed) {
        World world(one_instance(seed));
        ASSERT_TRUE(running(world));
        const std::size_t mail = send(world, Mail{.route = "plain"});
        ASSERT_TRUE(handed_over(world, mail));
        world.env().faults.commit_unknown = 1;
        send(world, Mail{.recipient = "r2", .message_id = "m2"});
        ASSERT_TRUE(world.run_until(60 * kSecond,
                                    [&] { return world.env().probes["partition_restarted"] > 0; }));
        world.env().faults.commit_unknown = 0;
        expect_good_end(world);
        EXPECT_EQ(outcomes_of(world, "m1"), std::vector<std::string>{"sent/accepted"});
        EXPECT_EQ(outcomes_of(world, "m2"), std::vector<std::string>{"sent/accepted"});
    }
}

// Timeline 7. Away for longer than tombstones live: the local store is not trusted. The deleted row would come back.
SIM_SCENARIO(Timeline, StaleStoreIsRebuilt) {
    World world(one_instance(8));
    ASSERT_TRUE(running(world));
    send(world, Mail{});
    world.run_for(3 * kSecond);
    world.kill(0, kForever);
    world.run_for(kMillisecond);
    // Somebody else, who had the partition meanwhile, forgot the message; compaction then forgot the tombstone.
    LogRecord tombstone;
    tombstone.key = ledger::message_key(RecipientId("r1"), MessageId("m1"));
    (void)world.env().broker.append(Topic::Ledger, 0, std::move(tombstone));
    world.env().scheduler.skip(8 * 24 * 3600 * kSecond);
    world.env().broker.compact(0, world.env().broker.time() - std::chrono::days{7});
    world.start(0);
    ASSERT_TRUE(running(world));
    EXPECT_EQ(world.env().probes["store_wiped"], 1U);
    send(world, Mail{.message_id = "m2"});
    expect_good_end(world);
}

// Timeline 7, with a wrong clock: what the machine's own one says about how long it was away does not count.
SIM_SCENARIO(Timeline, StaleStoreIsRebuiltWhateverTheClockSays) {
    for (const int skew_days : {-8, 8}) {
        World world(one_instance(8));
        ASSERT_TRUE(running(world));
        send(world, Mail{});
        world.run_for(3 * kSecond);
        const auto wiped_before = world.env().probes["store_wiped"];
        world.kill(0, kForever);
        world.run_for(kMillisecond);
        world.env().scheduler.skip(8 * 24 * 3600 * kSecond);
        world.machine(0).wall_skew = std::chrono::days{skew_days};
        world.start(0);
        ASSERT_TRUE(running(world));
        EXPECT_GT(world.env().probes["store_wiped"], wiped_before) << skew_days;
        send(world, Mail{.message_id = "m2"});
        expect_good_end(world);
    }
}

// Nor does what the clock said while the broker's time was not known: the process that restored the store died before.
SIM_SCENARIO(Timeline, AStoreRestoredBeforeTheTimeWasKnownIsNotTrusted) {
    World world(one_instance(8));
    ASSERT_TRUE(running(world));
    send(world, Mail{});
    world.run_for(3 * kSecond);
    world.kill(0, kForever);
    world.run_for(kMillisecond);
    world.wipe_disks(0);
    world.machine(0).wall_skew = std::chrono::days{30};
    world.env().faults.commit_aborted = 1;
    world.start(0);
    // The commit that would have told the time comes after the restore.
    ASSERT_TRUE(
        world.run_until(60 * kSecond, [&] { return world.env().probes["commit_aborted"] > 0; }));
    world.kill(0, kForever);
    world.run_for(kMillisecond);
    world.env().faults.commit_aborted = 0;
    const auto wiped_before = world.env().probes["store_wiped"];
    world.env().scheduler.skip(8 * 24 * 3600 * kSecond);
    world.start(0);
    ASSERT_TRUE(running(world));
    EXPECT_GT(world.env().probes["store_wiped"], wiped_before);
    send(world, Mail{.message_id = "m2"});
    expect_good_end(world);
}

// And a young store is kept, though the machine's clock says that it is old.
SIM_SCENARIO(Timeline, YoungStoreIsKeptWhateverTheClockSays) {
    World world(one_instance(8));
    ASSERT_TRUE(running(world));
    send(world, Mail{});
    world.run_for(3 * kSecond);
    const auto wiped_before = world.env().probes["store_wiped"];
    world.kill(0, kForever);
    world.run_for(kSecond);
    world.machine(0).wall_skew = std::chrono::days{30};
    world.start(0);
    ASSERT_TRUE(running(world));
    EXPECT_EQ(world.env().probes["store_wiped"], wiped_before);
    expect_good_end(world);
}

// Timeline 23. No space left: dispatch stops, the intent resolves when the disk has room again.
SIM_SCENARIO(Timeline, FullDiskStopsDispatch) {
    World world(one_instance(9));
    ASSERT_TRUE(running(world));
    const std::size_t mail = send(world, Mail{.route = "plain"});
    ASSERT_TRUE(handed_over(world, mail));
    world.machine(0).disk_full_until = world.env().now() + 5 * kSecond;
    const std::size_t next = send(world, Mail{.message_id = "m2"});
    world.run_for(4 * kSecond);
    EXPECT_EQ(requests_of(world, next), 0U);
    expect_good_end(world);
    EXPECT_EQ(executions_of(world, mail), 1U);
}

// Found by the swarm: a read that failed in the middle of a decision was taken for a missing row, which breaks a rule
// of the core and ended the process. (A gap is skipped while the store cannot be read.)
SIM_SCENARIO(Found, UnreadableStoreIsNoBrokenRule) {
    for (std::uint64_t seed = 20; seed < 60; ++seed) {
        Options options = one_instance(seed);
        options.config.ordering.on_gap = config::OnGap::Skip;
        World world(options);
        ASSERT_TRUE(running(world));
        for (const std::uint64_t step : {3U, 5U, 2U, 8U}) {
            send(world, Mail{.message_id = "m" + std::to_string(step),
                             .sequence = SequenceRef{"drip", step}});
        }
        world.run_for(4 * kSecond);
        world.env().faults.store_corrupt = 0.1;
        world.run_for(3 * kSecond);
        world.env().faults.store_corrupt = 0;
        expect_good_end(world);
    }
}

// Timeline 27. Two groups on one ledger: each fences the other, nobody sends twice.
SIM_SCENARIO(Timeline, TwoGroupsOnOneLedgerFenceEachOther) {
    World world(two_instances(10));
    ASSERT_TRUE(running(world));
    const int other = 1 - owner_of_all(world);
    Instance* intruder = world.instance(other);
    intruder->assigned({0});
    for (int number = 0; number < 10; ++number) {
        send(world, Mail{.recipient = "r" + std::to_string(number),
                         .message_id = "m" + std::to_string(number),
                         .route = "plain"});
        world.run_for(100 * kMillisecond);
    }
    world.run_for(5 * kSecond);
    EXPECT_GT(world.env().probes["commit_fenced"], 0U);
    EXPECT_EQ(report(world, false), "");
    world.kill(other, kSecond);
    expect_good_end(world);
}

// Timeline 31. A crash leaves no more in doubt than was reserved.
SIM_SCENARIO(Timeline, CrashLeavesNoBacklogInDoubt) {
    Options options = one_instance(11);
    options.config.dispatch.max_in_flight = 3;
    World world(options);
    ASSERT_TRUE(running(world));
    world.esp().treat = [](std::size_t, const std::string&) {
        return Esp::Treatment::HangExecuted;
    };
    for (int number = 0; number < 50; ++number) {
        send(world, Mail{.recipient = "r" + std::to_string(number),
                         .message_id = "m" + std::to_string(number),
                         .route = "plain"});
    }
    ASSERT_TRUE(
        world.run_until(30 * kSecond, [&] { return world.instance(0)->open_intents() >= 3; }));
    world.run_for(200 * kMillisecond);
    world.kill(0, kSecond);
    world.esp().treat = nullptr;
    expect_good_end(world);
    std::size_t ambiguous = 0;
    for (int number = 0; number < 50; ++number) {
        for (const std::string& outcome : outcomes_of(world, "m" + std::to_string(number))) {
            ambiguous += outcome.starts_with("ambiguous") ? 1U : 0U;
        }
    }
    EXPECT_LE(ambiguous, 3U);
}

// Timeline 34. The ledger topic was deleted and made anew: refuse, else everything would be sent again.
SIM_SCENARIO(Timeline, LostLedgerIsRefused) {
    Options options = one_instance(12);
    options.restart_the_dead = false;
    World world(options);
    ASSERT_TRUE(running(world));
    send(world, Mail{});
    world.run_for(10 * kSecond);
    world.kill(0, kForever);
    world.run_for(kMillisecond);
    world.env().broker.recreate_ledger();
    world.start(0);
    world.run_for(20 * kSecond);
    ASSERT_FALSE(world.exits().empty());
    EXPECT_EQ(world.exits().back().code, 78);
    EXPECT_NE(world.exits().back().why.find("ledger_missing"), std::string::npos);
    EXPECT_EQ(world.esp().executions().size(), 1U);
}

// Timeline 3, with every commit and fence in slow motion.
SIM_SCENARIO(Timeline, FenceComesBeforeTheRestore) {
    for (std::uint64_t seed = 13; seed < 33; ++seed) {
        Options options = two_instances(seed);
        options.faults.latency_us = 50'000;
        World world(options);
        ASSERT_TRUE(running(world));
        for (int number = 0; number < 10; ++number) {
            send(world, Mail{.recipient = "r" + std::to_string(number),
                             .message_id = "m" + std::to_string(number)});
        }
        world.run_for(world.env().random.between(0, kSecond));
        world.pause(owner_of_all(world), 7 * kSecond);
        world.run_for(20 * kSecond);
        expect_good_end(world);
    }
}

}  // namespace
}  // namespace postlane::sim
