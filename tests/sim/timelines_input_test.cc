// Named scenarios: what producers write, and what time does to it.
#include "codec/encode.h"
#include "sim/scenario.h"

namespace postlane::sim {
namespace {

// Timeline 12.
SIM_SCENARIO(Timeline, SameIdWithAnotherBodyIsNotSent) {
    World world(one_instance(1));
    ASSERT_TRUE(running(world));
    const std::size_t first = send(world, Mail{});
    world.run_for(2 * kSecond);
    const std::size_t second = send(world, Mail{});  // its subject differs
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), (Words{"sent/accepted", "duplicate/payload_conflict"}));
    EXPECT_EQ(executions_of(world, first), 1U);
    EXPECT_EQ(executions_of(world, second), 0U);
}

Mail step(std::uint64_t number) {
    return Mail{.message_id = "m" + std::to_string(number),
                .sequence = SequenceRef{"drip", number}};
}

// Timeline 13. Also across a kill: the gap's timer is durable.
SIM_SCENARIO(Timeline, LateStepAfterASkippedGapIsNotSent) {
    Options options = one_instance(2);
    options.config.ordering.on_gap = config::OnGap::Skip;
    World world(options);
    ASSERT_TRUE(running(world));
    send(world, step(1));
    send(world, step(3));
    world.run_for(2 * kSecond);
    EXPECT_TRUE(outcomes_of(world, "m3").empty());
    world.kill(0, kSecond);
    world.run_for(10 * kSecond);
    EXPECT_EQ(outcomes_of(world, "m3"), Words{"sent/accepted"});
    send(world, step(2));
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m2"), Words{"dead_lettered/late_step"});
}

// What ends the transaction of a producer has an offset and is no input: nothing more comes, and the gap's timer fires.
SIM_SCENARIO(Timeline, AGapEndsOnTimeBehindAMarker) {
    World world(one_instance(30));
    ASSERT_TRUE(running(world));
    world.env().faults.transactional_input = 1;
    SendSpec spec;
    spec.recipient = "r1";
    spec.address = "r1@example.com";
    spec.message_id = "m2";
    spec.category = "marketing";
    spec.route = "keyed";
    spec.sequence = SequenceRef{"drip", 2};
    world.traffic().produce(world.traffic().add_send(std::move(spec)));
    world.run_for(10 * kSecond);
    EXPECT_EQ(outcomes_of(world, "m2"), Words{"dead_lettered/gap_timeout"});
    expect_good_end(world);
}

SIM_SCENARIO(Timeline, StepsInAnyOrderGoInTheirOrder) {
    World world(one_instance(3));
    ASSERT_TRUE(running(world));
    for (const std::uint64_t number : {5U, 3U, 2U, 4U, 1U}) {
        send(world, step(number));
        world.run_for(200 * kMillisecond);
    }
    expect_good_end(world);
    ASSERT_EQ(world.esp().executions().size(), 5U);
    EXPECT_EQ(world.esp().executions().front().tag, "T4");
}

// Timeline 14.
SIM_SCENARIO(Timeline, OldResubscribeDoesNotLiftANewerStop) {
    World world(one_instance(4));
    ASSERT_TRUE(running(world));
    SuppressionSpec old;
    old.whom = "r1";
    old.action = SuppressionEvent::Action::Unsuppress;
    old.reason = SuppressionReason::Manual;
    old.occurred_at = world.env().broker.time() - Millis{60'000};
    const std::size_t lift = world.traffic().add_suppression(std::move(old));
    suppress(world, "r1", 0, SuppressionReason::Unsubscribe);
    world.run_for(kSecond);
    (void)world.traffic().produce_suppression(lift);
    world.run_for(kSecond);
    send(world, Mail{});
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), Words{"suppressed_at_send/suppressed"});
}

// Timeline 15.
SIM_SCENARIO(Timeline, ChangedPartitionCountIsRefused) {
    Options options = one_instance(5);
    World first(options);
    ASSERT_TRUE(running(first));
    send(first, Mail{});
    first.run_for(2 * kSecond);
    options.partitions = 2;
    options.restart_the_dead = false;
    World second(options);
    for (const LogRecord& record : first.env().broker.log(Topic::Ledger, 0)) {
        LogRecord copy = record;
        copy.transaction = 0;
        if (copy.kind == LogRecord::Kind::Data) {
            (void)second.env().broker.append(Topic::Ledger, 0, std::move(copy));
        }
    }
    second.run_for(20 * kSecond);
    ASSERT_FALSE(second.exits().empty());
    EXPECT_EQ(second.exits().front().code, 78);
    EXPECT_NE(second.exits().front().why.find("partition_count_changed"), std::string::npos);
}

