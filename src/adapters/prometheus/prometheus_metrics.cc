#include "adapters/prometheus/prometheus_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <map>
#include <mutex>
#include <numeric>
#include <sstream>
#include <utility>
#include <vector>

#include "adapters/prometheus/process_metrics.h"

namespace postlane {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

const Histogram::BucketBoundaries kSendBuckets{0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25,
                                               0.5,   0.75, 1,     2.5,  5,     7.5, 10};
// Up to six hours: a message may wait that long for a provider to come back.
const Histogram::BucketBoundaries kDispatchBuckets{0.01, 0.05, 0.1, 0.25, 0.5, 1,    2.5,
                                                   5,    10,   30,  60,   300, 3600, 21600};
const Histogram::BucketBoundaries kLedgerBuckets{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                 0.1,   0.25,   0.5,   1,    2.5,   5};

constexpr std::array kOutcomes{Outcome::Sent,     Outcome::SuppressedAtSend, Outcome::Duplicate,
                               Outcome::Expired,  Outcome::Failed,           Outcome::DeadLettered,
                               Outcome::Ambiguous};
constexpr std::array kTopics{InputTopic::Sends, InputTopic::Suppressions,
                             InputTopic::AddressSuppressions};
constexpr std::array kStates{PartitionState::Fencing, PartitionState::Restoring,
                             PartitionState::Running, PartitionState::Draining,
                             PartitionState::Stopped};
constexpr std::array kAnswers{AnswerClass::Accepted,     AnswerClass::AccountRefused,
                              AnswerClass::RetryLater,   AnswerClass::Rejected,
                              AnswerClass::KeyReused,    AnswerClass::Unknown,
                              AnswerClass::NotHandedOver};

template <class Enum>
constexpr std::size_t index(Enum value) {
    return static_cast<std::size_t>(value);
}

std::string word(PartitionState state) {
    switch (state) {
        case PartitionState::Fencing:
            return "fencing";
        case PartitionState::Restoring:
            return "restoring";
        case PartitionState::Running:
            return "running";
        case PartitionState::Draining:
            return "draining";
        case PartitionState::Stopped:
            return "stopped";
    }
    return "unknown";
}

Family<Counter>& counters(prometheus::Registry& registry, const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
}
Family<Gauge>& gauges(prometheus::Registry& registry, const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
}
Family<Histogram>& histograms(prometheus::Registry& registry, const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
}

struct ProviderSeries {
    std::string name;
    std::array<Counter*, kAnswers.size()> attempts{};
    Histogram* duration = nullptr;
    Counter* ambiguous = nullptr;
    Gauge* circuit_open = nullptr;
};

// Created when first set, removed together when the partition goes.
struct PartitionSeries {
    Gauge* staleness = nullptr;
    Gauge* restore_remaining = nullptr;
    std::array<Gauge*, kTopics.size()> lag{};
    std::array<Gauge*, kStates.size()> states{};
    std::int64_t held = 0;
    std::int64_t in_flight = 0;
};

}  // namespace

bool is_legal(Outcome outcome, Reason reason) noexcept {
    using enum Reason;
    const auto one_of = [reason](std::initializer_list<Reason> reasons) {
        for (const Reason candidate : reasons) {
            if (candidate == reason) {
                return true;
            }
        }
        return false;
    };
    switch (outcome) {
        case Outcome::Sent:
            return reason == Accepted;
        case Outcome::SuppressedAtSend:
            return reason == Suppressed;
        case Outcome::Duplicate:
            return one_of({KnownMessage, PayloadConflict});
        case Outcome::Expired:
            return one_of({OlderThanLedger, TtlPassed, SequenceHalted});
        case Outcome::Failed:
            return one_of({RejectedByProvider, RetriesExhausted});
        case Outcome::DeadLettered:
            return one_of({MissingKey, MisroutedKey, TooLarge, MalformedJson, InvalidField,
                           KeyMismatch, UnknownRoute, LateStep, StepConflict, GapTimeout,
                           HeldOverflow});
        case Outcome::Ambiguous:
            return one_of({RetriesExhausted, RejectedByProvider, NoIdempotency, KeyExpired,
                           RenderChanged, SuppressedWhileInDoubt, ExpiredWhileInDoubt});
    }
    return false;
}

struct PrometheusMetrics::Series {
    prometheus::Registry registry;

