// What the process remembers of its attempts while partitions come, restart and go.
#include "runtime/attempt_registry.h"

#include <gtest/gtest.h>

#include "runner_bench.h"

namespace postlane {
namespace {

class AttemptRegistryTest : public testing::Test {
protected:
    AttemptRegistryTest() {
        flow_.set_share(1, 1, now_);
        registry_.opened(0);
    }
    AttemptId submit(PartitionId partition = 0) {
        const AttemptId attempt = registry_.next();
        const Grant grant = flow_.try_acquire(0, 100, now_);
        EXPECT_TRUE(grant.granted());
        registry_.submitted(attempt, partition, grant);
        return attempt;
    }
    void finish(const AttemptId& attempt, PartitionId partition = 0) {
        AttemptResult result;
        result.kind = AttemptResult::Kind::Answered;
        result.answer.status = 202;
        registry_.finished(attempt, partition, std::move(result));
    }
    std::vector<AttemptId> take(PartitionId partition = 0) {
        std::vector<AttemptId> attempts;
        for (const AttemptRegistry::Finished& finished : registry_.take(partition)) {
            EXPECT_EQ(finished.result.answer.status, 202);
            attempts.push_back(finished.attempt);
        }
        return attempts;
    }

    BootInstant now_{std::chrono::seconds{1'000}};
    Config config_ = runner_config();
    ProviderFlow flow_{config_};
    std::vector<PartitionId> woken_;
    AttemptRegistry registry_{42, config_, flow_, [this](PartitionId p) { woken_.push_back(p); },
                              [this] { return now_; }};
};

using Attempts = std::vector<AttemptId>;

TEST_F(AttemptRegistryTest, EveryAttemptHasItsName) {
    const AttemptId first = registry_.next();
    const AttemptId second = registry_.next();
    EXPECT_EQ(first.process, 42U);
    EXPECT_NE(first, second);
    EXPECT_FALSE(registry_.knows(first));  // a name alone was never submitted
}

TEST_F(AttemptRegistryTest, AResultIsTakenOnceAndItsCreditHeldUntilCommitted) {
    const AttemptId attempt = submit();
    registry_.handed_over(attempt);
    EXPECT_EQ(registry_.on_the_wire(), 1U);
    finish(attempt);
    EXPECT_EQ(registry_.on_the_wire(), 0U);
    EXPECT_EQ(woken_, std::vector<PartitionId>{0});
    EXPECT_EQ(take(), Attempts{attempt});
    EXPECT_EQ(take(), Attempts{});
    EXPECT_EQ(flow_.in_flight(), 1U);
    registry_.settled({attempt});
    EXPECT_EQ(flow_.in_flight(), 0U);
    EXPECT_FALSE(registry_.knows(attempt));
}

TEST_F(AttemptRegistryTest, AfterARestartWhatWasTakenAndNotCommittedIsOfferedAgain) {
    const AttemptId taken = submit();
    const AttemptId waiting = submit();
    const AttemptId flying = submit();
    finish(taken);
    EXPECT_EQ(take(), Attempts{taken});
    finish(waiting);

    registry_.opened(0);
    registry_.keep_only(0, {taken, waiting, flying});

    Attempts offered = take();
    std::sort(offered.begin(), offered.end());
    EXPECT_EQ(offered, (Attempts{taken, waiting}));
    EXPECT_TRUE(registry_.knows(flying));
    EXPECT_EQ(flow_.in_flight(), 3U);
}

TEST_F(AttemptRegistryTest, AfterARestartWhatTheLedgerKnowsAsEndedConcernsNobody) {
    const AttemptId done = submit();
    const AttemptId flying = submit();
    finish(done);
    (void)take();

    registry_.opened(0);
    registry_.keep_only(0, {});  // its commit had happened after all

    EXPECT_EQ(take(), Attempts{});
    EXPECT_FALSE(registry_.knows(done));
    EXPECT_TRUE(registry_.knows(flying));  // its credit comes back with its result
    EXPECT_EQ(flow_.in_flight(), 1U);
}

TEST_F(AttemptRegistryTest, KeepOnlySpeaksOfItsPartitionAlone) {
    registry_.opened(1);
    const AttemptId other = submit(1);
    finish(other, 1);
    registry_.keep_only(0, {});
    EXPECT_EQ(take(1), Attempts{other});
}

TEST_F(AttemptRegistryTest, APartitionThatLeftHoldsNoCredits) {
    const AttemptId before = submit();
    const AttemptId after = submit();
    finish(before);
    registry_.closed(0);
    EXPECT_EQ(flow_.in_flight(), 1U);
    finish(after);
    EXPECT_EQ(flow_.in_flight(), 0U);

    registry_.opened(0);  // it came back: what happened meanwhile is known here
    EXPECT_EQ(take(), (Attempts{before, after}));
    registry_.settled({before});
    EXPECT_EQ(flow_.in_flight(), 0U);  // given back once
}

TEST_F(AttemptRegistryTest, AStrangersResultIsIgnored) {
    finish(AttemptId{1, 1});
    EXPECT_EQ(take(), Attempts{});
    EXPECT_TRUE(woken_.empty());
}

}  // namespace
}  // namespace postlane
