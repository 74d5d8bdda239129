#include "adapters/prometheus/prometheus_metrics.h"

#include <gmock/gmock.h>

#include <map>
#include <regex>
#include <set>
#include <sstream>
#include <string>

namespace postlane {
namespace {

using testing::HasSubstr;
using testing::Not;

Config two_providers() {
    Config config;
    config.topics.sends = "postlane.sends";
    config.topics.suppressions = "postlane.suppressions";
    config.topics.address_suppressions = "postlane.address-suppressions";
    config.providers.resize(2);
    config.providers[0].name = "main";
    config.providers[1].name = "spare";
    return config;
}

struct Exposition {
    std::map<std::string, std::string> types;
    std::map<std::string, std::string> helps;
    std::map<std::string, double> samples;  // with labels
};

Exposition parse(const std::string& text) {
    Exposition result;
    std::istringstream lines(text);
    std::string line;
    while (std::getline(lines, line)) {
        if (line.starts_with("# HELP ") || line.starts_with("# TYPE ")) {
            const auto name_end = line.find(' ', 7);
            (line[2] == 'T' ? result.types : result.helps)[line.substr(7, name_end - 7)] =
                line.substr(name_end + 1);
        } else if (const auto blank = line.rfind(' '); blank != std::string::npos && blank > 0) {
            result.samples[line.substr(0, blank)] = std::stod(line.substr(blank + 1));
        } else {
            ADD_FAILURE() << "no line of the exposition format: " << line;
        }
    }
    return result;
}

class PrometheusMetricsTest : public testing::Test {
protected:
    Config config_ = two_providers();
    PrometheusMetrics metrics_{config_, "1.2.3"};

