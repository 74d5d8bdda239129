// One partition's ledger topic, seen through the partition's own transactional producer.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postlane/error.h"
#include "postlane/types.h"

namespace postlane {

// Where a record of a transaction goes. Every one to the partition's own number, except a forward.
enum class Destination : std::uint8_t { Ledger, Outcomes, DeadLetters, Suppressions };

struct OutRecord {
    Destination destination = Destination::Ledger;
    PartitionId partition = 0;
    std::optional<std::string> key;
    std::optional<std::string> value;  // absent: tombstone
    std::vector<Header> headers;
    std::optional<Instant> timestamp;  // absent: now
};

struct Transaction {
    std::vector<OutRecord> records;
};

struct CommitReceipt {
    Offset ledger_next = 0;              // highest delivered ledger offset + 1
    std::vector<Offset> ledger_offsets;  // of the transaction's ledger records, in their order
    std::optional<Instant> broker_time;  // LogAppendTime of the last one; absent under CreateTime
};

// Used by the partition's thread only. A LedgerLog whose call failed with Fenced, OutcomeUnknown or
// after an aborted transaction is finished: destroy it and make another (protocol 3,
// restart_partition).
class LedgerLog {
public:
    virtual ~LedgerLog() = default;
    // init_transactions: fences whoever had the partition before and ends its open transaction.
    [[nodiscard]] virtual Result<void> fence() = 0;
    // read_uncommitted end and start of the ledger partition. Ask only after fence().
    struct Range {
        Offset start = 0;
        Offset end = 0;
    };
    [[nodiscard]] virtual Result<Range> range() = 0;
    struct Record {
        Offset offset = 0;
        Instant timestamp{};
        std::string_view key;
        std::optional<std::string_view> value;
    };
    // Committed records from `from` until the log end read in range() is reached. `each` returns false
    // to stop early (Corrupt is then reported). Views are valid during the call only.
    [[nodiscard]] virtual Result<void> replay(Offset from, Offset end,
                                              const std::function<bool(const Record&)>& each) = 0;
    // Whether the consumer group has ever committed an offset for this partition of the sends topic.
    [[nodiscard]] virtual Result<bool> group_offset_exists() = 0;
    // Blocks until the outcome is known or the time-out passed. Errors: Unavailable (aborted, nothing
    // happened), Fenced, OutcomeUnknown, Rejected (a record can never be written; aborted).
    [[nodiscard]] virtual Result<CommitReceipt> commit(const Transaction& transaction) = 0;
};

}  // namespace postlane
