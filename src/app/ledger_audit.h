// Does a local store say what its ledger topic says?
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "adapters/kafka/client.h"
#include "adapters/listener/admin_source.h"
#include "postlane/config.h"
#include "postlane/error.h"
#include "postlane/ports/input_stream.h"
#include "postlane/ports/store.h"

namespace postlane {

class KafkaInput;

// Rows by kind. Reads the whole store.
[[nodiscard]] Result<LedgerPartitionStats> count_ledger_rows(PartitionId partition,
                                                             const Store& store);

// First the store, then the topic up to an end that was reached later: so the comparison also holds
// while the partition works, because a value reaches the topic before the store. Open intents are in
// the topic alone; the oldest holds the store's position back, so they count as not yet settled.
// Holds two hashes for each key. One thread.
class LedgerAudit {
public:
    explicit LedgerAudit(PartitionId partition) : partition_(partition) {}

    // Reads the whole store.
    [[nodiscard]] Result<void> take_store(const Store& store);
    // Every committed record of the topic, in order.
    [[nodiscard]] Result<void> take_record(Offset offset, std::string_view key,
                                           std::optional<std::string_view> value);
    [[nodiscard]] LedgerPartitionVerdict verdict() const;

private:
    // 0 stands for no value.
    struct Entry {
        std::uint64_t stored = 0;
        std::uint64_t settled = 0;   // the latest of the topic that the store must have seen
        bool changed_later = false;  // beyond the store's position
        bool later_agrees = false;   // the store has a value from beyond its position
    };

    PartitionId partition_;
    Offset position_ = 0;  // what the topic holds below is in the store
    std::unordered_map<std::uint64_t, Entry> entries_;
};

// Reads `ledger` (a stream of the ledger topic's partition, not started) from its beginning to its
// end and compares. `wait` sleeps until the stream has something, or for a moment. Unavailable once
// `stopped`: nobody wants to know any more.
[[nodiscard]] Result<LedgerPartitionVerdict> audit_ledger(PartitionId partition, const Store& store,
                                                          InputStream& ledger,
                                                          const std::function<void()>& wait,
                                                          const std::function<bool()>& stopped);
// The same, with the partition of config.topics.ledger read through `input`.
[[nodiscard]] Result<LedgerPartitionVerdict> audit_ledger(PartitionId partition, const Store& store,
                                                          KafkaInput& input, const Config& config,
                                                          const std::function<bool()>& stopped);

// Every store in ledger.directory, opened for reading only: works beside a running instance. The
// second reads the ledger topic and calls `next` before each partition.
[[nodiscard]] Result<std::vector<LedgerPartitionStats>> count_local_stores(const Config& config);
[[nodiscard]] Result<std::vector<LedgerPartitionVerdict>> audit_local_stores(
    const Config& config, const kafka::LogSink& log, const std::function<void(PartitionId)>& next);

}  // namespace postlane
