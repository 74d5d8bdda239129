#include "adapters/kafka/topology.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "adapters/kafka/broker.h"

namespace postlane {
namespace {

using test::quiet;

Config durable_config() {
    Config config;
    config.topics = {.sends = "sends",
                     .suppressions = "suppressions",
                     .address_suppressions = "address-suppressions",
                     .provider_events = "provider-events",
                     .outcomes = "outcomes",
                     .dead_letters = "dead-letters",
                     .ledger = "ledger",
                     .control = "control"};
    config.kafka.require_durable_topics = true;
    config.dispatch.max_payload_bytes = 921'600;
    return config;
}

// What `postlane topics create` makes on three brokers.
Topology good_topology(const Config& config) {
    Topology topology;
    topology.brokers = 3;
    for (const TopicPlan& plan : plan_topics(config, 8, 3)) {
        topology.topics[plan.name] = TopicFacts{
            .partitions = plan.partitions, .replication_factor = 3, .settings = plan.settings};
    }
    return topology;
}

struct Row {
    std::string name;
    std::string topic;
    std::string setting;  // "" with value "": the topic is missing
    std::string value;
    std::optional<Finding::Severity> expected;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

void change(Topology& topology, const Row& row) {
    TopicFacts& facts = topology.topics.at(row.topic);
    if (row.setting.empty()) {
        topology.topics.erase(row.topic);
    } else if (row.setting == "partitions") {
        facts.partitions = std::stoi(row.value);
    } else if (row.setting == "replicas") {
        facts.replication_factor = std::stoi(row.value);
    } else {
        facts.settings[row.setting] = row.value;
    }
}

class CheckTopology : public testing::TestWithParam<Row> {};

TEST_P(CheckTopology, Finds) {
    const Config config = durable_config();
    Topology topology = good_topology(config);
    ASSERT_TRUE(check_topology(config, topology).empty());
    change(topology, GetParam());
    const auto findings = check_topology(config, topology);
    if (!GetParam().expected) {
        EXPECT_TRUE(findings.empty()) << findings.front().text;
        return;
    }
    ASSERT_EQ(findings.size(), 1U) << (findings.empty() ? "" : findings.back().text);
    EXPECT_EQ(findings[0].severity, *GetParam().expected);
    EXPECT_EQ(findings[0].topic, GetParam().topic);
    EXPECT_FALSE(findings[0].text.empty());
}

constexpr auto kRefuse = Finding::Severity::Refuse;
constexpr auto kWarn = Finding::Severity::Warn;

INSTANTIATE_TEST_SUITE_P(
    Table, CheckTopology,
    testing::Values(
        Row{"NothingChanged", "control", "retention.ms", "1", std::nullopt},
        Row{"SendsMissing", "sends", "", "", kRefuse},
        Row{"LedgerMissing", "ledger", "", "", kRefuse},
        Row{"AddressSuppressionsMissing", "address-suppressions", "", "", kRefuse},
        Row{"ControlMissing", "control", "", "", kWarn},
        Row{"ProviderEventsMissing", "provider-events", "", "", kWarn},
        Row{"FewerSuppressionPartitions", "suppressions", "partitions", "4", kRefuse},
        Row{"MoreSuppressionPartitions", "suppressions", "partitions", "16", kRefuse},
        Row{"MoreLedgerPartitions", "ledger", "partitions", "9", kRefuse},
        Row{"FewerOutcomePartitions", "outcomes", "partitions", "7", kRefuse},
        Row{"MoreOutcomePartitions", "outcomes", "partitions", "9", std::nullopt},
        Row{"DeadLetterPartitionsAreFree", "dead-letters", "partitions", "1", std::nullopt},
        Row{"AddressPartitionsAreFree", "address-suppressions", "partitions", "7", std::nullopt},
        Row{"LedgerNotCompacted", "ledger", "cleanup.policy", "delete", kRefuse},
        Row{"LedgerAlsoDeleted", "ledger", "cleanup.policy", "compact,delete", kRefuse},
        Row{"ControlNotCompacted", "control", "cleanup.policy", "delete", kRefuse},
        Row{"SuppressionsCompacted", "suppressions", "cleanup.policy", "compact", kRefuse},
        Row{"SendsAlsoCompacted", "sends", "cleanup.policy", "compact,delete", kRefuse},
        Row{"AddressesCompacted", "address-suppressions", "cleanup.policy", "compact", kRefuse},
        Row{"AddressesExpire", "address-suppressions", "retention.ms", "604800000", kRefuse},
        Row{"AddressesAreCut", "address-suppressions", "retention.bytes", "1000000", kRefuse},
        Row{"SuppressionsExpireInAMonth", "suppressions", "retention.ms", "2592000000",
            std::nullopt},
        Row{"SuppressionsExpireInADay", "suppressions", "retention.ms", "86400000", kWarn},
        Row{"SuppressionsAreCut", "suppressions", "retention.bytes", "1000000", kWarn},
        Row{"LedgerCreateTime", "ledger", "message.timestamp.type", "CreateTime", kWarn},
        Row{"LedgerForgetsTombstonesSoon", "ledger", "delete.retention.ms", "3600000", kWarn},
        Row{"LedgerRecordsTooSmall", "ledger", "max.message.bytes", "500000", kRefuse},
        Row{"DeadLettersTooSmall", "dead-letters", "max.message.bytes", "921600", kWarn},
        Row{"SendsMayBeSmall", "sends", "max.message.bytes", "1000", std::nullopt},
        Row{"OneReplicaIsTooFew", "provider-events", "replicas", "1", kRefuse},
        Row{"MinIsrOne", "sends", "min.insync.replicas", "1", kRefuse},
        Row{"MinIsrAll", "sends", "min.insync.replicas", "3", kWarn},
        Row{"UncleanElection", "suppressions", "unclean.leader.election.enable", "true", kRefuse}),
    [](const auto& row) { return row.param.name; });

TEST(CheckTopologyDurability, IsNotAskedForOnASingleBroker) {
    Config config = durable_config();
    Topology topology = good_topology(config);
    for (auto& [name, facts] : topology.topics) {
        facts.replication_factor = 1;
        facts.settings["min.insync.replicas"] = "1";
    }
    EXPECT_EQ(check_topology(config, topology).size(), 16U);
    config.kafka.require_durable_topics = false;
    EXPECT_TRUE(check_topology(config, topology).empty());
}

TEST(CheckTopologyRetention, IsNamedWithTheCommandThatMendsIt) {
    const Config config = durable_config();
    Topology topology = good_topology(config);
    topology.topics.at("ledger").settings["cleanup.policy"] = "delete";
    const auto findings = check_topology(config, topology);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_NE(findings[0].text.find("--entity-name ledger --add-config cleanup.policy=compact"),
              std::string::npos)
        << findings[0].text;
}

TEST(Topology, WhatIsCreatedPassesTheCheckAndIsKeptTheSecondTime) {
    const Config config = test::fresh_config();
    const auto before = read_topology(config, quiet());
    ASSERT_TRUE(before.has_value()) << before.error().detail;
    EXPECT_TRUE(before->topics.empty());
    EXPECT_EQ(before->brokers, 1);

    const auto created = create_topics(config, 6, 1, quiet());
    ASSERT_TRUE(created.has_value()) << created.error().detail;
    EXPECT_EQ(created->size(), 8U);
    EXPECT_TRUE(std::ranges::none_of(*created, [](const auto& one) { return one.existed; }));

    const auto topology = read_topology(config, quiet());
    ASSERT_TRUE(topology.has_value()) << topology.error().detail;
    const auto findings = check_topology(config, *topology);
    EXPECT_TRUE(findings.empty()) << findings.front().topic << findings.front().text;
    EXPECT_EQ(topology->find(config.topics.sends)->partitions, 6);
    EXPECT_EQ(topology->find(config.topics.address_suppressions)->partitions, 4);
    EXPECT_EQ(topology->find(config.topics.control)->partitions, 1);
    EXPECT_EQ(topology->find(config.topics.ledger)->replication_factor, 1);
    EXPECT_EQ(topology->find(config.topics.ledger)->settings.at("message.timestamp.type"),
              "LogAppendTime");

    const auto again = create_topics(config, 9, 1, quiet());
    ASSERT_TRUE(again.has_value()) << again.error().detail;
    EXPECT_TRUE(std::ranges::all_of(*again, [](const auto& one) { return one.existed; }));
    EXPECT_EQ(read_topology(config, quiet())->find(config.topics.sends)->partitions, 6);
}

TEST(Topology, TooManyReplicasForTheClusterIsAMatterOfConfiguration) {
    const Config config = test::fresh_config();
    const auto created = create_topics(config, 1, 3, quiet());
    ASSERT_FALSE(created.has_value());
    EXPECT_EQ(created.error().code, ErrorCode::Misconfigured) << created.error().detail;
}

TEST(Topology, AClusterThatDoesNotAnswerIsUnavailable) {
    Config config = test::fresh_config();
    config.kafka.bootstrap_servers = {"127.0.0.1:1"};
    const auto topology = read_topology(config, quiet(), Millis(500));
    ASSERT_FALSE(topology.has_value());
    EXPECT_EQ(topology.error().code, ErrorCode::Unavailable) << topology.error().detail;
}

}  // namespace
}  // namespace postlane
