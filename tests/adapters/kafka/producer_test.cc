#include "adapters/kafka/producer.h"

#include <gtest/gtest.h>
#include <librdkafka/rdkafka.h>

#include <map>

#include "adapters/kafka/broker.h"
#include "adapters/kafka/input_reader.h"

namespace postlane {
namespace {

using test::quiet;

NewRecord record(const std::string& topic, std::uint64_t tag, const std::string& key,
                 const std::string& value) {
    return {.topic = topic,
            .partition = std::nullopt,
            .key = key,
            .value = value,
            .headers = {},
            .tag = tag};
}

std::map<std::uint64_t, Delivery> deliveries(Producer& producer, std::size_t count) {
    std::map<std::uint64_t, Delivery> all;
    test::eventually(
        [&] {
            for (Delivery& one : producer.poll(Millis(100))) {
                all[one.tag] = std::move(one);
            }
        },
        [&] { return all.size() >= count; });
    return all;
}

TEST(Producer, PartitionsLikeJavaDoes) {
    const Config config = test::config_with_topics(16);
    const auto producer = Producer::create(config, quiet()).value();
    for (std::uint64_t i = 0; i < 50; ++i) {
        ASSERT_TRUE(producer->send(record(config.topics.sends, i, "user-" + std::to_string(i), "v"))
                        .has_value());
    }
    ASSERT_TRUE(producer->flush(Millis(10'000)).has_value());
    const auto all = deliveries(*producer, 50);
    ASSERT_EQ(all.size(), 50U);
    for (const auto& [tag, delivery] : all) {
        const std::string key = "user-" + std::to_string(tag);
        EXPECT_FALSE(delivery.error.has_value());
        EXPECT_GE(delivery.offset, 0);
        EXPECT_EQ(delivery.partition, rd_kafka_msg_partitioner_murmur2(
                                          nullptr, key.data(), key.size(), 16, nullptr, nullptr))
            << key;
    }
}

TEST(Producer, TheOldPartitionerIsACrc) {
    Config config = test::config_with_topics(16);
    config.kafka.partitioner = config::Partitioner::Crc32;
    const auto producer = Producer::create(config, quiet()).value();
    ASSERT_TRUE(producer->send(record(config.topics.sends, 1, "user-1", "v")).has_value());
    const auto all = deliveries(*producer, 1);
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all.at(1).partition,
              rd_kafka_msg_partitioner_consistent(nullptr, "user-1", 6, 16, nullptr, nullptr));
}

TEST(Producer, OneBadRecordDoesNotSpoilTheOthers) {
    const Config config = test::config_with_topics();
    const auto producer = Producer::create(config, quiet()).value();
    ASSERT_TRUE(producer->send(record(config.topics.sends, 1, "a", "v")).has_value());
    const auto huge =
        producer->send(record(config.topics.sends, 2, "b", std::string(3'000'000, 'x')));
    ASSERT_FALSE(huge.has_value());
    EXPECT_EQ(huge.error().code, ErrorCode::Rejected) << huge.error().detail;
    NewRecord elsewhere = record(config.topics.sends, 3, "c", "v");
    elsewhere.partition = 5;
    const bool queued = producer->send(elsewhere).has_value();
    ASSERT_TRUE(producer->send(record(config.topics.sends, 4, "d", "v")).has_value());
    const auto all = deliveries(*producer, queued ? 3 : 2);
    EXPECT_FALSE(all.at(1).error.has_value());
    EXPECT_FALSE(all.at(4).error.has_value());
    if (queued) {
        ASSERT_TRUE(all.at(3).error.has_value());
        EXPECT_EQ(all.at(3).error->code, ErrorCode::Rejected) << all.at(3).error->detail;
    }
}

TEST(Producer, WithoutABrokerEveryRecordFailsInTime) {
    Config config = test::fresh_config();
    config.kafka.bootstrap_servers = {"127.0.0.1:1"};
    const auto producer = Producer::create(config, quiet(), Millis(1000)).value();
    ASSERT_TRUE(producer->send(record(config.topics.sends, 1, "a", "v")).has_value());
    EXPECT_FALSE(producer->flush(Millis(100)).has_value());
    const auto all = deliveries(*producer, 1);
    ASSERT_EQ(all.size(), 1U);
    ASSERT_TRUE(all.at(1).error.has_value());
    EXPECT_EQ(all.at(1).error->code, ErrorCode::Unavailable) << all.at(1).error->detail;
}

}  // namespace
}  // namespace postlane
