// Named scenarios: what providers answer, and how fresh the suppressions are.
#include "sim/scenario.h"

namespace postlane::sim {
namespace {

using Treatment = Esp::Treatment;

// Timelines 6 and 26: the provider accepts, the connection dies. And what else one answer can be.
struct AnswerRow {
    std::string name;
    Treatment first;
    std::string route;
    std::string outcome;
    std::size_t executions;
};
void PrintTo(const AnswerRow& row, std::ostream* out) {
    *out << row.name;
}

class FirstAnswer : public testing::TestWithParam<AnswerRow> {};

TEST_P(FirstAnswer, DecidesWhatFollows) {
    World world(one_instance(1));
    ASSERT_TRUE(running(world));
    world.esp().treat = first_then_accept(GetParam().first);
    const std::size_t mail = send(world, Mail{.route = GetParam().route});
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), std::vector<std::string>{GetParam().outcome});
    EXPECT_EQ(executions_of(world, mail), GetParam().executions);
}

const std::string kSent = "sent/accepted";
const std::string kDoubt = "ambiguous/no_idempotency";
INSTANTIATE_TEST_SUITE_P(
    Timeline, FirstAnswer,
    testing::Values(
        //        name                       first answer                 route    outcome                        times
        AnswerRow{"KeyedAnswerLost", Treatment::LoseAnswer, "keyed", kSent, 1},
        AnswerRow{"UnkeyedAnswerLost", Treatment::LoseAnswer, "plain", kDoubt, 1},
        AnswerRow{"ParkedAnswerLost", Treatment::LoseAnswer, "park", kDoubt, 1},
        AnswerRow{"KeyedErrorExecuted", Treatment::ErrorExecuted, "keyed", kSent, 1},
        AnswerRow{"UnkeyedErrorExecuted", Treatment::ErrorExecuted, "plain", kDoubt, 1},
        AnswerRow{"UnkeyedErrorNotExecuted", Treatment::ErrorNotExecuted, "plain", kDoubt, 0},
        AnswerRow{"KeyedStillRunning", Treatment::HangLate, "keyed", kSent, 1},
        AnswerRow{"UnkeyedHangs", Treatment::HangLate, "plain", kDoubt, 1},
        AnswerRow{"Throttled", Treatment::Throttle, "plain", kSent, 1},
        AnswerRow{"Rejected", Treatment::Reject, "plain", "failed/rejected_by_provider", 0},
        AnswerRow{"RejectedThenTheNext", Treatment::Reject, "both", kSent, 1},
        AnswerRow{"InDoubtNeverTheNext", Treatment::LoseAnswer, "both", kSent, 1}),
    [](const auto& row) { return row.param.name; });

// Timeline 10. Suppressed while the first attempt's result is unknown: no second attempt.
SIM_SCENARIO(Timeline, SuppressedDuringTheRequestIsNotRetried) {
    World world(one_instance(2));
    ASSERT_TRUE(running(world));
    world.esp().treat = first_then_accept(Treatment::HangNever);
    const std::size_t mail = send(world, Mail{});
    ASSERT_TRUE(world.run_until(10 * kSecond, [&] { return requests_of(world, mail) == 1; }));
    suppress(world, "r1");
    expect_good_end(world);
    EXPECT_EQ(requests_of(world, mail), 1U);
    EXPECT_EQ(outcomes_of(world, "m1"),
              std::vector<std::string>{"ambiguous/suppressed_while_in_doubt"});
}

// Timeline 11. Nobody answers where the suppressions end: nothing is sent, and it goes on once somebody does.
SIM_SCENARIO(Timeline, UnknownFreshnessHoldsEverything) {
    World world(one_instance(3));
    ASSERT_TRUE(running(world));
    world.env().faults.ends_unavailable = 1;
    world.run_for(3 * kSecond);
    const std::size_t mail = send(world, Mail{});
    world.run_for(20 * kSecond);
    EXPECT_EQ(requests_of(world, mail), 0U);
    expect_good_end(world);
    EXPECT_EQ(executions_of(world, mail), 1U);
}

// Timeline 28. A restart forgets the applied suppressions and the proofs together.
SIM_SCENARIO(Timeline, RestartDropsViewAndProofTogether) {
    for (std::uint64_t seed = 4; seed < 24; ++seed) {
        World world(one_instance(seed));
        ASSERT_TRUE(running(world));
        world.env().faults.commit_aborted = 1;
        suppress(world, "r1");
        ASSERT_TRUE(world.run_until(30 * kSecond,
                                    [&] { return world.env().probes["partition_restarted"] > 0; }));
        world.env().faults.commit_aborted = 0;
        send(world, Mail{});
        expect_good_end(world);
        EXPECT_EQ(outcomes_of(world, "m1"),
                  std::vector<std::string>{"suppressed_at_send/suppressed"});
    }
}

