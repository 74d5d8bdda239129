// The reading half of KafkaLedgerLog: where the ledger begins and ends, and replaying it.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "adapters/kafka/clock.h"
#include "adapters/kafka/handles.h"
#include "adapters/kafka/records.h"
#include "adapters/kafka/transaction_log.h"

namespace postlane {

using kafka::boot_now;
using kafka::Client;
using kafka::left_until;
using kafka::Property;

namespace {

constexpr std::size_t kBatch = 1000;
constexpr Millis kRestorePoll{200};

std::string_view view(const void* data, std::size_t size) {
    return {static_cast<const char*>(data), size};
}

using Batch = std::array<rd_kafka_message_t*, kBatch>;

// What is there, or the first thing that comes. A batch call with a time-out would wait all of it
// for a batch that is not full.
std::size_t take(rd_kafka_queue_t* queue, Batch& messages) {
    messages[0] = rd_kafka_consume_queue(queue, kafka::timeout_ms(kRestorePoll));
    if (messages[0] == nullptr) {
        return 0;
    }
    const ssize_t more =
        rd_kafka_consume_batch_queue(queue, 0, messages.data() + 1, messages.size() - 1);
    return 1 + static_cast<std::size_t>(std::max<ssize_t>(more, 0));
}

// Ends reading before its queue and its client go.
class Reading {
public:
    Reading(rd_kafka_topic_t* topic, PartitionId partition)
        : topic_(topic), partition_(partition) {}
    ~Reading() { rd_kafka_consume_stop(topic_, partition_); }
    Reading(const Reading&) = delete;
    Reading& operator=(const Reading&) = delete;

private:
    rd_kafka_topic_t* topic_;
    PartitionId partition_;
};

}  // namespace

Result<Client*> KafkaLedgerLog::query_client() {
    if (query_ == nullptr) {
        // A group id, but no subscription: it asks for the group's offsets and never joins.
        auto client = Client::create(kafka::Kind::Consumer, config_,
                                     {{"group.id", config_.kafka.group_id},
                                      {"enable.auto.commit", "false"},
                                      {"isolation.level", "read_uncommitted"}},
                                     log_);
        if (!client) {
            return tl::unexpected(client.error());
        }
        query_ = std::move(*client);
    }
    return query_.get();
}

Result<Offset> KafkaLedgerLog::offset_at(Offset which) {
    auto client = query_client();
    if (!client) {
        return tl::unexpected(client.error());
    }
    const BootInstant until = boot_now() + options_.query_timeout;
    while (true) {
        const auto list = kafka::partition_list();
        kafka::add(*list, config_.topics.ledger, partition_, which);
        auto code = rd_kafka_offsets_for_times((*client)->get(), list.get(),
                                               kafka::timeout_ms(left_until(until)));
        const auto& entry = list->elems[0];
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            code = entry.err;
        }
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR && entry.offset >= 0) {
            return entry.offset;
        }
        if (left_until(until) == Millis(0)) {
            return fail(kafka::denied_or(code, ErrorCode::Unavailable),
                        fmt::format("the range of {}[{}] is unknown: {}", config_.topics.ledger,
                                    partition_, kafka::describe(code)));
        }
        // The leader may have moved; librdkafka 2.0.2 does not look for it by itself here. Asking
        // also paces the loop: it answers at once or waits for a broker.
        const rd_kafka_metadata_t* metadata = nullptr;
        if (rd_kafka_metadata((*client)->get(), 0, (*client)->topic(config_.topics.ledger),
                              &metadata,
                              kafka::timeout_ms(left_until(until))) == RD_KAFKA_RESP_ERR_NO_ERROR) {
            const kafka::Metadata owned(metadata);
        }
    }
}

Result<LedgerLog::Range> KafkaLedgerLog::range() {
    const auto start = offset_at(RD_KAFKA_OFFSET_BEGINNING);
    if (!start) {
        return tl::unexpected(start.error());
    }
    const auto end = offset_at(RD_KAFKA_OFFSET_END);
    if (!end) {
        return tl::unexpected(end.error());
    }
    ledger_next_ = *end;
    return Range{.start = *start, .end = *end};
}

