#include "adapters/kafka/group_consumer.h"

#include <gtest/gtest.h>

#include <optional>
#include <set>
#include <thread>

#include "adapters/kafka/broker.h"
#include "adapters/kafka/transaction_log.h"

namespace postlane {
namespace {

using test::eventually;
using test::quiet;

// A member that keeps what it was told; revokes are finished at once unless it holds on, lost or not.
class Member final : public GroupListener {
public:
    explicit Member(Config config, bool holds_on = false)
        : config_(std::move(config)), holds_on_(holds_on) {
        auto made = GroupConsumer::create(config_, *this, quiet());
        EXPECT_TRUE(made.has_value()) << made.error().detail;
        consumer_ = std::move(*made);
    }

    void on_assigned(const std::vector<PartitionId>& partitions) override {
        owned = {partitions.begin(), partitions.end()};
        ++assignments;
    }
    void on_revoked(const std::vector<PartitionId>& partitions, bool lost) override {
        revoked = partitions;
        was_lost = lost;
        draining = holds_on_;
        if (!draining) {
            owned.clear();
            consumer_->finish_revoke();
        }
    }
    void on_fatal(const Error& error) override { fatal = error; }

    void let_go() {
        draining = false;
        owned.clear();
        consumer_->finish_revoke();
    }
    void poll(Millis timeout = Millis(10)) { consumer_->poll(timeout); }
    GroupConsumer& consumer() { return *consumer_; }
    // Ends like a killed process: without a word to the group.
    void die() { consumer_.reset(); }