    Family<Counter>& consumed =
        counters(registry, "postlane_events_consumed_total",
                 "Input records taken into the ledger. Alert if flat while the lag grows.");
    Family<Counter>& rejected_addresses =
        counters(registry, "postlane_address_suppressions_rejected_total",
                 "Records of the address-suppressions topic that suppress nobody. Alert if it "
                 "grows: somebody's stop may be among them; the log names the offsets.");
    Family<Counter>& outcomes = counters(
        registry, "postlane_outcomes_total",
        "Terminal outcomes written, one per input record. Alert on dead_lettered and failed.");
    Family<Counter>& attempts =
        counters(registry, "postlane_send_attempts_total",
                 "Attempts by what the provider's answer means. Alert if not mostly accepted.");
    Family<Histogram>& send_durations =
        histograms(registry, "postlane_send_duration_seconds",
                   "From the last check before a request leaves to the provider's answer.");
    Family<Counter>& ambiguous = counters(
        registry, "postlane_ambiguous_total",
        "Messages of which nobody can know whether the provider executed them. Alert if it grows.");
    Family<Gauge>& circuits = gauges(registry, "postlane_provider_circuit_open",
                                     "1 while nothing but single probes goes to the provider.");
    Histogram& dispatch_latency =
        histograms(registry, "postlane_dispatch_latency_seconds",
                   "From the moment a message was due and received to the provider's acceptance.")
            .Add({}, kDispatchBuckets);
    Counter& out_of_order =
        counters(registry, "postlane_out_of_order_total",
                 "Valid steps below the expected one that were no duplicates. The producer "
                 "reorders, or a gap was skipped.")
            .Add({});
    Counter& gaps = counters(registry, "postlane_gaps_total",
                             "Steps that arrived while a lower one was missing.")
                        .Add({});
    Counter& duplicates =
        counters(registry, "postlane_duplicates_total", "Inputs whose message was known already.")
            .Add({});
    Counter& payload_conflicts =
        counters(registry, "postlane_payload_conflicts_total",
                 "Duplicates with another body. Alert if it grows: an id is used twice.")
            .Add({});
    Gauge& held =
        gauges(registry, "postlane_held", "Steps that wait for a missing lower one.").Add({});
    Gauge& in_flight =
        gauges(registry, "postlane_in_flight", "Committed intents without a result.").Add({});
    Family<Gauge>& staleness = gauges(registry, "postlane_suppression_staleness_seconds",
                                      "Age of the last proof that every suppression is applied. "
                                      "Above the bound nothing is sent.");
    Family<Gauge>& lags = gauges(
        registry, "postlane_partition_lag_records",
        "Records of the input topic that are not in the ledger yet. Alert if it keeps growing.");
    // Of a partition that nobody owns there is no other series: without this it could not be missed.
    Gauge& partition_count =
        gauges(registry, "postlane_partitions",
               "Partitions of the topic of sends; 0 until the topics were checked. Alert if fewer "
               "are running over all instances.")
            .Add({});
    Family<Gauge>& states =
        gauges(registry, "postlane_partition_state", "1 for the state the partition is in.");
    Family<Gauge>& restores =
        gauges(registry, "postlane_restore_remaining_records",
               "Ledger records still to be read before the partition can run.");
    Histogram& ledger_writes = histograms(registry, "postlane_ledger_write_duration_seconds",
                                          "One ledger transaction, from begin to known commit.")
                                   .Add({}, kLedgerBuckets);
    Counter& ledger_records = counters(registry, "postlane_ledger_records_total",
                                       "Records written in ledger transactions.")
                                  .Add({});
    Counter& restarts = counters(registry, "postlane_partition_restarts_total",
                                 "Partitions rebuilt after a commit that failed or is in doubt. "
                                 "Three within ten minutes end the process.")
                            .Add({});
    Family<Counter>& rebalances = counters(registry, "postlane_rebalances_total",
                                           "Changes of the partitions this instance owns.");

    std::array<Counter*, kTopics.size()> consumed_by_topic{};
    std::array<std::string, kTopics.size()> topic_names;
    std::array<std::array<Counter*, 64>, 8> outcome_by_reason{};  // null: an unforeseen pair
    std::vector<ProviderSeries> providers;                        // constant after construction

    std::mutex mutex;
    // Guarded by mutex. Address suppressions have partitions of their own, hence the flag.
    std::map<std::pair<bool, PartitionId>, PartitionSeries> partitions;

