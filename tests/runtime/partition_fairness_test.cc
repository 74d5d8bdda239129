// Nobody is in anybody's way: recipients, lanes, routes; and memory stays bounded meanwhile.
#include "runtime/partition_runner.h"

#include <gtest/gtest.h>

#include "codec/encode.h"
#include "runner_bench.h"

namespace postlane {
namespace {

using enum MessageState;
using std::chrono::hours;

TEST(PartitionFairnessTest, OneRequestInFlightPerRecipientInOrder) {
    RunnerBench bench;
    for (const char* id : {"m1", "m2", "m3"}) {
        bench.send("ann", id);
    }
    bench.send("bob", "n");
    bench.settle();
    EXPECT_EQ(bench.on_the_wire(), 2U);
    EXPECT_EQ(bench.state("ann", "m1"), Sending);
    EXPECT_EQ(bench.state("ann", "m2"), Ready);
}

// Answers until nothing is left, and tells the order in which messages were accepted.
std::vector<std::string> accept_all(RunnerBench& bench, const std::string& recipient,
                                    const std::vector<std::string>& ids) {
    std::map<std::string, std::string> by_key;
    for (const std::string& id : ids) {
        by_key[idempotency_key(RecipientId(recipient), MessageId(id))] = id;
    }
    std::vector<std::string> accepted;
    while (bench.on_the_wire() > 0) {
        accepted.push_back(by_key[header_of(bench.dispatcher.submitted[0], "Idempotency-Key")]);
        bench.advance(Millis{3});
        bench.answer(202);
        bench.turn();
        if (bench.on_the_wire() == 0) {
            bench.settle();
        }
    }
    return accepted;
}

TEST(PartitionFairnessTest, AHotRecipientStaysBoundedAndInOrder) {
    RunnerBench bench;
    std::vector<std::string> ids;
    for (int n = 0; n < 2'000; ++n) {
        ids.push_back("m" + std::to_string(n));
        bench.send("ann", ids.back());
        if (n % 500 == 0) {
            bench.settle();
        }
        if (n % 100 == 7) {
            bench.send("bob" + std::to_string(n), "n");
            bench.turn();
            bench.dispatcher.submitted.resize(1);  // the others' answers never come
        }
        bench.advance(Millis{1});
    }
    bench.settle();
    EXPECT_EQ(bench.runner->undecided(), 0U);  // it keeps nobody's input waiting
    bench.dispatcher.submitted.resize(1);
    // Newer ones arrive while older ones wait in the store.
    for (int n = 2'000; n < 2'100; ++n) {
        ids.push_back("m" + std::to_string(n));
        bench.send("ann", ids.back());
        bench.advance(Millis{5});
        bench.turn();
        if (n % 3 == 0) {
            bench.answer(202);
            bench.turn();
        }
    }
    const std::size_t done = 33;
    const std::vector<std::string> accepted = accept_all(bench, "ann", ids);
    ASSERT_EQ(accepted.size(), ids.size() - done);
    EXPECT_TRUE(std::equal(accepted.begin(), accepted.end(), ids.begin() + done));
}

Config with_two_routes() {
    Config config = runner_config();
    config::Provider other = config.providers[0];
    other.name = "other";
    config.providers.push_back(other);
    config::Route bulk = config.routes[0];
    bulk.name = "bulk";
    bulk.providers = {"other"};
    config.routes.push_back(bulk);
    return config;
}

TEST(PartitionFairnessTest, AHotRecipientOnTwoRoutesLosesNothing) {
    RunnerBench bench(with_two_routes());
    std::vector<std::string> ids;
    for (int n = 0; n < 200; ++n) {
        ids.push_back("m" + std::to_string(n));
        bench.send("ann", ids.back(), n % 2 == 0 ? R"("route":"bulk")" : R"("route":"default")");
        bench.advance(Millis{1});
    }
    bench.settle();
    EXPECT_EQ(accept_all(bench, "ann", ids), ids);
}

TEST(PartitionFairnessTest, AHotRecipientAmongManyOthersLosesNothing) {
    RunnerBench bench;
    std::vector<std::string> ids;
    for (int n = 0; n < 40; ++n) {
        ids.push_back("m" + std::to_string(n));
        bench.send("ann", ids.back());
        bench.advance(Millis{1});
        for (int other = 0; other < 40; ++other) {  // all of one recipient: they stay in the store
            bench.send("bob", "n" + std::to_string(n) + "-" + std::to_string(other));
        }
        bench.turn();
    }
    bench.settle();
    std::size_t accepted = 0;
    while (bench.on_the_wire() > 0) {
        bench.advance(Millis{1});
        bench.answer(202);
        bench.turn();
        accepted += 1;
    }
    EXPECT_EQ(accepted, 40U * 41U);
}

TEST(PartitionFairnessTest, ASuppressedHotRecipientIsDoneAtOnce) {
    RunnerBench bench;
    for (int n = 0; n < 500; ++n) {
        bench.send("ann", "m" + std::to_string(n), R"("send_at":"2025-12-01T10:00:00Z")");
    }
    bench.settle();
    bench.suppress("ann");
    bench.settle();
    bench.advance(hours{1});
    bench.settle();
    EXPECT_EQ((bench.metrics.outcomes[{Outcome::SuppressedAtSend, Reason::Suppressed}]), 500U);
}

TEST(PartitionFairnessTest, ABlockedRouteDoesNotBlockAnother) {
    Config config = with_two_routes();
    config.providers[0].max_in_flight = 1;
    RunnerBench bench(config);
    for (int n = 0; n < 1'000; ++n) {
        bench.send("r" + std::to_string(n), "m");
    }
    bench.settle();
    const std::size_t busy = bench.on_the_wire();
    ASSERT_LT(busy, 10U);
    bench.send("bob", "urgent", R"("route":"bulk")");
    bench.settle();
    ASSERT_EQ(bench.on_the_wire(), busy + 1);
    EXPECT_EQ(bench.state("bob", "urgent"), Sending);
    // What was parked comes back.
    bench.dispatcher.submitted.pop_back();
    std::size_t accepted = 0;
    while (bench.on_the_wire() > 0) {
        bench.answer(202);
        bench.advance(Millis{1});
        bench.turn();
        if (bench.on_the_wire() == 0) {
            bench.advance(Millis{50});
            bench.settle();
        }
        accepted += 1;
    }
    EXPECT_EQ(accepted, 1'000U);
}

TEST(PartitionFairnessTest, AMessageInDoubtDoesNotStopARouteThatHasAnotherProvider) {
    Config config = with_two_routes();
    config.routes[0].providers = {"esp", "other"};
    RunnerBench bench(config);
    for (std::uint32_t n = 0; n < ProviderFlow::kFailuresToOpen; ++n) {
        bench.send("r" + std::to_string(n), "m");
    }
    bench.settle();
    while (bench.on_the_wire() > 0) {
        bench.answer(500);  // in doubt, each of them, and the circuit opens
    }
    bench.settle();
    ASSERT_EQ(bench.flow.snapshot(0).circuit, ProviderFlow::Circuit::Open);
    bench.send("ann", "m");
    bench.turn();
    bench.advance(Millis{900});  // some of the doubtful are due again by now
    bench.send("bob", "m");
    bench.turn();
    ASSERT_EQ(bench.on_the_wire(), 2U);
    EXPECT_EQ(bench.dispatcher.submitted[1].provider, 1U);
    EXPECT_EQ(bench.state("bob", "m"), Sending);
    // Each of them gets its replay once the first provider answers again.
    for (int turn = 0; turn < 200; ++turn) {
        bench.advance(Millis{500});
        bench.settle();
        while (bench.on_the_wire() > 0) {
            bench.answer(202);
        }
    }
    bench.settle();
    EXPECT_EQ((bench.metrics.outcomes[{Outcome::Sent, Reason::Accepted}]),
              ProviderFlow::kFailuresToOpen + 2);
}

class RefusedMessages : public testing::TestWithParam<int> {};

// Such an answer may be about the account or about that message alone; the oldest messages are not every probe.
TEST_P(RefusedMessages, BlockNobody) {
    RunnerBench bench;
    for (int number = 0; number < GetParam(); ++number) {
        bench.send("poison" + std::to_string(number), "m");
    }
    int sent = 0;
    int refused = 0;
    for (int second = 0; second < 7'200; ++second) {
        bench.advance(Millis{1'000});
        if (second % 60 == 19) {
            bench.send("r" + std::to_string(second), "m");
        }
        bench.settle();
        while (bench.on_the_wire() > 0) {
            const bool is_poison =
                bench.dispatcher.submitted.front().request.body.find("poison") != std::string::npos;
            (is_poison ? refused : sent) += 1;
            bench.answer(is_poison ? 403 : 202);
            bench.settle();
        }
    }
    EXPECT_EQ(sent, 120);
    EXPECT_GT(refused, 5 * GetParam());
    EXPECT_EQ(bench.state("poison0", "m"), Ready);
}

INSTANTIATE_TEST_SUITE_P(Some, RefusedMessages, testing::Values(1, 8, 50));

TEST(PartitionFairnessTest, AnAccountThatIsRefusedLeavesItsMailToTheNextProvider) {
    for (const Millis age : {Millis{0}, Millis{3'600'000}}) {
        Config config = with_two_routes();
        config.routes[0].providers = {"esp", "other"};
        RunnerBench bench(config);
        bench.send("ann", "m");
        bench.settle();
        bench.advance(age);
        for (int tick = 0; tick < 50 && bench.state("ann", "m") != Sent; ++tick) {
            bench.settle();
            while (bench.on_the_wire() > 0) {
                bench.answer(bench.dispatcher.submitted.front().provider == 0 ? 401 : 202);
                bench.settle();
            }
            bench.advance(Millis{100});
        }
        EXPECT_EQ(bench.state("ann", "m"), Sent);
    }
}

TEST(PartitionFairnessTest, AMessageWhoseRouteIsGoneExpiresOnTime) {
    RunnerBench bench(with_two_routes());
    bench.send("ann", "m", R"("route":"bulk","send_at":"2025-12-01T10:00:00Z")");
    bench.settle();
    bench.config.routes.pop_back();
    bench.start();
    bench.advance(hours{2});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Scheduled);
    bench.advance(hours{71});
    bench.settle();
    EXPECT_EQ(bench.state("ann", "m"), Expired);
}

TEST(PartitionFairnessTest, AReadyMessageExpiresWhileItsProviderIsBusy) {
    Config config = runner_config();
    config.dispatch.max_in_flight = 1;
    RunnerBench bench(config);
    bench.send("ann", "m");
    bench.send("bob", "m");
    bench.settle();
    bench.advance(hours{72});
    bench.settle();
    EXPECT_EQ(bench.state("bob", "m"), Expired);
}

}  // namespace
}  // namespace postlane
