// Topics changed by somebody else, on the real broker.
#include "adapters/kafka/topology_watch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <thread>
#include <vector>

#include "adapters/kafka/broker.h"
#include "adapters/kafka/handles.h"
#include "adapters/kafka/topology.h"

namespace postlane {
namespace {

using test::quiet;

constexpr Millis kInterval{200};
constexpr PartitionId kPartitions = 2;
constexpr int kTimeoutMs = 10'000;

// What the broker's own tools do, with its admin requests.
class Admin {
public:
    explicit Admin(const Config& config)
        : client_(*kafka::Client::create(kafka::Kind::Consumer, config, {}, quiet())),
          queue_(rd_kafka_queue_new(client_->get())) {}
    Admin(const Admin&) = delete;
    Admin& operator=(const Admin&) = delete;
    ~Admin() {
        queue_.reset();  // librdkafka waits for it
        client_->close(Millis(5'000));
    }

    void set(const std::string& topic, const std::string& name, const std::string& value) {
        const kafka::ConfigResource resource(
            rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, topic.c_str()));
        rd_kafka_ConfigResource_set_config(resource.get(), name.c_str(), value.c_str());
        std::array<rd_kafka_ConfigResource_t*, 1> resources{resource.get()};
        rd_kafka_AlterConfigs(client_->get(), resources.data(), resources.size(), nullptr,
                              queue_.get());
        expect_answer();
    }

    void grow(const std::string& topic, std::size_t partitions) {
        rd_kafka_NewPartitions_t* more =
            rd_kafka_NewPartitions_new(topic.c_str(), partitions, nullptr, 0);
        rd_kafka_CreatePartitions(client_->get(), &more, 1, nullptr, queue_.get());
        expect_answer();
        rd_kafka_NewPartitions_destroy(more);
    }

    void remove(const std::string& topic) {
        rd_kafka_DeleteTopic_t* doomed = rd_kafka_DeleteTopic_new(topic.c_str());
        rd_kafka_DeleteTopics(client_->get(), &doomed, 1, nullptr, queue_.get());
        expect_answer();
        rd_kafka_DeleteTopic_destroy(doomed);
    }

private:
    void expect_answer() {
        const kafka::Event event(rd_kafka_queue_poll(queue_.get(), kTimeoutMs));
        ASSERT_NE(event, nullptr) << "the broker did not answer";
        ASSERT_EQ(rd_kafka_event_error(event.get()), RD_KAFKA_RESP_ERR_NO_ERROR)
            << rd_kafka_event_error_string(event.get());
    }

    std::unique_ptr<kafka::Client> client_;
    kafka::Queue queue_;
};

// The reasons a watch gave.
class Reasons {
public:
    void add(const std::string& why) {
        const std::lock_guard lock(mutex_);
        all_.push_back(why);
    }
    [[nodiscard]] std::size_t count() const {
        const std::lock_guard lock(mutex_);
        return all_.size();
    }
    [[nodiscard]] bool has(const std::string& words) const {
        const std::lock_guard lock(mutex_);
        return std::ranges::any_of(
            all_, [&](const auto& why) { return why.find(words) != std::string::npos; });
    }

private:
    mutable std::mutex mutex_;
    std::vector<std::string> all_;
};

class TopologyWatchTest : public testing::Test {
protected:
    TopologyWatchTest() : config_(test::fresh_config()) {
        const auto made = create_topics(config_, kPartitions, 1, quiet());
        EXPECT_TRUE(made.has_value()) << made.error().detail;
    }

    // A watch begins, `change` is made under it, and it must say why that is refused.
    void expect_refused(const std::function<void(Admin&)>& change, const std::string& words) {
        Reasons reasons;
        const TopologyWatch watch(config_, kPartitions, kInterval, quiet(),
                                  [&](const std::string& why) { reasons.add(why); });
        EXPECT_FALSE(test::eventually([] {}, [&] { return reasons.count() > 0; }, 4 * kInterval))
            << "nothing was changed yet";
        Admin admin(config_);
        change(admin);
        EXPECT_TRUE(test::eventually([] {}, [&] { return reasons.has(words); }));
    }

    const Config config_;
};

TEST_F(TopologyWatchTest, ALedgerThatBeginsToForgetIsRefused) {
    expect_refused(
        [&](Admin& admin) { admin.set(config_.topics.ledger, "cleanup.policy", "delete"); },
        config_.topics.ledger + ": ");
}

TEST_F(TopologyWatchTest, MorePartitionsAreRefused) {
    expect_refused([&](Admin& admin) { admin.grow(config_.topics.sends, kPartitions + 1); },
                   "the partition count of " + config_.topics.sends + " changed from 2 to 3");
}

TEST_F(TopologyWatchTest, ATopicThatIsGoneIsRefused) {
    expect_refused([&](Admin& admin) { admin.remove(config_.topics.outcomes); },
                   config_.topics.outcomes + ": ");
}

TEST(TopologyWatch, BrokersThatAreAwayAreNoReason) {
    Config config = test::fresh_config();
    config.kafka.bootstrap_servers = {"127.0.0.1:1"};
    Reasons reasons;
    {
        const TopologyWatch watch(config, kPartitions, Millis(1), quiet(),
                                  [&](const std::string& why) { reasons.add(why); });
        std::this_thread::sleep_for(Millis(300));
    }
    EXPECT_EQ(reasons.count(), 0U);
}

}  // namespace
}  // namespace postlane
