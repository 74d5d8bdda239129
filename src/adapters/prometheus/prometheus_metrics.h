// Counts for Prometheus: every series postlane exports is declared in prometheus_metrics.cc.
//
// Names and labels are API: renaming one breaks dashboards. Labels never name a recipient, a
// message or a campaign, so the number of series is bounded by the configuration.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "postlane/config.h"
#include "postlane/ports/metrics.h"

namespace postlane {

// Thread-safe. Counters are atomics resolved once; histograms and per-partition gauges take a mutex
// for some tens of nanoseconds.
class PrometheusMetrics final : public Metrics {
public:
    // Known series (topics, providers, legal outcomes) exist at 0 from here on.
    PrometheusMetrics(const Config& config, std::string_view version);
    ~PrometheusMetrics() override;
    PrometheusMetrics(const PrometheusMetrics&) = delete;
    PrometheusMetrics& operator=(const PrometheusMetrics&) = delete;

    // Text exposition format 0.0.4, with process_* read at this moment.
    [[nodiscard]] std::string render() const;

    // The counts that /metrics/ordering repeats.
    struct Ordering {
        std::uint64_t out_of_order = 0;
        std::uint64_t gaps = 0;
        std::uint64_t duplicates = 0;
        std::int64_t held = 0;
    };
    [[nodiscard]] Ordering ordering() const;

    // How many partitions the topic of sends has, whoever owns them.
    void partitions(std::int32_t count);

    void consumed(InputTopic topic, std::uint64_t records) override;
    void address_suppression_rejected(Reason why) override;
    void outcome(Outcome outcome, Reason reason) override;
    void attempt(std::string_view provider, AnswerClass result) override;
    void send_duration(std::string_view provider, double seconds) override;
    void dispatch_latency(double seconds) override;
    void ambiguous(std::string_view provider) override;
    void out_of_order() override;
    void gap() override;
    void duplicate() override;
    void payload_conflict() override;
    void held(PartitionId partition, std::int64_t now_held) override;
    void in_flight(PartitionId partition, std::int64_t open_intents) override;
    void staleness(PartitionId partition, double seconds) override;
    void lag(InputTopic topic, PartitionId partition, std::int64_t records) override;
    void ledger_write(double seconds, std::uint64_t records) override;
    void partition_state(PartitionId partition, PartitionState state) override;
    void restore_progress(PartitionId partition, std::int64_t remaining_records) override;
    void partition_restarted(PartitionId partition) override;
    void rebalanced(std::string_view kind) override;
    void circuit(std::string_view provider, bool open) override;
    void partition_gone(PartitionId partition) override;

private:
    struct Series;
    std::unique_ptr<Series> series_;
};

// Whether a terminal outcome can have this reason: the pairs that exist at 0 from the start.
[[nodiscard]] bool is_legal(Outcome outcome, Reason reason) noexcept;

}  // namespace postlane