// Timeline 29. A new suppression every few milliseconds does not starve sending.
SIM_SCENARIO(Timeline, SteadySuppressionsDoNotStarveSending) {
    Options options = one_instance(5);
    options.faults.input_delay_us = 150 * kMillisecond;  // the next question comes sooner
    World world(options);
    ASSERT_TRUE(running(world));
    std::vector<std::size_t> mails;
    for (int number = 0; number < 2'000; ++number) {
        suppress(world, "noise" + std::to_string(number % 50));
        if (number % 100 == 0) {
            mails.push_back(send(world, Mail{.message_id = "m" + std::to_string(number)}));
        }
        world.run_for(3 * kMillisecond);
    }
    std::size_t sent = 0;
    for (const std::size_t mail : mails) {
        sent += executions_of(world, mail);
    }
    EXPECT_GT(sent, mails.size() / 2) << "while the suppressions kept coming";
    expect_good_end(world);
}

// Timeline 30. Somebody else's transaction hangs on the suppressions: what stands behind it cannot be read yet.
SIM_SCENARIO(Timeline, HungForeignTransactionFailsClosed) {
    World world(one_instance(6));
    ASSERT_TRUE(running(world));
    const TransactionId hung = world.env().broker.begin("foreign", 600 * kSecond);
    suppress(world, "r9", hung);
    suppress(world, "r1");
    world.run_for(kSecond);
    const std::size_t mail = send(world, Mail{});
    world.run_for(20 * kSecond);
    EXPECT_EQ(requests_of(world, mail), 0U);
    world.env().broker.end(hung, false);
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), std::vector<std::string>{"suppressed_at_send/suppressed"});
}

// Timeline 18. The provider is down for long: nothing is lost, few messages are put in doubt.
SIM_SCENARIO(Timeline, LongOutageOfTheProvider) {
    Options options = one_instance(7);
    options.config.dispatch.default_ttl = std::chrono::hours{4};
    World world(options);
    ASSERT_TRUE(running(world));
    world.esp().treat = [](std::size_t, const std::string&) { return Treatment::ErrorNotExecuted; };
    for (int number = 0; number < 100; ++number) {
        send(world, Mail{.recipient = "r" + std::to_string(number),
                         .message_id = "m" + std::to_string(number),
                         .route = "plain"});
    }
    world.run_for(300 * kSecond);
    EXPECT_LT(world.esp().requests().size(), 60U);
    world.esp().treat = nullptr;
    expect_good_end(world);
    EXPECT_GT(world.esp().executions().size(), 50U);
}

// Timeline 21. The key's memory has ended before anybody could ask again.
SIM_SCENARIO(Timeline, ExpiredKeyIsNotReplayed) {
    Options options = one_instance(8);
    options.config.providers.front().idempotency_lifetime = Millis{60'000};
    World world(options);
    ASSERT_TRUE(running(world));
    world.esp().treat = first_then_accept(Treatment::LoseAnswer);
    const std::size_t mail = send(world, Mail{});
    ASSERT_TRUE(world.run_until(10 * kSecond, [&] { return requests_of(world, mail) == 1; }));
    world.kill(0, 60 * kSecond);
    world.run_for(61 * kSecond);
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), std::vector<std::string>{"ambiguous/key_expired"});
    EXPECT_EQ(executions_of(world, mail), 1U);
}

// Timeline 35. Another configuration would send other bytes under the same key.
SIM_SCENARIO(Timeline, ChangedRenderingIsNotReplayed) {
    Options options = one_instance(9);
    options.restart_the_dead = false;
    World world(options);
    ASSERT_TRUE(running(world));
    world.esp().treat = first_then_accept(Treatment::LoseAnswer);
    const std::size_t mail = send(world, Mail{});
    ASSERT_TRUE(world.run_until(10 * kSecond, [&] { return requests_of(world, mail) == 1; }));
    world.kill(0, kForever);
    world.run_for(kMillisecond);
    world.new_config().providers.front().base_url = "http://elsewhere.example";
    expect_good_end(world);
    EXPECT_EQ(outcomes_of(world, "m1"), std::vector<std::string>{"ambiguous/render_changed"});
}

// Timeline 40. One lane backs off; the recipient's other mail goes.
SIM_SCENARIO(Timeline, BackOffBlocksNoOtherLane) {
    World world(one_instance(10));
    ASSERT_TRUE(running(world));
    world.esp().treat = [](std::size_t, const std::string& tag) {
        return tag == "T0" ? Treatment::Throttle : Treatment::Accept;
    };
    send(world, Mail{.sequence = SequenceRef{"drip", 1}});
    world.run_for(kSecond);
    const std::size_t reset = send(world, Mail{.message_id = "reset"});
    world.run_for(2 * kSecond);
    EXPECT_EQ(executions_of(world, reset), 1U);
    world.esp().treat = nullptr;
    expect_good_end(world);
}

}  // namespace
}  // namespace postlane::sim
