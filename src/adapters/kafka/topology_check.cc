// What postlane's topics must be like, and why. Pure.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>

#include "adapters/kafka/topology.h"

namespace postlane {
namespace {

using Severity = Finding::Severity;

constexpr std::int64_t kDayMs = 86'400'000;
constexpr int kReplicasMin = 3;
constexpr std::int64_t kInSyncMin = 2;
constexpr PartitionId kAddressPartitionsMax = 4;

enum class Partitions : std::uint8_t { AsSends, AtLeastSends, Any };
enum class Cleanup : std::uint8_t { Delete, Compact };
enum class Missing : std::uint8_t { Refuse, Warn };

// One row per topic of the contract.
struct Rule {
    const std::string& name;
    Partitions partitions;
    Cleanup cleanup;
    bool kept_for_ever;  // a new reader needs it from its first record
    bool written;        // by postlane's transactions
    Missing missing;
};

std::vector<Rule> rules(const config::Topics& topics) {
    using enum Partitions;
    return {
        {topics.sends, AsSends, Cleanup::Delete, false, false, Missing::Refuse},
        {topics.suppressions, AsSends, Cleanup::Delete, false, true, Missing::Refuse},
        {topics.address_suppressions, Any, Cleanup::Delete, true, false, Missing::Refuse},
        {topics.provider_events, AsSends, Cleanup::Delete, false, false, Missing::Warn},
        {topics.outcomes, AtLeastSends, Cleanup::Delete, false, true, Missing::Refuse},
        {topics.dead_letters, Any, Cleanup::Delete, false, true, Missing::Refuse},
        {topics.ledger, AsSends, Cleanup::Compact, false, true, Missing::Refuse},
        {topics.control, Any, Cleanup::Compact, false, false, Missing::Warn},
    };
}

// A batch of the ledger producer, or its largest record, with room for the envelope.
std::int64_t record_bytes_min(const Config& config) {
    return std::max<std::int64_t>(
        640 << 10, static_cast<std::int64_t>(config.dispatch.max_payload_bytes) + (64 << 10));
}

std::string alter(const std::string& topic, std::string_view setting) {
    return fmt::format(
        "kafka-configs.sh --alter --entity-type topics --entity-name {} "
        "--add-config {}",
        topic, setting);
}

class Inspector {
public:
    Inspector(const Config& config, const Topology& topology)
        : config_(config), topology_(topology) {}

    std::vector<Finding> run() {
        const TopicFacts* sends = topology_.find(config_.topics.sends);
        for (const Rule& rule : rules(config_.topics)) {
            const TopicFacts* facts = topology_.find(rule.name);
            if (facts == nullptr) {
                missing(rule);
                continue;
            }
            if (sends != nullptr) {
                partitions(rule, *facts, sends->partitions);
            }
            cleanup(rule, *facts);
            record_size(rule, *facts);
            durability(rule, *facts);
        }
        if (const TopicFacts* ledger = topology_.find(config_.topics.ledger)) {
            ledger_times(*ledger);
        }
        if (const TopicFacts* suppressions = topology_.find(config_.topics.suppressions)) {
            suppression_retention(*suppressions);
        }
        return std::move(findings_);
    }

private:
    void refuse(const std::string& topic, std::string text) {
        findings_.push_back({Severity::Refuse, topic, std::move(text)});
    }
    void warn(const std::string& topic, std::string text) {
        findings_.push_back({Severity::Warn, topic, std::move(text)});
    }

    static std::string text_of(const TopicFacts& facts, const std::string& setting) {
        const auto found = facts.settings.find(setting);
        return found == facts.settings.end() ? "" : found->second;
    }

    // Nothing if the cluster did not say.
    static std::optional<std::int64_t> number_of(const TopicFacts& facts,
                                                 const std::string& setting) {
        const std::string text = text_of(facts, setting);
        std::int64_t value = 0;
        const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
        const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
        return whole && !text.empty() ? std::optional(value) : std::nullopt;
    }

