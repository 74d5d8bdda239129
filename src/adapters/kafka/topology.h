// What the cluster's topics are like, what they should be like, and making them so.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "adapters/kafka/client.h"
#include "postlane/config.h"
#include "postlane/error.h"
#include "postlane/types.h"

namespace postlane {

struct TopicFacts {
    PartitionId partitions = 0;
    int replication_factor = 0;  // of the partition that has fewest
    std::map<std::string, std::string> settings;
};

struct Topology {
    std::map<std::string, TopicFacts> topics;  // by name; a topic that does not exist is not here
    int brokers = 0;

    [[nodiscard]] const TopicFacts* find(const std::string& name) const {
        const auto found = topics.find(name);
        return found == topics.end() ? nullptr : &found->second;
    }
};

// Asks the cluster about every topic of [topics]. Unavailable if it does not answer in time.
Result<Topology> read_topology(const Config& config, const kafka::LogSink& log,
                               Millis timeout = Millis(15'000));

struct Finding {
    // Refuse: serving would break a promise (exit 78). Warn: it works, but not as it should.
    enum class Severity : std::uint8_t { Refuse, Warn } severity = Severity::Refuse;
    std::string topic;
    std::string text;  // what is wrong and what to do
};

// Pure. Empty: nothing to complain about.
std::vector<Finding> check_topology(const Config& config, const Topology& topology);

// How a topic of [topics] is made, and what is checked.
struct TopicPlan {
    std::string name;
    PartitionId partitions = 0;
    std::map<std::string, std::string> settings;
};
// In the order of [topics]. Pure.
std::vector<TopicPlan> plan_topics(const Config& config, PartitionId partitions,
                                   int replication_factor);

struct CreatedTopic {
    std::string name;
    bool existed = false;  // left as it was; check_topology says whether it will do
};
// Makes the topics that are missing and returns when the brokers show all of them. If the cluster refuses one (the
// others may exist): Denied for want of a permission, else Misconfigured. Unavailable if they are not seen within
// `timeout`.
Result<std::vector<CreatedTopic>> create_topics(const Config& config, PartitionId partitions,
                                                int replication_factor, const kafka::LogSink& log,
                                                Millis timeout = Millis(30'000));

}  // namespace postlane
