// Keeps the process-wide view of suppressions by address: reads the whole topic, folds it into the AddressStore, and
// says how fresh that is.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "adapters/kafka/address_log.h"
#include "adapters/rocksdb/address_store.h"
#include "codec/decode.h"
#include "postlane/ports/metrics.h"
#include "runtime/bell.h"
#include "runtime/freshness.h"

namespace postlane {

class AddressService {
public:
    // `latest` tells what no unsuppress is later than (Decoder), `fresher` is called when the view has become fresher;
    // both by the address thread.
    AddressService(const Config& config, AddressStore& store, KafkaInput& input,
                   PartitionId partitions, Metrics& metrics, std::function<Instant()> latest,
                   std::function<void()> fresher);

    // Before the first turn. `ends`: of every partition of the topic, now.
    [[nodiscard]] Result<void> start(const std::map<PartitionId, Offset>& ends);
    // The freshness thread.
    void on_proof(BootInstant asked_at, const std::map<PartitionId, Offset>& ends);
    // The address thread, for ever. An error means the topic cannot be read any more.
    [[nodiscard]] Result<void> turn(Millis wait_max);

    [[nodiscard]] bool loaded() const noexcept { return loaded_.load(); }  // any thread

private:
    [[nodiscard]] Result<void> apply(const std::vector<PartitionRecord>& records);
    [[nodiscard]] Result<void> read_again();
    void settle();

    AddressStore& store_;
    Metrics& metrics_;
    const std::function<Instant()> latest_;
    const std::function<void()> fresher_;
    Decoder decoder_;
    Bell bell_;
    AddressLog log_;
    std::map<PartitionId, FreshnessProofs> proofs_;
    BootInstant told_{};
    std::atomic<bool> loaded_{false};
    struct Proof {
        BootInstant asked_at;
        std::map<PartitionId, Offset> ends;
    };
    std::mutex mutex_;
    std::vector<Proof> arrived_;  // under mutex_
};

}  // namespace postlane