    void missing(const Rule& rule) {
        if (rule.missing == Missing::Refuse) {
            refuse(rule.name, "does not exist: run `postlane topics create`");
        } else {
            warn(rule.name,
                 "does not exist; what it is for does not work until `postlane topics "
                 "create` has made it");
        }
    }

    void partitions(const Rule& rule, const TopicFacts& facts, PartitionId sends) {
        const bool wrong =
            (rule.partitions == Partitions::AsSends && facts.partitions != sends) ||
            (rule.partitions == Partitions::AtLeastSends && facts.partitions < sends);
        if (wrong) {
            refuse(rule.name,
                   fmt::format("has {} partitions, but {} has {}: a recipient would have its "
                               "events in different partitions. Make the topic anew with {} "
                               "partitions; adding partitions to one in use moves recipients.",
                               facts.partitions, config_.topics.sends, sends, sends));
        }
    }

    void cleanup(const Rule& rule, const TopicFacts& facts) {
        const std::string policy = text_of(facts, "cleanup.policy");
        if (policy.empty()) {
            return;
        }
        const bool compacts = policy.find("compact") != std::string::npos;
        if (rule.cleanup == Cleanup::Compact && policy != "compact") {
            refuse(rule.name, fmt::format("has cleanup.policy={}, so it forgets state: {}", policy,
                                          alter(rule.name, "cleanup.policy=compact")));
        }
        if (rule.cleanup == Cleanup::Delete && compacts) {
            refuse(rule.name, fmt::format("has cleanup.policy={}, so records vanish before they "
                                          "are read (one key has many events): {}",
                                          policy, alter(rule.name, "cleanup.policy=delete")));
        }
        if (rule.kept_for_ever && !compacts &&
            (number_of(facts, "retention.ms").value_or(-1) != -1 ||
             number_of(facts, "retention.bytes").value_or(-1) != -1)) {
            refuse(rule.name,
                   fmt::format("forgets records (retention.ms={}, retention.bytes={}), but a new "
                               "instance must read all of them: {}",
                               text_of(facts, "retention.ms"), text_of(facts, "retention.bytes"),
                               alter(rule.name, "retention.ms=-1,retention.bytes=-1")));
        }
    }

    void record_size(const Rule& rule, const TopicFacts& facts) {
        const auto limit = number_of(facts, "max.message.bytes");
        const std::int64_t wanted = record_bytes_min(config_);
        if (!rule.written || !limit || *limit >= wanted) {
            return;
        }
        const bool dead_letters = &rule.name == &config_.topics.dead_letters;
        const std::string text = fmt::format(
            "takes records up to {} bytes, but with dispatch.max_payload_bytes={} it needs {}{}: "
            "lower "
            "that, or {}",
            *limit, config_.dispatch.max_payload_bytes, wanted,
            dead_letters ? " to hold every record whole" : "",
            alter(rule.name, fmt::format("max.message.bytes={}", wanted)));
        // A dead letter that does not fit goes without its value and says so.
        dead_letters ? warn(rule.name, text) : refuse(rule.name, text);
    }

    void durability(const Rule& rule, const TopicFacts& facts) {
        if (!config_.kafka.require_durable_topics) {
            return;
        }
        if (facts.replication_factor < kReplicasMin) {
            refuse(rule.name,
                   fmt::format("has {} replicas; with fewer than {} one lost machine can lose "
                               "acknowledged records. Reassign its partitions, or set "
                               "kafka.require_durable_topics = false on a test cluster.",
                               facts.replication_factor, kReplicasMin));
        }
        const auto in_sync = number_of(facts, "min.insync.replicas");
        if (in_sync && *in_sync < kInSyncMin) {
            refuse(rule.name, fmt::format("has min.insync.replicas={}, so a record may be "
                                          "acknowledged by a single machine: {}",
                                          *in_sync, alter(rule.name, "min.insync.replicas=2")));
        }
        if (in_sync && *in_sync >= facts.replication_factor && facts.replication_factor > 1) {
            warn(rule.name, fmt::format("has min.insync.replicas={} of {} replicas: one broker "
                                        "down stops all writing",
                                        *in_sync, facts.replication_factor));
        }
        if (text_of(facts, "unclean.leader.election.enable") == "true") {
            refuse(rule.name,
                   fmt::format("allows unclean leader election, which discards acknowledged "
                               "records: {}",
                               alter(rule.name, "unclean.leader.election.enable=false")));
        }
    }