    std::set<PartitionId> owned;
    std::vector<PartitionId> revoked;
    int assignments = 0;
    bool was_lost = false;
    bool draining = false;
    std::optional<Error> fatal;

private:
    Config config_;
    bool holds_on_;
    std::unique_ptr<GroupConsumer> consumer_;
};

using Partitions = std::set<PartitionId>;
const Partitions kAll{0, 1, 2, 3};

bool closes(Member& member) {
    member.consumer().start_close();
    return eventually([&] { member.poll(); }, [&] { return member.consumer().closed(); });
}

TEST(GroupConsumer, OneMemberGetsAndKeepsEverything) {
    const Config config = test::config_with_topics(4);
    Member member(config);
    ASSERT_TRUE(eventually([&] { member.poll(); }, [&] { return member.owned == kAll; }));
    // Some seconds of membership: heartbeats go on, the assignment stays.
    EXPECT_FALSE(
        eventually([&] { member.poll(); }, [&] { return member.owned != kAll; }, Millis(3000)));
    EXPECT_EQ(member.assignments, 1);
    EXPECT_TRUE(closes(member));
    EXPECT_EQ(member.revoked, (std::vector<PartitionId>{0, 1, 2, 3}));
    EXPECT_FALSE(member.was_lost);
}

TEST(GroupConsumer, ASecondMemberWaitsUntilTheFirstHasDrained) {
    const Config config = test::config_with_topics(4);
    Member first(config, true);
    ASSERT_TRUE(eventually([&] { first.poll(); }, [&] { return first.owned == kAll; }));
    Member second(config);
    const auto poll_both = [&] {
        first.poll();
        second.poll();
    };
    ASSERT_TRUE(eventually(poll_both, [&] { return first.draining; }));
    EXPECT_EQ(first.revoked, (std::vector<PartitionId>{0, 1, 2, 3}));
    // While it drains it keeps everything, and the second gets nothing.
    EXPECT_FALSE(eventually(poll_both, [&] { return !second.owned.empty(); }, Millis(4000)));
    EXPECT_EQ(first.owned, kAll);
    first.let_go();
    ASSERT_TRUE(
        eventually(poll_both, [&] { return first.owned.size() == 2 && second.owned.size() == 2; }));
    Partitions together = first.owned;
    together.insert(second.owned.begin(), second.owned.end());
    EXPECT_EQ(together, kAll);

    // One leaves in order: the other gets all, without waiting for a session to end.
    second.consumer().start_close();
    ASSERT_TRUE(eventually(poll_both, [&] { return first.draining; }));
    first.let_go();
    ASSERT_TRUE(eventually(poll_both, [&] { return first.owned == kAll; }));
    EXPECT_TRUE(second.consumer().closed());
}

TEST(GroupConsumer, ADeadMembersPartitionsGoToTheOtherWhenItsSessionEnds) {
    Config config = test::config_with_topics(4);
    config.kafka.session_timeout = Millis(1500);
    Member first(config);
    Member second(config);
    const auto poll_both = [&] {
        first.poll();
        second.poll();
    };
    ASSERT_TRUE(
        eventually(poll_both, [&] { return first.owned.size() == 2 && second.owned.size() == 2; }));
    first.die();
    EXPECT_TRUE(eventually([&] { second.poll(); }, [&] { return second.owned == kAll; }));
}

TEST(GroupConsumer, AMemberThatStoppedPollingLearnsThatItLostItsPartitions) {
    Config config = test::config_with_topics(4);
    config.kafka.session_timeout = Millis(1500);
    config.kafka.librdkafka["max.poll.interval.ms"] = "2000";
    Member sleeper(config);
    Member other(config);
    const auto poll_both = [&] {
        sleeper.poll();
        other.poll();
    };
    ASSERT_TRUE(eventually(poll_both,
                           [&] { return sleeper.owned.size() == 2 && other.owned.size() == 2; }));
    ASSERT_TRUE(eventually([&] { other.poll(); }, [&] { return other.owned == kAll; }));
    ASSERT_TRUE(eventually(poll_both, [&] { return sleeper.was_lost; }));
    EXPECT_TRUE(eventually(poll_both,
                           [&] { return sleeper.owned.size() == 2 && other.owned.size() == 2; }));
}

// Its threads may still be inside a commit that hangs with the broker: what they hold (a store, a stream of input)
// cannot be had a second time.
TEST(GroupConsumer, AMemberThatLostItsPartitionsGetsNoneBeforeItHasLetGo) {
    Config config = test::config_with_topics(4);
    config.kafka.session_timeout = Millis(1500);
    config.kafka.librdkafka["max.poll.interval.ms"] = "2000";
    Member sleeper(config, true);
    ASSERT_TRUE(eventually([&] { sleeper.poll(); }, [&] { return sleeper.owned == kAll; }));
    std::this_thread::sleep_for(Millis(3000));  // without a poll for longer than the interval
    ASSERT_TRUE(eventually([&] { sleeper.poll(); }, [&] { return sleeper.was_lost; }));
    ASSERT_TRUE(sleeper.draining);
    EXPECT_FALSE(
        eventually([&] { sleeper.poll(); }, [&] { return sleeper.assignments > 1; }, Millis(3000)));
    sleeper.let_go();
    EXPECT_TRUE(eventually([&] { sleeper.poll(); }, [&] { return sleeper.owned == kAll; }));
}

TEST(GroupConsumer, TheSameInstanceIdTwiceIsFatalForTheFirst) {
    Config config = test::config_with_topics(4);
    config.kafka.group_instance_id = "instance-0";
    Member first(config);
    ASSERT_TRUE(eventually([&] { first.poll(); }, [&] { return first.owned == kAll; }));
    Member second(config);
    ASSERT_TRUE(eventually(
        [&] {
            first.poll();
            second.poll();
        },
        [&] { return first.fatal.has_value(); }));
    EXPECT_EQ(first.fatal->code, ErrorCode::Fenced) << first.fatal->detail;
    EXPECT_NE(first.fatal->detail.find("group_instance_id"), std::string::npos);
    EXPECT_FALSE(second.fatal.has_value());
}

TEST(GroupConsumer, AStaticMemberComesBackWithoutARebalanceOfTheOthers) {
    Config first_config = test::config_with_topics(4);
    Config second_config = first_config;
    first_config.kafka.group_instance_id = "a";
    second_config.kafka.group_instance_id = "b";
    Member stays(first_config);
    auto leaves = std::make_unique<Member>(second_config);
    ASSERT_TRUE(eventually(
        [&] {
            stays.poll();
            leaves->poll();
        },
        [&] { return stays.owned.size() == 2 && leaves->owned.size() == 2; }));
    const int before = stays.assignments;
    const Partitions its_partitions = leaves->owned;
    EXPECT_TRUE(closes(*leaves));
    leaves = std::make_unique<Member>(second_config);
    EXPECT_TRUE(eventually(
        [&] {
            stays.poll();
            leaves->poll();
        },
        [&] { return leaves->owned == its_partitions; }));
    EXPECT_EQ(stays.assignments, before);
}

TEST(GroupConsumer, CommittedOffsetsAreSeenByTheGroup) {
    const Config config = test::config_with_topics(4);
    Member member(config);
    ASSERT_TRUE(eventually([&] { member.poll(); }, [&] { return member.owned == kAll; }));
    member.consumer().commit_async({{0, 5}, {2, 7}});
    auto log = KafkaLedgerLog::create(config, 2, quiet()).value();
    EXPECT_TRUE(eventually([&] { member.poll(); },
                           [&] { return log->group_offset_exists().value_or(false); }));
    EXPECT_TRUE(closes(member));
}

TEST(GroupConsumer, CooperativeAssignorsAreRefused) {
    Config config = test::fresh_config();
    config.kafka.librdkafka["partition.assignment.strategy"] = "cooperative-sticky";
    class Deaf final : public GroupListener {
        void on_assigned(const std::vector<PartitionId>&) override {}
        void on_revoked(const std::vector<PartitionId>&, bool) override {}
        void on_fatal(const Error&) override {}
    } deaf;
    const auto made = GroupConsumer::create(config, deaf, quiet());
    ASSERT_FALSE(made.has_value());
    EXPECT_EQ(made.error().code, ErrorCode::Misconfigured);
}

}  // namespace
}  // namespace postlane
