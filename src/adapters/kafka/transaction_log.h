// One partition's ledger through its own transactional producer: fencing, restoring, committing.
//
// Used by the partition's thread only (the destructor too). Made anew for every epoch of the
// partition: librdkafka's producer cannot be trusted after a failed transaction.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/kafka/client.h"
#include "postlane/config.h"
#include "postlane/ports/ledger_log.h"

namespace postlane {

struct LedgerLogOptions {
    // The coordinator aborts what is open for longer, so this bounds how long a dead owner can hold
    // up readers of its outcomes.
    Millis transaction_timeout{15'000};
    Millis fence_timeout{30'000};
    // From the first record to the answer. Longer than the transaction time-out: when it has
    // passed, the broker has decided.
    Millis commit_timeout{20'000};
    Millis query_timeout{10'000};
    // A restore that makes no progress for so long gives up.
    Millis replay_stall{30'000};
    // Dead letters go to the input's partition number, wrapped round where their topic has fewer; 0: it has as many.
    PartitionId dead_letter_partitions = 0;
};

class KafkaLedgerLog final : public LedgerLog {
public:
    static Result<std::unique_ptr<KafkaLedgerLog>> create(const Config& config,
                                                          PartitionId partition, kafka::LogSink log,
                                                          LedgerLogOptions options = {});

    Result<void> fence() override;
    Result<Range> range() override;
    Result<void> replay(Offset from, Offset end,
                        const std::function<bool(const Record&)>& each) override;
    Result<bool> group_offset_exists() override;
    Result<CommitReceipt> commit(const Transaction& transaction) override;

    // "postlane.<ledger topic>.<partition>": from the ledger, not the group, because two groups on
    // one ledger must fence each other.
    static std::string transactional_id(const std::string& ledger_topic, PartitionId partition);

private:
    // What the delivery reports of the transaction in flight have said so far.
    struct Deliveries {
        std::vector<Offset> offsets;  // by record; -1 unknown
        std::optional<Instant> append_time;
        Offset append_time_at = -1;
        rd_kafka_resp_err_t error = RD_KAFKA_RESP_ERR_NO_ERROR;
        std::string failed_topic;
    };

    KafkaLedgerLog(const Config& config, PartitionId partition, kafka::LogSink log,
                   LedgerLogOptions options);
    Result<void> open_producer();
    void delivered(const rd_kafka_message_t& message);
    Result<void> produce_all(const Transaction& transaction, BootInstant until);
    Result<void> produce(const OutRecord& record, std::size_t index, BootInstant until);
    rd_kafka_resp_err_t enqueue(const OutRecord& record, std::size_t index);
    Result<void> end_transaction(BootInstant until);
    // Ends the open transaction and says what that makes of `cause`.
    Error aborted(Error cause);
    Result<CommitReceipt> receipt(const Transaction& transaction) const;
    [[nodiscard]] const std::string& topic_of(Destination destination) const;
    [[nodiscard]] PartitionId partition_of(const OutRecord& record) const;
    Result<kafka::Client*> query_client();
    Result<Offset> offset_at(Offset which);
    // What replay() reads from, and until where.
    struct Source {
        rd_kafka_queue_t* queue;
        Offset end;
    };
    Result<void> drain(const Source& source, Offset from,
                       const std::function<bool(const Record&)>& each);

    const Config& config_;
    const PartitionId partition_;
    const kafka::LogSink log_;
    const LedgerLogOptions options_;
    std::array<rd_kafka_topic_t*, 4> topics_{};  // by Destination; owned by producer_
    Deliveries deliveries_;
    Offset ledger_next_ = 0;
    bool finished_ = false;
    // For range() and group_offset_exists(); closed before the first commit.
    std::unique_ptr<kafka::Client> query_;
    std::unique_ptr<kafka::Client> producer_;  // last: its callbacks use the members above
};

}  // namespace postlane
