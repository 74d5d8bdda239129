// A Kafka cluster as far as postlane can tell: logs with offsets, transactions with control markers, producer epochs,
// the last stable offset, compaction, and whether the group ever committed.
//
// Everything here is instantaneous and right; delays, lost answers and lies are the ports' (log_port.h, input_port.h).
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "postlane/ports/ledger_log.h"
#include "postlane/types.h"
#include "sim/scheduler.h"

namespace postlane::sim {

enum class Topic : std::uint8_t {
    Sends,
    Suppressions,
    AddressSuppressions,
    Ledger,
    Outcomes,
    DeadLetters
};
[[nodiscard]] std::string_view to_string(Topic topic);
[[nodiscard]] Topic topic_of(Destination destination);

using TransactionId = std::uint64_t;  // 0: none
enum class TransactionState : std::uint8_t { Open, Committed, Aborted };

struct LogRecord {
    enum class Kind : std::uint8_t { Data, Marker };
    Kind kind = Kind::Data;
    Offset offset = 0;
    Time appended_at = 0;
    TransactionId transaction = 0;
    Instant timestamp{};
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::vector<Header> headers;
};

class Broker {
public:
    Broker(Scheduler& scheduler, std::int32_t partitions, std::int32_t address_partitions);

    // What LogAppendTime says now.
    [[nodiscard]] Instant time() const { return time_at(scheduler_.now()); }
    [[nodiscard]] Instant time_at(Time when) const;
    [[nodiscard]] std::int32_t partitions(Topic topic) const;

    // `timestamp`: the producer's; ledger records get the broker's.
    Offset append(Topic topic, PartitionId partition, LogRecord record);

    // --- transactions ---
    // A new epoch for this transactional id; its open transaction is aborted.
    std::int64_t init_producer(const std::string& transactional_id);
    [[nodiscard]] bool is_current(const std::string& transactional_id, std::int64_t epoch) const;
    // The coordinator aborts it, and ends its producer's epoch, if it is open for longer than `timeout`.
    [[nodiscard]] TransactionId begin(const std::string& transactional_id, Time timeout);
    void end(TransactionId transaction, bool commit);
    [[nodiscard]] TransactionState state_of(TransactionId transaction) const;
    // When a record may be read by read_committed, and so when its suppression counts as acknowledged.
    [[nodiscard]] std::optional<Time> visible_since(const LogRecord& record) const;

    // --- reading ---
    [[nodiscard]] const std::vector<LogRecord>& log(Topic topic, PartitionId partition) const;
    [[nodiscard]] Offset start_offset(Topic topic, PartitionId partition) const;
    [[nodiscard]] Offset end_offset(Topic topic, PartitionId partition) const;
    [[nodiscard]] Offset last_stable_offset(Topic topic, PartitionId partition) const;
    // The first record at or above the offset.
    [[nodiscard]] std::size_t position_of(Topic topic, PartitionId partition, Offset offset) const;
    [[nodiscard]] bool is_data(const LogRecord& record) const;  // committed or outside transactions
    [[nodiscard]] bool any_transaction_open() const;

    // --- what brokers and people do to topics ---
    // Keeps the last committed record of every key; tombstones older than `tombstones_older_than` go too.
    void compact(PartitionId ledger_partition, Instant tombstones_older_than);
    // Retention. The records stay for those who judge; readers begin at start_offset().
    void delete_before(Topic topic, PartitionId partition, Offset offset);
    // An unclean election: what was acknowledged from there on is gone, and its offsets are given again.
    void lose_tail(Topic topic, PartitionId partition, Offset from);
    void recreate_ledger();
    // One more of every topic.
    void add_partition();

    std::map<PartitionId, Offset> group_offsets;
    // Called after each append and each end of a transaction.
    std::function<void(Topic, PartitionId)> on_change;

private:
    struct Partition {
        std::vector<LogRecord> records;
        Offset start = 0;
        Offset end = 0;
        std::map<TransactionId, Offset> open;  // first offsets
    };
    struct Transaction {
        TransactionState state = TransactionState::Open;
        Time ended_at = 0;
        std::string producer;
        std::vector<std::pair<Topic, PartitionId>> touched;
    };
    struct Producer {
        std::int64_t epoch = -1;
        TransactionId open = 0;
    };
    [[nodiscard]] Partition& at(Topic topic, PartitionId partition);
    [[nodiscard]] const Partition& at(Topic topic, PartitionId partition) const;

    Scheduler& scheduler_;
    std::vector<std::vector<Partition>> topics_;
    std::vector<Transaction> transactions_;
    std::map<std::string, Producer> producers_;
};

}  // namespace postlane::sim