    void ledger_times(const TopicFacts& facts) {
        const std::string& name = config_.topics.ledger;
        if (text_of(facts, "message.timestamp.type") == "CreateTime") {
            warn(name, fmt::format("has message.timestamp.type=CreateTime, so every instance "
                                   "trusts its own clock for due times: {}",
                                   alter(name, "message.timestamp.type=LogAppendTime")));
        }
        const auto kept_ms = number_of(facts, "delete.retention.ms");
        if (kept_ms && *kept_ms < kDayMs) {
            warn(name, fmt::format("has delete.retention.ms={}: an instance that was away for "
                                   "half of that rebuilds its store from the start: {}",
                                   *kept_ms, alter(name, "delete.retention.ms=604800000")));
        }
    }

    void suppression_retention(const TopicFacts& facts) {
        const auto kept_ms = number_of(facts, "retention.ms").value_or(-1);
        const auto kept_bytes = number_of(facts, "retention.bytes").value_or(-1);
        if ((kept_ms >= 0 && kept_ms < 7 * kDayMs) || kept_bytes >= 0) {
            const std::string& name = config_.topics.suppressions;
            warn(name, fmt::format("may delete suppressions before postlane has read them "
                                   "(retention.ms={}, retention.bytes={}); postlane then refuses "
                                   "to go on: {}",
                                   kept_ms, kept_bytes,
                                   alter(name, "retention.ms=-1,retention.bytes=-1")));
        }
    }

    const Config& config_;
    const Topology& topology_;
    std::vector<Finding> findings_;
};

}  // namespace

std::vector<Finding> check_topology(const Config& config, const Topology& topology) {
    return Inspector(config, topology).run();
}

std::vector<TopicPlan> plan_topics(const Config& config, PartitionId partitions,
                                   int replication_factor) {
    const auto& topics = config.topics;
    std::vector<TopicPlan> plans;
    for (const Rule& rule : rules(topics)) {
        TopicPlan plan{.name = rule.name, .partitions = partitions, .settings = {}};
        plan.settings = {
            {"min.insync.replicas", replication_factor >= kReplicasMin ? "2" : "1"},
            {"unclean.leader.election.enable", "false"},
            {"max.message.bytes",
             std::to_string(std::max<std::int64_t>(1'048'588, record_bytes_min(config)))},
            {"cleanup.policy", rule.cleanup == Cleanup::Compact ? "compact" : "delete"},
        };
        if (rule.kept_for_ever || rule.name == topics.suppressions) {
            plan.settings["retention.ms"] = "-1";
            plan.settings["retention.bytes"] = "-1";
        }
        if (rule.name == topics.ledger) {
            plan.settings["message.timestamp.type"] = "LogAppendTime";
            plan.settings["delete.retention.ms"] = std::to_string(7 * kDayMs);
            plan.settings["segment.ms"] = std::to_string(kDayMs);
            plan.settings["max.compaction.lag.ms"] = std::to_string(kDayMs);
        }
        // Read whole by every instance, so more partitions would only cost more.
        if (rule.name == topics.address_suppressions) {
            plan.partitions = std::min(partitions, kAddressPartitionsMax);
        }
        if (rule.name == topics.control) {
            plan.partitions = 1;
        }
        plans.push_back(std::move(plan));
    }
    return plans;
}

}  // namespace postlane