Result<bool> KafkaLedgerLog::group_offset_exists() {
    auto client = query_client();
    if (!client) {
        return tl::unexpected(client.error());
    }
    const auto list = kafka::partition_list();
    kafka::add(*list, config_.topics.sends, partition_, RD_KAFKA_OFFSET_INVALID);
    auto code =
        rd_kafka_committed((*client)->get(), list.get(), kafka::timeout_ms(options_.query_timeout));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = list->elems[0].err;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail(
            kafka::denied_or(code, ErrorCode::Unavailable),
            fmt::format("the offset of group {} for {}[{}] is unknown: {}", config_.kafka.group_id,
                        config_.topics.sends, partition_, kafka::describe(code)));
    }
    return list->elems[0].offset >= 0;
}

Result<void> KafkaLedgerLog::replay(Offset from, Offset end,
                                    const std::function<bool(const Record&)>& each) {
    if (from >= end) {
        return {};
    }
    using enum Property::Force;
    auto client = Client::create(kafka::Kind::Consumer, config_,
                                 {{"isolation.level", "read_committed", Fixed},
                                  {"auto.offset.reset", "error", Fixed},
                                  {"enable.partition.eof", "true", Fixed},
                                  {"fetch.wait.max.ms", "50", Fixed},
                                  {"fetch.error.backoff.ms", "50", Fixed},
                                  {"check.crcs", "true", Default},
                                  // Large: librdkafka looks at a full buffer only once a second.
                                  {"queued.min.messages", "1000000", Fixed},
                                  {"queued.max.messages.kbytes", "65536", Fixed},
                                  {"max.partition.fetch.bytes", "8388608", Fixed}},
                                 log_);
    if (!client) {
        return tl::unexpected(client.error());
    }
    rd_kafka_topic_t* const topic = (*client)->topic(config_.topics.ledger);
    const kafka::Queue queue(rd_kafka_queue_new((*client)->get()));
    if (rd_kafka_consume_start_queue(topic, partition_, from, queue.get()) != 0) {
        return fail(ErrorCode::Unavailable,
                    fmt::format("cannot replay {}[{}]: {}", config_.topics.ledger, partition_,
                                kafka::describe(rd_kafka_last_error())));
    }
    const Reading reading(topic, partition_);
    return drain(Source{queue.get(), end}, from, each);
}

Result<void> KafkaLedgerLog::drain(const Source& source, Offset from,
                                   const std::function<bool(const Record&)>& each) {
    Batch messages{};
    Offset position = from;
    BootInstant progress = boot_now();
    while (position < source.end) {
        const std::size_t got = take(source.queue, messages);
        const Offset before = position;
        Result<void> outcome;
        for (std::size_t i = 0; i < got; ++i) {
            const kafka::Message message(messages.at(i));
            if (!outcome) {
                continue;  // only freed
            }
            if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
                // At the last stable offset, so behind it an open transaction may still stand.
                position = std::max(position, message->offset);
            } else if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
                outcome = fail(kafka::denied_or(message->err, ErrorCode::Unavailable),
                               fmt::format("replaying {}[{}] at {}: {}", config_.topics.ledger,
                                           partition_, position, kafka::describe(message->err)));
            } else if (message->offset < source.end) {
                const Record record{
                    .offset = message->offset,
                    .timestamp = kafka::timestamp_of(*message),
                    .key = view(message->key, message->key_len),
                    .value = message->payload == nullptr
                                 ? std::nullopt
                                 : std::optional(view(message->payload, message->len))};
                position = message->offset + 1;
                if (!each(record)) {
                    outcome = fail(ErrorCode::Corrupt,
                                   fmt::format("the ledger record at {}[{}]@{} was refused",
                                               config_.topics.ledger, partition_, record.offset));
                }
            } else {
                position = source.end;
            }
        }
        if (!outcome) {
            return outcome;
        }
        if (position != before) {
            progress = boot_now();
        } else if (boot_now() - progress > options_.replay_stall) {
            return fail(ErrorCode::Unavailable,
                        fmt::format("replaying {}[{}] stands at {} and does not reach {}: the "
                                    "broker does not answer, or a transaction hangs open in the "
                                    "ledger, a foreign producer's or one of ours that the brokers "
                                    "never finished (kafka-transactions.sh find-hanging shows it; "
                                    "see \"A ledger that hangs\" before you abort it)",
                                    config_.topics.ledger, partition_, position, source.end));
        }
    }
    return {};
}

}  // namespace postlane
