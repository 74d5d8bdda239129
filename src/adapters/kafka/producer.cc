#include "adapters/kafka/producer.h"

#include <fmt/format.h>

#include <utility>

#include "adapters/kafka/clock.h"
#include "adapters/kafka/records.h"

namespace postlane {
namespace {

using kafka::Client;

constexpr Millis kQueueFullPoll{50};

// Java's default hashes with murmur2 and so must everybody who produces to a co-partitioned topic;
// librdkafka's own default is CRC32.
std::string partitioner_of(config::Partitioner partitioner) {
    return partitioner == config::Partitioner::Murmur2 ? "murmur2_random" : "consistent_random";
}

Error delivery_error(const std::string& topic, rd_kafka_resp_err_t code) {
    const bool refused =
        code == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || code == RD_KAFKA_RESP_ERR_INVALID_RECORD ||
        code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
        code == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC || code == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION;
    return {refused ? ErrorCode::Rejected : ErrorCode::Unavailable,
            fmt::format("{}: {}", topic, kafka::describe(code))};
}

}  // namespace

Result<std::unique_ptr<Producer>> Producer::create(const Config& config, kafka::LogSink log,
                                                   Millis delivery_timeout) {
    std::unique_ptr<Producer> made(new Producer(delivery_timeout));
    kafka::Callbacks callbacks;
    callbacks.delivered = [producer = made.get()](const rd_kafka_message_t& message) {
        Delivery delivery{.tag = reinterpret_cast<std::uintptr_t>(message._private),
                          .partition = message.partition,
                          .offset = message.offset,
                          .error = std::nullopt};
        if (message.err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            delivery.error = delivery_error(rd_kafka_topic_name(message.rkt), message.err);
        }
        producer->deliveries_.push_back(std::move(delivery));
    };
    auto client = Client::create(kafka::Kind::Producer, config,
                                 {{"enable.idempotence", "true"},
                                  {"acks", "all"},
                                  {"partitioner", partitioner_of(config.kafka.partitioner)},
                                  {"delivery.timeout.ms", std::to_string(delivery_timeout.count())},
                                  {"linger.ms", "5", kafka::Property::Force::Default}},
                                 std::move(log), std::move(callbacks));
    if (!client) {
        return tl::unexpected(client.error());
    }
    made->client_ = std::move(*client);
    return made;
}

Result<void> Producer::send(const NewRecord& record) {
    rd_kafka_topic_t* const topic = client_->topic(record.topic);
    if (topic == nullptr) {
        return fail(ErrorCode::Rejected, fmt::format("topic {}: {}", record.topic,
                                                     kafka::describe(rd_kafka_last_error())));
    }
    const BootInstant until = kafka::boot_now() + delivery_timeout_;
    while (true) {
        const auto code = kafka::produce(
            client_->get(), {.topic = topic,
                             .partition = record.partition.value_or(RD_KAFKA_PARTITION_UA),
                             .key = record.key,
                             .value = record.value,
                             .headers = record.headers,
                             .timestamp = std::nullopt,
                             .opaque = record.tag});
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_poll(client_->get(), 0);
            return {};
        }
        if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL || kafka::left_until(until) == Millis(0)) {
            return tl::unexpected(delivery_error(record.topic, code));
        }
        rd_kafka_poll(client_->get(), kafka::timeout_ms(kQueueFullPoll));
    }
}

std::vector<Delivery> Producer::poll(Millis timeout) {
    const BootInstant until = kafka::boot_now() + timeout;
    do {
        rd_kafka_poll(client_->get(), kafka::timeout_ms(kafka::left_until(until)));
    } while (deliveries_.empty() && kafka::left_until(until) > Millis(0));
    return std::exchange(deliveries_, {});
}

Result<void> Producer::flush(Millis timeout) {
    const auto code = rd_kafka_flush(client_->get(), kafka::timeout_ms(timeout));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail(ErrorCode::Unavailable,
                    fmt::format("{} records are not delivered yet: {}",
                                rd_kafka_outq_len(client_->get()), kafka::describe(code)));
    }
    return {};
}

}  // namespace postlane