// Timeline 16. Whatever the machine's own clock says, also before its first commit.
SIM_SCENARIO(Timeline, WrongClockSendsNeitherEarlyNorLate) {
    for (const int minutes : {-600, -5, 5, 600}) {
        Options options = one_instance(6);
        World world(options);
        world.machine(0).boot_offset = kSecond;  // booted just now
        world.machine(0).wall_skew = std::chrono::minutes{minutes};
        ASSERT_TRUE(running(world));
        const Time due = world.env().now() + 30 * kSecond;
        const std::string at =
            fmt::format(R"(,"send_at":"{}")", format_time(world.env().broker.time_at(due)));
        const std::size_t mail = send(world, Mail{}, at);
        send(world, step(2));
        world.run_for(kSecond);
        world.kill(0, kSecond);
        world.run_for(2 * kSecond);
        EXPECT_TRUE(outcomes_of(world, "m1").empty());
        EXPECT_TRUE(outcomes_of(world, "m2").empty());
        world.run_for(30 * kSecond);
        EXPECT_EQ(executions_of(world, mail), 1U);
        expect_good_end(world);
        const Time went = world.esp().executions().front().handed_over;
        EXPECT_GE(went, due);
        EXPECT_LE(went, due + kSecond);
        EXPECT_EQ(outcomes_of(world, "m2"), Words{"dead_lettered/gap_timeout"});
    }
}

// Timelines 17 and 36. A record that cannot be read, or is too large, ends alone.
SIM_SCENARIO(Timeline, PoisonEndsAloneAndNothingElseWaits) {
    World world(one_instance(7));
    ASSERT_TRUE(running(world));
    for (const std::string& value :
         {std::string("{"), std::string(70'000, 'x'), std::string("\xff\xfe")}) {
        SendSpec spec;
        spec.recipient = "r1";
        spec.message_id = "poison";
        spec.poison = true;
        spec.value = value;
        (void)world.traffic().produce_send(world.traffic().add_send(std::move(spec)));
    }
    send(world, Mail{});
    expect_good_end(world);
    EXPECT_EQ(world.env().broker.log(Topic::DeadLetters, 0).size() >= 3, true);
    EXPECT_EQ(outcomes_of(world, "m1"), Words{"sent/accepted"});
}

// Timelines 19 and 33. The whole input comes again; group offsets do not matter.
SIM_SCENARIO(Timeline, InputProducedAgainIsDuplicates) {
    World world(one_instance(8));
    ASSERT_TRUE(running(world));
    for (std::uint64_t number = 1; number <= 5; ++number) {
        send(world, step(number));
    }
    world.run_for(10 * kSecond);
    world.env().broker.group_offsets.clear();
    world.traffic().produce_again(0, world.env().now());
    world.kill(0, kSecond);
    expect_good_end(world);
    EXPECT_EQ(world.esp().executions().size(), 5U);
    EXPECT_EQ(outcomes_of(world, "m3"), (Words{"sent/accepted", "duplicate/known_message"}));
}

// Timeline 37. The wrong partition: forwarded, and effective.
SIM_SCENARIO(Timeline, MisroutedSuppressionIsForwarded) {
    Options options = one_instance(9);
    options.partitions = 2;
    World world(options);
    ASSERT_TRUE(running(world));
    LogRecord record;
    record.key = "r1";
    record.value = fmt::format(
        R"({{"action":"suppress","reason":"complaint","recipient_id":"r1","occurred_at":"{}"}})",
        format_time(world.env().broker.time()));
    SuppressionSpec spec;
    spec.whom = "r1";
    spec.reason = SuppressionReason::Complaint;
    spec.occurred_at = world.env().broker.time();
    record.headers.push_back(
        {kSpecHeader, std::to_string(world.traffic().add_suppression(std::move(spec)))});
    (void)world.env().broker.append(Topic::Suppressions, 1 - world.traffic().home_of("r1"),
                                    std::move(record));
    world.run_for(3 * kSecond);
    send(world, Mail{});
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), Words{"suppressed_at_send/suppressed"});
}

// Timeline 38. The message id's default tells the steps of one campaign apart.
SIM_SCENARIO(Timeline, StepsOfOneCampaignAreNoDuplicates) {
    World world(one_instance(10));
    ASSERT_TRUE(running(world));
    for (std::uint64_t number = 1; number <= 3; ++number) {
        SendSpec spec;
        spec.recipient = "r1";
        spec.address = "r1@example.com";
        spec.message_id = fmt::format("campaign:spring:sequence:drip:{}", number);
        spec.sequence = SequenceRef{"drip", number};
        spec.value = fmt::format(
            R"({{"to":{{"email":"r1@example.com"}},"campaign_id":"spring","route":"keyed",)"
            R"("sequence":{{"id":"drip","step":{}}},)"
            R"("content":{{"subject":"T{}","text":"x"}}}})",
            number, number - 1);
        (void)world.traffic().produce_send(world.traffic().add_send(std::move(spec)));
    }
    expect_good_end(world);
    EXPECT_EQ(world.esp().executions().size(), 3U);
}

// Timeline 39. Due long after the default time to live: it lives from its due time on.
SIM_SCENARIO(Timeline, TimeToLiveCountsFromDue) {
    Options options = one_instance(11);
    options.config.dispatch.default_ttl = Millis{10'000};
    World world(options);
    ASSERT_TRUE(running(world));
    const Time due = world.env().now() + 60 * kSecond;
    const std::string at =
        fmt::format(R"(,"send_at":"{}")", format_time(world.env().broker.time_at(due)));
    const std::size_t mail = send(world, Mail{}, at);
    expect_good_end(world);
    EXPECT_EQ(executions_of(world, mail), 1U);
}

}  // namespace
}  // namespace postlane::sim
