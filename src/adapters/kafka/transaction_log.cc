#include "adapters/kafka/transaction_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <utility>

#include "adapters/kafka/clock.h"
#include "adapters/kafka/handles.h"
#include "adapters/kafka/records.h"
#include "codec/ledger_codec.h"
#include "postlane/crash_point.h"

namespace postlane {
namespace {

using kafka::boot_now;
using kafka::Client;
using kafka::left_until;
using kafka::Property;

constexpr Millis kQueueFullPoll{10};
constexpr Millis kAbortTimeout{10'000};

bool is_fencing(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
           code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED;
}

// Errors that follow from what a record is, so that the same record fails again.
bool is_refusal(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE ||
           code == RD_KAFKA_RESP_ERR_INVALID_RECORD || code == RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP;
}

// What was thrown out of the queue because of something else.
bool is_purged(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR__PURGE_QUEUE || code == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT;
}

// Once a producer has failed for good, every call says _FATAL; the cause is kept apart.
rd_kafka_resp_err_t cause_of(rd_kafka_t* producer, const rd_kafka_error_t& error) {
    std::array<char, 8> text{};
    const rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(producer, text.data(), text.size());
    const rd_kafka_resp_err_t code = rd_kafka_error_code(&error);
    return code == RD_KAFKA_RESP_ERR__FATAL && fatal != RD_KAFKA_RESP_ERR_NO_ERROR ? fatal : code;
}

Error error_of(rd_kafka_t* producer, const rd_kafka_error_t& error, ErrorCode otherwise,
               std::string_view doing) {
    const rd_kafka_resp_err_t code = cause_of(producer, error);
    const std::string detail =
        fmt::format("{}: {} ({})", doing, rd_kafka_error_string(&error), rd_kafka_err2name(code));
    return {is_fencing(code) ? ErrorCode::Fenced : kafka::denied_or(code, otherwise), detail};
}

// A record may be as large as the largest payload and its envelope; the broker's limit decides.
std::size_t record_bytes_max(const Config& config) {
    return std::max<std::size_t>(1'000'000, config.dispatch.max_payload_bytes + (128U << 10U));
}

bool is_intent(const OutRecord& record) {
    if (record.destination != Destination::Ledger || !record.value) {
        return false;
    }
    const auto key = ledger::parse_key(record.key.value_or(""));
    const auto row = key && key->kind == ledger::Kind::Message
                         ? ledger::decode_message(*record.value)
                         : Result<MessageRow>(MessageRow{});
    return row && row->state == MessageState::Sending;
}

bool is_outcome(const OutRecord& record) {
    return record.destination == Destination::Outcomes;
}

// Crash points inside an open transaction whose records the broker has.
void crash_while_open(rd_kafka_t* producer, const Transaction& transaction) {
    const bool intents = crash_armed(CrashPoint::BeforeIntentCommit);
    if (!intents && !crash_armed(CrashPoint::ResultProduced)) {
        return;
    }
    if (std::any_of(transaction.records.begin(), transaction.records.end(),
                    intents ? is_intent : is_outcome)) {
        rd_kafka_flush(producer, kafka::timeout_ms(kAbortTimeout));
        crash_point(intents ? CrashPoint::BeforeIntentCommit : CrashPoint::ResultProduced);
    }
}

}  // namespace

std::string KafkaLedgerLog::transactional_id(const std::string& ledger_topic,
                                             PartitionId partition) {
    return fmt::format("postlane.{}.{}", ledger_topic, partition);
}

Result<std::unique_ptr<KafkaLedgerLog>> KafkaLedgerLog::create(const Config& config,
                                                               PartitionId partition,
                                                               kafka::LogSink log,
                                                               LedgerLogOptions options) {
    std::unique_ptr<KafkaLedgerLog> made(
        new KafkaLedgerLog(config, partition, std::move(log), options));
    if (auto opened = made->open_producer(); !opened) {
        return tl::unexpected(opened.error());
    }
    return made;
}

KafkaLedgerLog::KafkaLedgerLog(const Config& config, PartitionId partition, kafka::LogSink log,
                               LedgerLogOptions options)
    : config_(config), partition_(partition), log_(std::move(log)), options_(options) {}

Result<void> KafkaLedgerLog::open_producer() {
    using enum Property::Force;
    const std::vector<Property> properties{
        {"transactional.id", transactional_id(config_.topics.ledger, partition_), Fixed},
        {"transaction.timeout.ms", std::to_string(options_.transaction_timeout.count()), Fixed},
        {"message.max.bytes", std::to_string(record_bytes_max(config_)), Default},
        // Below the smallest usual limit of a topic: a batch of small records is never too large.
        {"batch.size", "524288", Default},
        {"queue.buffering.max.messages", "1000000", Default},
        // A commit flushes at once; until then waiting makes batches, and batches save CPU.
        {"linger.ms", "5", Default},
    };
    kafka::Callbacks callbacks;
    callbacks.delivered = [this](const rd_kafka_message_t& message) { delivered(message); };
    auto client =
        Client::create(kafka::Kind::Producer, config_, properties, log_, std::move(callbacks));
    if (!client) {
        return tl::unexpected(client.error());
    }
    producer_ = std::move(*client);
    // Known topics from the start: the first record to an unknown one waits up to a second.
    for (const Destination destination : {Destination::Ledger, Destination::Outcomes,
                                          Destination::DeadLetters, Destination::Suppressions}) {
        auto& topic = topics_.at(static_cast<std::size_t>(destination));
        topic = producer_->topic(topic_of(destination));
        if (topic == nullptr) {
            return fail(ErrorCode::Misconfigured,
                        fmt::format("librdkafka refuses topic {}: {}", topic_of(destination),
                                    kafka::describe(rd_kafka_last_error())));
        }
    }
    return {};
}

const std::string& KafkaLedgerLog::topic_of(Destination destination) const {
    switch (destination) {
        case Destination::Outcomes:
            return config_.topics.outcomes;
        case Destination::DeadLetters:
            return config_.topics.dead_letters;
        case Destination::Suppressions:
            return config_.topics.suppressions;
        case Destination::Ledger:
            break;
    }
    return config_.topics.ledger;
}

PartitionId KafkaLedgerLog::partition_of(const OutRecord& record) const {
    const bool wraps =
        record.destination == Destination::DeadLetters && options_.dead_letter_partitions > 0;
    return wraps ? record.partition % options_.dead_letter_partitions : record.partition;
}

Result<void> KafkaLedgerLog::fence() {
    const BootInstant until = boot_now() + options_.fence_timeout;
    while (true) {
        const kafka::KafkaError error(
            rd_kafka_init_transactions(producer_->get(), kafka::timeout_ms(left_until(until))));
        if (!error) {
            return {};
        }
        const auto code = rd_kafka_error_code(error.get());
        const bool retry = rd_kafka_error_is_retriable(error.get()) != 0;
        if (retry && left_until(until) > Millis(0)) {
            continue;
        }
        finished_ = true;
        return tl::unexpected(error_of(
            producer_->get(), *error,
            code == RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT ? ErrorCode::Misconfigured
                                                                  : ErrorCode::Unavailable,
            fmt::format("fencing {}", transactional_id(config_.topics.ledger, partition_))));
    }
}

void KafkaLedgerLog::delivered(const rd_kafka_message_t& message) {
    if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        // The first is the cause; the rest follows from it.
        if (deliveries_.error == RD_KAFKA_RESP_ERR_NO_ERROR && !is_purged(message.err)) {
            deliveries_.error = message.err;
            deliveries_.failed_topic = rd_kafka_topic_name(message.rkt);
        }
        return;
    }
    const auto index = reinterpret_cast<std::uintptr_t>(message._private);
    if (index >= deliveries_.offsets.size()) {
        return;
    }
    deliveries_.offsets[index] = message.offset;
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    const std::int64_t append_ms = rd_kafka_message_timestamp(&message, &type);
    if (type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME && append_ms > 0 && message.rkt == topics_[0] &&
        message.offset > deliveries_.append_time_at) {
        deliveries_.append_time = Instant(Millis(append_ms));
        deliveries_.append_time_at = message.offset;
    }
}

Result<CommitReceipt> KafkaLedgerLog::commit(const Transaction& transaction) {
    if (finished_) {
        return fail(ErrorCode::Unavailable, "this ledger producer is finished: make another");
    }
    query_.reset();
    const BootInstant until = boot_now() + options_.commit_timeout;
    deliveries_ = Deliveries{};
    deliveries_.offsets.assign(transaction.records.size(), -1);
    if (const kafka::KafkaError error(rd_kafka_begin_transaction(producer_->get())); error) {
        finished_ = true;
        return tl::unexpected(error_of(producer_->get(), *error, ErrorCode::Unavailable,
                                       "beginning the ledger transaction"));
    }
    if (auto queued = produce_all(transaction, until); !queued) {
        return tl::unexpected(aborted(queued.error()));
    }
    crash_while_open(producer_->get(), transaction);
    if (auto ended = end_transaction(until); !ended) {
        finished_ = true;
        return tl::unexpected(ended.error());
    }
    auto done = receipt(transaction);
    if (!done) {
        finished_ = true;
        return done;
    }
    ledger_next_ = done->ledger_next;
    return done;
}

Result<void> KafkaLedgerLog::produce_all(const Transaction& transaction, BootInstant until) {
    for (std::size_t i = 0; i < transaction.records.size(); ++i) {
        if (auto done = produce(transaction.records[i], i, until); !done) {
            return done;
        }
    }
    return {};
}

rd_kafka_resp_err_t KafkaLedgerLog::enqueue(const OutRecord& record, std::size_t index) {
    return kafka::produce(producer_->get(),
                          {.topic = topics_.at(static_cast<std::size_t>(record.destination)),
                           .partition = partition_of(record),
                           .key = record.key,
                           .value = record.value,
                           .headers = record.headers,
                           .timestamp = record.timestamp,
                           .opaque = index});
}

Result<void> KafkaLedgerLog::produce(const OutRecord& record, std::size_t index,
                                     BootInstant until) {
    while (true) {
        const rd_kafka_resp_err_t code = enqueue(record, index);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            return {};
        }
        if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL && left_until(until) > Millis(0)) {
            rd_kafka_poll(producer_->get(), kafka::timeout_ms(kQueueFullPoll));
            continue;
        }
        return fail(
            is_fencing(code)   ? ErrorCode::Fenced
            : is_refusal(code) ? ErrorCode::Rejected
                               : kafka::denied_or(code, ErrorCode::Unavailable),
            fmt::format("a record for {}[{}] cannot be produced: {}", topic_of(record.destination),
                        partition_of(record), kafka::describe(code)));
    }
}

