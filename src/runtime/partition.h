// One partition from assignment to revocation: fence, restore, run the commit cycle, drain; and restart_partition, the
// one answer to everything uncertain.
//
// No thread of its own: one thread calls turn() for ever; what other threads may call is marked. The only calls that
// block are those of the LedgerLog.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <vector>

#include "postlane/ports/clock.h"
#include "postlane/ports/input_stream.h"
#include "runtime/bell.h"
#include "runtime/broker_clock.h"
#include "runtime/commit_pacer.h"
#include "runtime/freshness_service.h"
#include "runtime/partition_runner.h"

namespace postlane {

enum class Severity : std::uint8_t { Info, Warning, Error };

// What all partitions of a process share. Outlives them.
struct Surroundings {
    const Config& config;
    std::int32_t partition_count;
    std::size_t max_record_bytes;
    const Clock& clock;
    BrokerClock& broker_clock;
    const AddressView& addresses;
    ProviderFlow& flow;
    AttemptRegistry& registry;
    Dispatcher& dispatcher;
    FreshnessService& freshness;
    Metrics& metrics;
    CommitActivity& commits;
    std::function<void(PartitionId, Offset next_send)> show_progress;  // group offsets
    std::function<Hash128()> new_uuid;
    std::function<void(Severity, std::string_view event, const std::string& text)> log;
};

// What one partition needs of the outside.
struct PartitionPorts {
    std::function<Result<std::unique_ptr<LedgerLog>>()> open_log;  // a new one per epoch
    std::function<Result<std::unique_ptr<Store>>()> open_store;
    std::unique_ptr<InputStream> sends;
    std::unique_ptr<InputStream> suppressions;
};

class Partition {
public:
    // Restarts of one partition within this time before the process gives up (exit 70).
    static constexpr std::size_t kRestartsMax = 3;
    static constexpr std::chrono::minutes kRestartsWithin{10};
    // A restored store older than this may miss deletions that compaction has since forgotten: half of the ledger's
    // delete.retention.ms.
    static constexpr std::chrono::hours kStoreAgeMax{84};

    Partition(Surroundings& surroundings, PartitionId id, PartitionPorts ports,
              std::shared_ptr<Bell> bell);
    ~Partition();
    Partition(const Partition&) = delete;
    Partition& operator=(const Partition&) = delete;

    // One round. Returns when the next is due; earlier if the bell rings.
    BootInstant turn();
    // Until then a bell means nothing: the batch being made is committed then, and what comes meanwhile goes into it.
    // The thread of turn() only.
    [[nodiscard]] BootInstant quiet_until() const noexcept { return quiet_until_; }

    enum class Stage : std::uint8_t { Starting, Running, Draining, Stopped, Failed };
    [[nodiscard]] Stage stage() const noexcept { return stage_.load(); }  // any thread
    // Stage Failed: why. Misconfigured means exit 78, Denied 77, NoStorage 74, anything else 70. Any thread.
    [[nodiscard]] std::optional<Error> failure() const;

    // Any thread. No new intents; what is in flight may finish until `deadline`; then Stopped.
    void drain(BootInstant deadline);
    // Any thread. The partition may be somebody else's already: stop, commit nothing.
    void discard();
    // Any thread. Runs on the partition's thread between two rounds, if it is running.
    void post(std::function<void(Partition&)> question);
    [[nodiscard]] PartitionId id() const noexcept { return id_; }
    [[nodiscard]] PartitionRunner* runner() { return runner_.get(); }  // its thread only

    struct Status {
        std::int64_t restore_remaining = 0;
        std::int64_t sends_lag = -1;  // -1: unknown
        std::int64_t suppressions_lag = -1;
        BootInstant fresh_since{};
        std::size_t in_flight = 0;
        std::size_t recipients = 0;  // PartitionRunner::recipients_seen()
        OrderingCounts ordering;
        BootInstant last_turn{};
    };
    [[nodiscard]] Status status() const;  // any thread

private:
    struct Proof {
        BootInstant asked_at;
        Offset end;
    };

    [[nodiscard]] Now now() const;
    BootInstant start();
    [[nodiscard]] Result<void> restore(BootInstant fenced_at);
    [[nodiscard]] Result<std::optional<GenesisRow>> read_genesis(const LedgerLog::Range& range);
    [[nodiscard]] Result<void> check_first_start(const LedgerLog::Range& range);
    [[nodiscard]] Result<void> begin_ledger();
    [[nodiscard]] Result<void> check_genesis(const GenesisRow& genesis) const;
    [[nodiscard]] Result<Offset> trust_store(const LedgerLog::Range& range,
                                             const std::optional<GenesisRow>& genesis);
    [[nodiscard]] Result<void> replay(Offset from, Offset end);
    BootInstant round();
    [[nodiscard]] bool keeps_alive(const Now& at) const;
    [[nodiscard]] bool is_busy() const;
    [[nodiscard]] Result<void> take_inputs();
    [[nodiscard]] Result<void> commit(const Now& at);
    BootInstant finish_draining(const Now& at);
    void restart(const Error& why);
    void start_failed(const Error& why);
    [[nodiscard]] bool restarted_too_often();  // counts one more
    void give_up(const Error& why);
    void stop();
    void answer_questions();
    void publish_status(const Now& at);
    void tell_staleness(BootInstant at);
    void enter(Stage stage, PartitionState state);

    Surroundings& around_;
    const PartitionId id_;
    PartitionPorts ports_;
    const std::shared_ptr<Bell> bell_;
    const std::shared_ptr<PartitionGuard> guard_ = std::make_shared<PartitionGuard>();
    // Set when a provider may grant a slot again. Shared: a last call may come after the partition is gone.
    const std::shared_ptr<std::atomic<bool>> credit_ = std::make_shared<std::atomic<bool>>(true);
    const ProviderFlow::WaiterId waiter_;
    BootInstant next_credit_check_{};

    std::atomic<Stage> stage_{Stage::Starting};
    std::atomic<bool> draining_{false};
    std::atomic<bool> discarded_{false};
    std::uint64_t epoch_ = 0;
    std::unique_ptr<LedgerLog> log_;
    std::unique_ptr<Store> store_;
    std::unique_ptr<PartitionRunner> runner_;
    CommitPacer pacer_;
    std::vector<BootInstant> restarts_;
    Millis start_backoff_{0};
    BootInstant next_start_{};
    BootInstant last_commit_{};
    BootInstant quiet_until_{};
    BootInstant next_status_{};
    BootInstant proof_asked_at_{};
    std::optional<BootInstant> stale_since_;  // as it was first noticed
    bool stale_told_ = false;

    mutable std::mutex mutex_;
    // Below: under mutex_.
    std::vector<Proof> proofs_;
    std::vector<std::function<void(Partition&)>> questions_;
    std::optional<Error> failure_;
    BootInstant drain_deadline_{};
    Status status_;
};

}  // namespace postlane
