// One running postlane: every thread, and who owns what.
//
//   main          group membership, signals, drains, exits
//   partition N   one per owned partition: Partition::turn() for ever
//   addresses     suppressions by address
//   freshness     end-offset questions
//   topology      the checks of before serving, again every few minutes
//   io            CurlDispatcher's; listener: HttpServer's
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "adapters/http/curl_dispatcher.h"
#include "adapters/kafka/end_offsets.h"
#include "adapters/kafka/group_consumer.h"
#include "adapters/kafka/input_reader.h"
#include "adapters/kafka/topology_watch.h"
#include "adapters/prometheus/prometheus_metrics.h"
#include "adapters/rocksdb/address_store.h"
#include "adapters/system/clock.h"
#include "app/address_service.h"
#include "postlane/config.h"
#include "runtime/partition.h"

namespace postlane {

class Instance final : public GroupListener {
public:
    explicit Instance(const Config& config);
    ~Instance() override;

    // Runs until SIGTERM or SIGINT, or until it must not go on. The process's exit code.
    int run();

    // GroupListener; the main thread.
    void on_assigned(const std::vector<PartitionId>& partitions) override;
    void on_revoked(const std::vector<PartitionId>& partitions, bool lost) override;
    void on_fatal(const Error& error) override;

    // --- any thread, for the listeners ---
    struct OwnedPartition {
        PartitionId id;
        Partition::Stage stage;
        Partition::Status status;
    };
    [[nodiscard]] std::vector<OwnedPartition> owned() const;
    // Runs `question` on the partition's thread. False if it is not ours.
    [[nodiscard]] bool ask(PartitionId partition, std::function<void(Partition&)> question) const;
    [[nodiscard]] const Config& config() const { return config_; }
    [[nodiscard]] const SystemClock& clock() const { return clock_; }
    [[nodiscard]] const BrokerClock& broker_clock() const { return broker_clock_; }
    [[nodiscard]] PrometheusMetrics& metrics() { return metrics_; }
    [[nodiscard]] const ProviderFlow& flow() const { return flow_; }
    [[nodiscard]] const AddressView* addresses() const { return addresses_.get(); }
    [[nodiscard]] bool started() const { return started_; }
    [[nodiscard]] bool group_joined() const { return joined_; }
    [[nodiscard]] bool draining() const { return stopping_; }
    [[nodiscard]] bool address_view_loaded() const {
        return address_service_ && address_service_->loaded();
    }
    [[nodiscard]] std::int32_t partition_count() const { return partition_count_; }
    [[nodiscard]] Instant started_at() const { return started_at_; }
    [[nodiscard]] BootInstant main_turned_at() const {
        return BootInstant{BootClock::duration{main_turned_.load()}};
    }

private:
    struct Owned {
        std::shared_ptr<Bell> bell;
        std::unique_ptr<Partition> partition;
        std::atomic<bool> ended{false};
        std::thread thread;
        ~Owned();
    };

    [[nodiscard]] Result<void> check_topics();
    [[nodiscard]] Result<void> open();
    [[nodiscard]] Result<void> open_listeners();
    void start_threads();
    void main_loop();
    void look_after_partitions();
    void show_progress();
    void look_after_progress();
    void look_after_providers();
    void begin_stop();
    void end_with(int code, const std::string& event, const std::string& why);
    [[nodiscard]] std::unique_ptr<Owned> make_partition(PartitionId id);
    void forget_partitions();
    void wake(PartitionId partition);
    void wake_all();

    const Config& config_;
    SystemClock clock_;
    BrokerClock broker_clock_{clock_};
    PrometheusMetrics metrics_;
    ProviderFlow flow_;
    AttemptRegistry registry_;
    const Instant started_at_ = clock_.wall_now();
    std::atomic<std::int32_t> partition_count_{0};
    PartitionId address_partitions_ = 0;
    std::size_t max_record_bytes_ = 0;  // what the dead-letter topic takes
    PartitionId dead_letter_partitions_ = 0;

    std::unique_ptr<SharedResources> stores_;
    std::unique_ptr<AddressStore> addresses_;
    std::unique_ptr<KafkaEndOffsets> ends_;
    std::unique_ptr<KafkaInput> sends_;
    std::unique_ptr<KafkaInput> suppressions_;
    std::unique_ptr<CurlDispatcher> dispatcher_;
    std::unique_ptr<FreshnessService> freshness_;
    std::unique_ptr<AddressService> address_service_;
    std::unique_ptr<CommitActivity> commits_;
    std::unique_ptr<Surroundings> surroundings_;
    std::unique_ptr<GroupConsumer> group_;
    std::unique_ptr<TopologyWatch> topology_watch_;

    std::atomic<bool> started_{false};
    std::atomic<bool> joined_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> helpers_stop_{false};
    std::atomic<BootInstant::rep> main_turned_{0};
    std::vector<std::thread> helpers_;
    bool revoking_ = false;
    bool closing_ = false;
    BootInstant next_progress_{};
    std::set<std::string> open_circuits_;  // that the log has named; of the main thread
    std::map<PartitionId, Offset> shown_;  // what the group has been told last; of the main thread
    BootInstant stop_deadline_{};

    mutable std::mutex mutex_;
    // Below: under mutex_.
    std::map<PartitionId, std::unique_ptr<Owned>> partitions_;
    std::map<PartitionId, Offset> progress_;
    std::optional<int> exit_code_;

    struct Listeners;
    std::unique_ptr<Listeners> listeners_;  // last: its threads read everything above
};

}  // namespace postlane