Result<void> KafkaLedgerLog::end_transaction(BootInstant until) {
    while (true) {
        const kafka::KafkaError error(
            rd_kafka_commit_transaction(producer_->get(), kafka::timeout_ms(left_until(until))));
        if (!error) {
            return {};
        }
        if (rd_kafka_error_txn_requires_abort(error.get()) != 0) {
            const bool refused = is_refusal(deliveries_.error);
            Error cause =
                error_of(producer_->get(), *error,
                         refused ? ErrorCode::Rejected
                                 : kafka::denied_or(deliveries_.error, ErrorCode::Unavailable),
                         "the ledger transaction was aborted");
            if (deliveries_.error != RD_KAFKA_RESP_ERR_NO_ERROR) {
                cause.detail += fmt::format("; a record for {}: {}", deliveries_.failed_topic,
                                            kafka::describe(deliveries_.error));
            }
            return tl::unexpected(aborted(std::move(cause)));
        }
        // Not fatal, not to be aborted: the same call again continues where it timed out.
        if (rd_kafka_error_is_fatal(error.get()) != 0 || left_until(until) == Millis(0)) {
            return tl::unexpected(error_of(producer_->get(), *error, ErrorCode::OutcomeUnknown,
                                           "whether the ledger transaction was committed is "
                                           "unknown"));
        }
        if (rd_kafka_error_is_retriable(error.get()) == 0) {
            return tl::unexpected(error_of(producer_->get(), *error, ErrorCode::OutcomeUnknown,
                                           "the ledger transaction's commit failed"));
        }
    }
}