    Series(const Config& config, std::string_view version) {
        topic_names = {config.topics.sends, config.topics.suppressions,
                       config.topics.address_suppressions};
        for (const InputTopic topic : kTopics) {
            consumed_by_topic.at(index(topic)) =
                &consumed.Add({{"topic", topic_names.at(index(topic))}});
        }
        for (const Outcome outcome : kOutcomes) {
            for (const ReasonInfo& info : reasons()) {
                if (is_legal(outcome, info.reason)) {
                    outcome_by_reason.at(index(outcome)).at(index(info.reason)) =
                        &outcome_counter(outcome, info.reason);
                }
            }
        }
        for (const config::Provider& provider : config.providers) {
            providers.push_back(provider_series(provider.name));
        }
        for (const char* kind : {"assigned", "revoked", "lost"}) {
            rebalances.Add({{"kind", kind}});
        }
        for (const Reason why : {Reason::MissingKey, Reason::MalformedJson, Reason::InvalidField,
                                 Reason::KeyMismatch}) {
            rejected_address(why);
        }
        gauges(registry, "postlane_build_info", "1, with the version as a label.")
            .Add({{"version", std::string(version)}})
            .Set(1);
    }

    Counter& rejected_address(Reason why) {
        return rejected_addresses.Add({{"reason", std::string(to_string(why))}});
    }

    Counter& outcome_counter(Outcome outcome, Reason reason) {
        return outcomes.Add({{"outcome", std::string(to_string(outcome))},
                             {"reason", std::string(to_string(reason))}});
    }

    ProviderSeries provider_series(const std::string& name) {
        ProviderSeries series{.name = name};
        for (const AnswerClass answer : kAnswers) {
            series.attempts.at(index(answer)) =
                &attempts.Add({{"provider", name}, {"result", std::string(to_string(answer))}});
        }
        series.duration = &send_durations.Add({{"provider", name}}, kSendBuckets);
        series.ambiguous = &ambiguous.Add({{"provider", name}});
        series.circuit_open = &circuits.Add({{"provider", name}});
        return series;
    }

    // Null for a provider that an old row names and the configuration no longer does.
    ProviderSeries* find(std::string_view name) {
        for (ProviderSeries& provider : providers) {
            if (provider.name == name) {
                return &provider;
            }
        }
        return nullptr;
    }

    PartitionSeries& at(PartitionId partition, bool of_addresses = false) {
        return partitions[{of_addresses, partition}];
    }

    void set(Family<Gauge>& family, Gauge*& gauge, PartitionId partition, double value) {
        if (gauge == nullptr) {
            gauge = &family.Add({{"partition", std::to_string(partition)}});
        }
        gauge->Set(value);
    }

    void publish_sums() {
        std::int64_t all_held = 0;
        std::int64_t all_in_flight = 0;
        for (const auto& [key, partition] : partitions) {
            all_held += partition.held;
            all_in_flight += partition.in_flight;
        }
        held.Set(static_cast<double>(all_held));
        in_flight.Set(static_cast<double>(all_in_flight));
    }

    void forget(PartitionId partition) {
        const auto found = partitions.find({false, partition});
        if (found == partitions.end()) {
            return;
        }
        const auto remove = [](Family<Gauge>& family, Gauge* gauge) {
            if (gauge != nullptr) {
                family.Remove(gauge);
            }
        };
        remove(staleness, found->second.staleness);
        remove(restores, found->second.restore_remaining);
        for (Gauge* gauge : found->second.lag) {
            remove(lags, gauge);
        }
        for (Gauge* gauge : found->second.states) {
            remove(states, gauge);
        }
        partitions.erase(found);
        publish_sums();
    }
};

PrometheusMetrics::PrometheusMetrics(const Config& config, std::string_view version)
    : series_(std::make_unique<Series>(config, version)) {}

PrometheusMetrics::~PrometheusMetrics() = default;

std::string PrometheusMetrics::render() const {
    std::vector<prometheus::MetricFamily> families = series_->registry.Collect();
    for (prometheus::MetricFamily& family : process_metrics()) {
        families.push_back(std::move(family));
    }
    // A family without a series yet, such as the lag before the first assignment, says nothing.
    std::erase_if(families, [](const auto& family) { return family.metric.empty(); });
    std::ostringstream text;
    prometheus::TextSerializer().Serialize(text, families);
    return std::move(text).str();
}

PrometheusMetrics::Ordering PrometheusMetrics::ordering() const {
    return {.out_of_order = static_cast<std::uint64_t>(series_->out_of_order.Value()),
            .gaps = static_cast<std::uint64_t>(series_->gaps.Value()),
            .duplicates = static_cast<std::uint64_t>(series_->duplicates.Value()),
            .held = static_cast<std::int64_t>(series_->held.Value())};
}

