// Talking to the cluster about topics; the judgement is in topology_check.cc.
#include "adapters/kafka/topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <span>
#include <thread>
#include <utility>

#include "adapters/kafka/handles.h"

namespace postlane {
namespace {

using kafka::Client;

std::vector<std::string> all_topics(const Config& config) {
    const auto& topics = config.topics;
    return {topics.sends,           topics.suppressions, topics.address_suppressions,
            topics.provider_events, topics.outcomes,     topics.dead_letters,
            topics.ledger,          topics.control};
}

Result<std::unique_ptr<Client>> admin_client(const Config& config, const kafka::LogSink& log) {
    // A consumer: unlike a producer's, its metadata requests never create the topic asked for.
    return Client::create(kafka::Kind::Consumer, config, {{"allow.auto.create.topics", "false"}},
                          log);
}

int replication_of(const rd_kafka_metadata_topic_t& topic) {
    int least = topic.partition_cnt > 0 ? topic.partitions[0].replica_cnt : 0;
    for (const auto& partition :
         std::span(topic.partitions, static_cast<std::size_t>(topic.partition_cnt))) {
        least = std::min(least, partition.replica_cnt);
    }
    return least;
}

Result<void> read_partitions(Client& client, const std::string& name, Topology& topology,
                             Millis timeout) {
    rd_kafka_topic_t* const topic = client.topic(name);
    if (topic == nullptr) {
        return fail(ErrorCode::Misconfigured, fmt::format("topic name {} is refused: {}", name,
                                                          kafka::describe(rd_kafka_last_error())));
    }
    const rd_kafka_metadata_t* raw = nullptr;
    const auto code = rd_kafka_metadata(client.get(), 0, topic, &raw, kafka::timeout_ms(timeout));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail(ErrorCode::Unavailable,
                    fmt::format("the cluster says nothing about topic {}: {}", name,
                                kafka::describe(code)));
    }
    const kafka::Metadata metadata(raw);
    topology.brokers = metadata->broker_cnt;
    if (metadata->topic_cnt < 1) {
        return {};
    }
    const rd_kafka_metadata_topic_t& facts = metadata->topics[0];
    if (facts.err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART ||
        facts.err == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC) {
        return {};
    }
    if (facts.err != RD_KAFKA_RESP_ERR_NO_ERROR &&
        facts.err != RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE) {
        return fail(kafka::denied_or(facts.err, ErrorCode::Unavailable),
                    fmt::format("topic {}: {}{}", name, kafka::describe(facts.err),
                                kafka::is_denial(facts.err)
                                    ? " (postlane needs the permission Describe on its topics)"
                                    : ""));
    }
    topology.topics[name] = TopicFacts{.partitions = facts.partition_cnt,
                                       .replication_factor = replication_of(facts),
                                       .settings = {}};
    return {};
}

// Waits for the answer of one admin request.
Result<kafka::Event> await(rd_kafka_queue_t* queue, Millis timeout, std::string_view doing) {
    kafka::Event event(rd_kafka_queue_poll(queue, kafka::timeout_ms(timeout)));
    if (!event) {
        return fail(ErrorCode::Unavailable,
                    fmt::format("{}: no answer within {} ms", doing, timeout.count()));
    }
    if (rd_kafka_event_error(event.get()) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail(ErrorCode::Unavailable,
                    fmt::format("{}: {}", doing, rd_kafka_event_error_string(event.get())));
    }
    return event;
}

kafka::AdminOptions admin_options(rd_kafka_t* handle, rd_kafka_admin_op_t operation,
                                  Millis timeout) {
    kafka::AdminOptions options(rd_kafka_AdminOptions_new(handle, operation));
    std::array<char, 256> why{};
    rd_kafka_AdminOptions_set_request_timeout(options.get(), kafka::timeout_ms(timeout), why.data(),
                                              why.size());
    if (operation == RD_KAFKA_ADMIN_OP_CREATETOPICS) {
        rd_kafka_AdminOptions_set_operation_timeout(options.get(), kafka::timeout_ms(timeout),
                                                    why.data(), why.size());
    }
    return options;
}

Result<void> take_settings(const rd_kafka_ConfigResource_t& resource, Topology& topology) {
    const std::string name = rd_kafka_ConfigResource_name(&resource);
    if (const auto code = rd_kafka_ConfigResource_error(&resource);
        code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail(kafka::denied_or(code, ErrorCode::Unavailable),
                    fmt::format("the settings of topic {} cannot be read: {} (postlane needs the "
                                "permission DescribeConfigs on its topics)",
                                name, kafka::describe(code)));
    }
    std::size_t count = 0;
    const rd_kafka_ConfigEntry_t** entries = rd_kafka_ConfigResource_configs(&resource, &count);
    for (const rd_kafka_ConfigEntry_t* entry : std::span(entries, count)) {
        const char* value = rd_kafka_ConfigEntry_value(entry);
        topology.topics[name].settings[rd_kafka_ConfigEntry_name(entry)] =
            value == nullptr ? "" : value;
    }
    return {};
}

Result<void> read_settings(Client& client, Topology& topology, Millis timeout) {
    std::vector<kafka::ConfigResource> owned;
    std::vector<rd_kafka_ConfigResource_t*> asked;
    for (const auto& [name, facts] : topology.topics) {
        owned.emplace_back(rd_kafka_ConfigResource_new(RD_KAFKA_RESOURCE_TOPIC, name.c_str()));
        asked.push_back(owned.back().get());
    }
    if (asked.empty()) {
        return {};
    }
    const kafka::Queue queue(rd_kafka_queue_new(client.get()));
    const auto options = admin_options(client.get(), RD_KAFKA_ADMIN_OP_DESCRIBECONFIGS, timeout);
    rd_kafka_DescribeConfigs(client.get(), asked.data(), asked.size(), options.get(), queue.get());
    auto event = await(queue.get(), timeout, "reading the topics' settings");
    if (!event) {
        return tl::unexpected(event.error());
    }
    std::size_t count = 0;
    const rd_kafka_ConfigResource_t** resources = rd_kafka_DescribeConfigs_result_resources(
        rd_kafka_event_DescribeConfigs_result(event->get()), &count);
    for (const rd_kafka_ConfigResource_t* resource : std::span(resources, count)) {
        if (auto taken = take_settings(*resource, topology); !taken) {
            return taken;
        }
    }
    return {};
}

Result<kafka::NewTopic> new_topic(const TopicPlan& plan, int replication_factor) {
    std::array<char, 256> why{};
    kafka::NewTopic topic(rd_kafka_NewTopic_new(plan.name.c_str(), plan.partitions,
                                                replication_factor, why.data(), why.size()));
    if (!topic) {
        return fail(ErrorCode::Malformed, fmt::format("topic {}: {}", plan.name, why.data()));
    }
    for (const auto& [name, value] : plan.settings) {
        rd_kafka_NewTopic_set_config(topic.get(), name.c_str(), value.c_str());
    }
    return topic;
}

Error refusal(const rd_kafka_topic_result_t& result) {
    const auto code = rd_kafka_topic_result_error(&result);
    const char* const text = rd_kafka_topic_result_error_string(&result);
    std::string detail =
        fmt::format("topic {} cannot be created: {}", rd_kafka_topic_result_name(&result),
                    text == nullptr ? kafka::describe(code) : text);
    if (kafka::is_denial(code)) {
        return {ErrorCode::Denied, std::move(detail)};
    }
    if (code == RD_KAFKA_RESP_ERR_INVALID_REPLICATION_FACTOR) {
        detail +=
            "; on a test cluster: kafka.require_durable_topics = false, or --replication-factor 1";
    }
    return {ErrorCode::Misconfigured, std::move(detail)};
}

// A broker answers CreateTopics when the controller has made the topics; it may say for a moment longer that they do
// not exist. Whoever asks next would believe it.
Result<void> await_visible(Client& client, const std::vector<CreatedTopic>& topics,
                           Millis timeout) {
    constexpr Millis kPause{50};
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    Topology seen;
    for (const CreatedTopic& topic : topics) {
        while (true) {
            if (auto done = read_partitions(client, topic.name, seen, timeout); !done) {
                return done;
            }
            const TopicFacts* const facts = seen.find(topic.name);
            if (facts != nullptr && facts->partitions > 0) {
                break;
            }
            if (std::chrono::steady_clock::now() >= deadline) {
                return fail(ErrorCode::Unavailable,
                            fmt::format("topic {} was made, but after {} ms the brokers still say "
                                        "that it does not exist; run the command again",
                                        topic.name, timeout.count()));
            }
            std::this_thread::sleep_for(kPause);
        }
    }
    return {};
}

}  // namespace