Error KafkaLedgerLog::aborted(Error cause) {
    finished_ = true;
    // What is still queued need not go out first.
    rd_kafka_purge(producer_->get(), RD_KAFKA_PURGE_F_QUEUE);
    const kafka::KafkaError error(
        rd_kafka_abort_transaction(producer_->get(), kafka::timeout_ms(kAbortTimeout)));
    // Denied: brokers know of no transaction to abort, and whoever is told does not go on.
    if (!error || cause.code == ErrorCode::Fenced || cause.code == ErrorCode::Denied) {
        return cause;
    }
    return error_of(producer_->get(), *error, ErrorCode::OutcomeUnknown,
                    cause.detail + "; aborting it failed");
}

Result<CommitReceipt> KafkaLedgerLog::receipt(const Transaction& transaction) const {
    CommitReceipt receipt;
    receipt.ledger_next = ledger_next_;
    receipt.broker_time = deliveries_.append_time;
    for (std::size_t i = 0; i < transaction.records.size(); ++i) {
        if (transaction.records[i].destination != Destination::Ledger) {
            continue;
        }
        const Offset offset = deliveries_.offsets[i];
        if (offset < 0) {
            // A retried request can be acknowledged without offsets. Reading the ledger again is
            // the only way to know them.
            return fail(ErrorCode::OutcomeUnknown,
                        "the ledger transaction was committed, but not every record's offset is "
                        "known");
        }
        receipt.ledger_offsets.push_back(offset);
        receipt.ledger_next = std::max(receipt.ledger_next, offset + 1);
    }
    return receipt;
}

}  // namespace postlane