    double sample(const std::string& name) {
        const Exposition exposition = parse(metrics_.render());
        const auto found = exposition.samples.find(name);
        EXPECT_NE(found, exposition.samples.end()) << name << " is not exported";
        return found == exposition.samples.end() ? -1 : found->second;
    }
    bool exported(const std::string& name) {
        return parse(metrics_.render()).samples.contains(name);
    }
};

TEST_F(PrometheusMetricsTest, KnownSeriesExistAtZeroFromTheStart) {
    for (const char* const name : {
             R"(postlane_events_consumed_total{topic="postlane.sends"})",
             R"(postlane_events_consumed_total{topic="postlane.suppressions"})",
             R"(postlane_events_consumed_total{topic="postlane.address-suppressions"})",
             R"(postlane_outcomes_total{outcome="sent",reason="accepted"})",
             R"(postlane_outcomes_total{outcome="suppressed_at_send",reason="suppressed"})",
             R"(postlane_outcomes_total{outcome="dead_lettered",reason="gap_timeout"})",
             R"(postlane_outcomes_total{outcome="ambiguous",reason="no_idempotency"})",
             R"(postlane_send_attempts_total{provider="main",result="accepted"})",
             R"(postlane_send_attempts_total{provider="spare",result="unknown"})",
             R"(postlane_send_duration_seconds_count{provider="spare"})",
             R"(postlane_ambiguous_total{provider="main"})",
             R"(postlane_provider_circuit_open{provider="main"})",
             R"(postlane_rebalances_total{kind="lost"})",
             R"(postlane_address_suppressions_rejected_total{reason="missing_key"})",
             R"(postlane_address_suppressions_rejected_total{reason="malformed_json"})",
             R"(postlane_address_suppressions_rejected_total{reason="invalid_field"})",
             R"(postlane_address_suppressions_rejected_total{reason="key_mismatch"})",
             "postlane_dispatch_latency_seconds_count",
             "postlane_ledger_write_duration_seconds_count",
             "postlane_out_of_order_total",
             "postlane_gaps_total",
             "postlane_duplicates_total",
             "postlane_in_flight",
             "postlane_held",
             "postlane_partition_restarts_total",
             "postlane_partitions",
         }) {
        EXPECT_EQ(sample(name), 0) << name;
    }
    EXPECT_EQ(sample(R"(postlane_build_info{version="1.2.3"})"), 1);
}

TEST_F(PrometheusMetricsTest, EveryReasonBelongsToAnOutcomeOrAReceipt) {
    const std::set<Reason> receipts_only{Reason::NewerStands, Reason::InvalidMadeEffective};
    for (const ReasonInfo& info : reasons()) {
        bool legal = false;
        for (int outcome = 1; outcome <= 7; ++outcome) {
            legal = legal || is_legal(static_cast<Outcome>(outcome), info.reason);
        }
        EXPECT_EQ(legal, !receipts_only.contains(info.reason)) << info.word;
    }
}

// What `promtool check metrics` insists on, so that no dashboard or rule meets a surprise.
TEST_F(PrometheusMetricsTest, NamesFollowPrometheusRules) {
    metrics_.lag(InputTopic::Sends, 3, 1);
    metrics_.staleness(3, 0.1);
    metrics_.partition_state(3, PartitionState::Running);
    metrics_.restore_progress(3, 0);
    const Exposition exposition = parse(metrics_.render());
    EXPECT_GE(exposition.types.size(), 25U);
    for (const auto& [name, type] : exposition.types) {
        EXPECT_TRUE(exposition.helps.contains(name) && !exposition.helps.at(name).empty()) << name;
        EXPECT_TRUE(name.starts_with("postlane_") || name.starts_with("process_")) << name;
        EXPECT_EQ(name.ends_with("_total"), type == "counter") << name;
        EXPECT_FALSE(std::regex_search(
            name, std::regex("_(ms|millis|milliseconds|minutes|hours|kb|kilobytes|percent)(_|$)")))
            << name;
        if (type == "histogram") {
            EXPECT_TRUE(name.ends_with("_seconds")) << name;
        }
        for (const char* const reserved : {"_count", "_sum", "_bucket"}) {
            EXPECT_FALSE(name.ends_with(reserved)) << name;
        }
    }
}

TEST_F(PrometheusMetricsTest, CountsWhatItIsTold) {
    metrics_.consumed(InputTopic::Suppressions, 7);
    metrics_.address_suppression_rejected(Reason::MissingKey);
    metrics_.outcome(Outcome::Expired, Reason::TtlPassed);
    metrics_.attempt("spare", AnswerClass::Accepted);
    metrics_.send_duration("spare", 0.2);
    metrics_.ambiguous("main");
    metrics_.ledger_write(0.004, 12);
    metrics_.circuit("main", true);
    metrics_.rebalanced("revoked");
    metrics_.dispatch_latency(0.3);
    metrics_.payload_conflict();
    metrics_.partition_restarted(1);
    metrics_.partitions(24);

    EXPECT_EQ(sample(R"(postlane_events_consumed_total{topic="postlane.suppressions"})"), 7);
    EXPECT_EQ(sample(R"(postlane_address_suppressions_rejected_total{reason="missing_key"})"), 1);
    EXPECT_EQ(sample(R"(postlane_outcomes_total{outcome="expired",reason="ttl_passed"})"), 1);
    EXPECT_EQ(sample(R"(postlane_send_attempts_total{provider="spare",result="accepted"})"), 1);
    EXPECT_EQ(sample(R"(postlane_send_duration_seconds_bucket{provider="spare",le="0.25"})"), 1);
    EXPECT_EQ(sample(R"(postlane_send_duration_seconds_bucket{provider="spare",le="0.1"})"), 0);
    EXPECT_EQ(sample(R"(postlane_ambiguous_total{provider="main"})"), 1);
    EXPECT_EQ(sample("postlane_ledger_records_total"), 12);
    EXPECT_EQ(sample(R"(postlane_provider_circuit_open{provider="main"})"), 1);
    EXPECT_EQ(sample(R"(postlane_rebalances_total{kind="revoked"})"), 1);
    EXPECT_EQ(sample("postlane_dispatch_latency_seconds_count"), 1);
    EXPECT_EQ(sample("postlane_payload_conflicts_total"), 1);
    EXPECT_EQ(sample("postlane_partition_restarts_total"), 1);
    EXPECT_EQ(sample("postlane_partitions"), 24);
}

TEST_F(PrometheusMetricsTest, AnUnforeseenPairIsCountedAllTheSame) {
    metrics_.outcome(Outcome::Sent, Reason::LateStep);
    EXPECT_EQ(sample(R"(postlane_outcomes_total{outcome="sent",reason="late_step"})"), 1);
}

TEST_F(PrometheusMetricsTest, AProviderNoLongerConfiguredIsNoReasonToFail) {
    metrics_.attempt("gone", AnswerClass::Accepted);
    metrics_.ambiguous("gone");
    metrics_.send_duration("gone", 1);
    metrics_.circuit("gone", true);
    EXPECT_THAT(metrics_.render(), Not(HasSubstr("gone")));
}

TEST_F(PrometheusMetricsTest, GaugesOfAPartitionGoWithIt) {
    metrics_.in_flight(1, 4);
    metrics_.in_flight(2, 5);
    metrics_.held(1, 2);
    metrics_.partition_state(1, PartitionState::Restoring);
    metrics_.partition_state(1, PartitionState::Running);
    metrics_.lag(InputTopic::Sends, 1, 10);
    metrics_.lag(InputTopic::AddressSuppressions, 1, 3);
    metrics_.staleness(1, 0.05);
    metrics_.partitions(2);
    EXPECT_EQ(sample("postlane_in_flight"), 9);
    EXPECT_EQ(sample("postlane_held"), 2);
    EXPECT_EQ(metrics_.ordering().held, 2);
    EXPECT_EQ(sample(R"(postlane_partition_state{partition="1",state="running"})"), 1);
    EXPECT_EQ(sample(R"(postlane_partition_state{partition="1",state="restoring"})"), 0);

    metrics_.partition_gone(1);
    EXPECT_EQ(sample("postlane_in_flight"), 5);
    EXPECT_EQ(sample("postlane_held"), 0);
    EXPECT_FALSE(exported(R"(postlane_partition_state{partition="1",state="running"})"));
    EXPECT_FALSE(exported(R"(postlane_suppression_staleness_seconds{partition="1"})"));
    EXPECT_FALSE(
        exported(R"(postlane_partition_lag_records{partition="1",topic="postlane.sends"})"));
    EXPECT_EQ(sample("postlane_partitions"), 2);  // by it the missing one is noticed
    // Every instance reads all address suppressions, whatever it owns.
    EXPECT_EQ(sample("postlane_partition_lag_records{partition=\"1\","
                     "topic=\"postlane.address-suppressions\"}"),
              3);
}

TEST_F(PrometheusMetricsTest, OrderingRepeatsTheCounters) {
    metrics_.out_of_order();
    metrics_.gap();
    metrics_.gap();
    metrics_.duplicate();
    const PrometheusMetrics::Ordering ordering = metrics_.ordering();
    EXPECT_EQ(ordering.out_of_order, 1U);
    EXPECT_EQ(ordering.gaps, 2U);
    EXPECT_EQ(ordering.duplicates, 1U);
}

TEST_F(PrometheusMetricsTest, TheProcessIsDescribed) {
    EXPECT_GT(sample("process_resident_memory_bytes"), 1e6);
    EXPECT_GT(sample("process_start_time_seconds"), 1.6e9);
    EXPECT_GT(sample("process_open_fds"), 2);
    EXPECT_GE(sample("process_cpu_seconds_total"), 0);
}

}  // namespace
}  // namespace postlane