void PrometheusMetrics::partitions(std::int32_t count) {
    series_->partition_count.Set(count);
}

void PrometheusMetrics::consumed(InputTopic topic, std::uint64_t records) {
    series_->consumed_by_topic.at(index(topic))->Increment(static_cast<double>(records));
}

void PrometheusMetrics::address_suppression_rejected(Reason why) {
    series_->rejected_address(why).Increment();
}

void PrometheusMetrics::outcome(Outcome outcome, Reason reason) {
    Counter* const known = series_->outcome_by_reason.at(index(outcome)).at(index(reason));
    (known != nullptr ? *known : series_->outcome_counter(outcome, reason)).Increment();
}

void PrometheusMetrics::attempt(std::string_view provider, AnswerClass result) {
    if (ProviderSeries* const series = series_->find(provider)) {
        series->attempts.at(index(result))->Increment();
    }
}

void PrometheusMetrics::send_duration(std::string_view provider, double seconds) {
    if (ProviderSeries* const series = series_->find(provider)) {
        series->duration->Observe(seconds);
    }
}

void PrometheusMetrics::dispatch_latency(double seconds) {
    series_->dispatch_latency.Observe(seconds);
}

void PrometheusMetrics::ambiguous(std::string_view provider) {
    if (ProviderSeries* const series = series_->find(provider)) {
        series->ambiguous->Increment();
    }
}

void PrometheusMetrics::out_of_order() {
    series_->out_of_order.Increment();
}

void PrometheusMetrics::gap() {
    series_->gaps.Increment();
}

void PrometheusMetrics::duplicate() {
    series_->duplicates.Increment();
}

void PrometheusMetrics::payload_conflict() {
    series_->payload_conflicts.Increment();
}

void PrometheusMetrics::held(PartitionId partition, std::int64_t now_held) {
    const std::lock_guard lock(series_->mutex);
    series_->at(partition).held = now_held;
    series_->publish_sums();
}

void PrometheusMetrics::in_flight(PartitionId partition, std::int64_t open_intents) {
    const std::lock_guard lock(series_->mutex);
    series_->at(partition).in_flight = open_intents;
    series_->publish_sums();
}

void PrometheusMetrics::staleness(PartitionId partition, double seconds) {
    const std::lock_guard lock(series_->mutex);
    series_->set(series_->staleness, series_->at(partition).staleness, partition, seconds);
}

void PrometheusMetrics::lag(InputTopic topic, PartitionId partition, std::int64_t records) {
    const std::lock_guard lock(series_->mutex);
    Gauge*& gauge =
        series_->at(partition, topic == InputTopic::AddressSuppressions).lag.at(index(topic));
    if (gauge == nullptr) {
        gauge = &series_->lags.Add({{"topic", series_->topic_names.at(index(topic))},
                                    {"partition", std::to_string(partition)}});
    }
    gauge->Set(static_cast<double>(records));
}

void PrometheusMetrics::ledger_write(double seconds, std::uint64_t records) {
    series_->ledger_writes.Observe(seconds);
    series_->ledger_records.Increment(static_cast<double>(records));
}

void PrometheusMetrics::partition_state(PartitionId partition, PartitionState state) {
    const std::lock_guard lock(series_->mutex);
    PartitionSeries& series = series_->at(partition);
    for (const PartitionState candidate : kStates) {
        Gauge*& gauge = series.states.at(index(candidate));
        if (gauge == nullptr) {
            gauge = &series_->states.Add(
                {{"partition", std::to_string(partition)}, {"state", word(candidate)}});
        }
        gauge->Set(candidate == state ? 1 : 0);
    }
}

void PrometheusMetrics::restore_progress(PartitionId partition, std::int64_t remaining_records) {
    const std::lock_guard lock(series_->mutex);
    series_->set(series_->restores, series_->at(partition).restore_remaining, partition,
                 static_cast<double>(remaining_records));
}

void PrometheusMetrics::partition_restarted(PartitionId) {
    series_->restarts.Increment();
}

void PrometheusMetrics::rebalanced(std::string_view kind) {
    series_->rebalances.Add({{"kind", std::string(kind)}}).Increment();
}

void PrometheusMetrics::circuit(std::string_view provider, bool open) {
    if (ProviderSeries* const series = series_->find(provider)) {
        series->circuit_open->Set(open ? 1 : 0);
    }
}

void PrometheusMetrics::partition_gone(PartitionId partition) {
    const std::lock_guard lock(series_->mutex);
    series_->forget(partition);
}

}  // namespace postlane