Result<Topology> read_topology(const Config& config, const kafka::LogSink& log, Millis timeout) {
    auto client = admin_client(config, log);
    if (!client) {
        return tl::unexpected(client.error());
    }
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    const auto left = [&] {
        return std::chrono::duration_cast<Millis>(deadline - std::chrono::steady_clock::now());
    };
    Topology topology;
    for (const std::string& name : all_topics(config)) {
        if (auto done = read_partitions(**client, name, topology, left()); !done) {
            return tl::unexpected(done.error());
        }
    }
    if (auto done = read_settings(**client, topology, left()); !done) {
        return tl::unexpected(done.error());
    }
    return topology;
}

Result<std::vector<CreatedTopic>> create_topics(const Config& config, PartitionId partitions,
                                                int replication_factor, const kafka::LogSink& log,
                                                Millis timeout) {
    auto client = admin_client(config, log);
    if (!client) {
        return tl::unexpected(client.error());
    }
    std::vector<kafka::NewTopic> owned;
    std::vector<rd_kafka_NewTopic_t*> wanted;
    for (const TopicPlan& plan : plan_topics(config, partitions, replication_factor)) {
        auto topic = new_topic(plan, replication_factor);
        if (!topic) {
            return tl::unexpected(topic.error());
        }
        owned.push_back(std::move(*topic));
        wanted.push_back(owned.back().get());
    }
    const kafka::Queue queue(rd_kafka_queue_new((*client)->get()));
    const auto options = admin_options((*client)->get(), RD_KAFKA_ADMIN_OP_CREATETOPICS, timeout);
    rd_kafka_CreateTopics((*client)->get(), wanted.data(), wanted.size(), options.get(),
                          queue.get());
    auto event = await(queue.get(), timeout, "creating topics");
    if (!event) {
        return tl::unexpected(event.error());
    }
    std::size_t count = 0;
    const rd_kafka_topic_result_t** results = rd_kafka_CreateTopics_result_topics(
        rd_kafka_event_CreateTopics_result(event->get()), &count);
    std::vector<CreatedTopic> created;
    for (const rd_kafka_topic_result_t* result : std::span(results, count)) {
        const auto code = rd_kafka_topic_result_error(result);
        const bool existed = code == RD_KAFKA_RESP_ERR_TOPIC_ALREADY_EXISTS;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && !existed) {
            return tl::unexpected(refusal(*result));
        }
        created.push_back({rd_kafka_topic_result_name(result), existed});
    }
    if (auto visible = await_visible(**client, created, timeout); !visible) {
        return tl::unexpected(visible.error());
    }
    return created;
}

}  // namespace postlane
