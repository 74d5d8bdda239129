#include "adapters/kafka/input_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "adapters/kafka/handles.h"
#include "adapters/kafka/records.h"

namespace postlane {
namespace {

using kafka::Client;
using kafka::Property;

// Buffers below this would be refilled about once a second (librdkafka 2.0.2 looks at a full buffer
// that rarely), so a partition would crawl.
constexpr std::size_t kBufferKilobytesMin = 1024;
constexpr std::size_t kRecordsMin = 20'000;
constexpr Millis kResolveTimeout{10'000};

class Stream final : public InputStream {
public:
    Stream(std::shared_ptr<Client> client, std::string topic, PartitionId partition,
           std::function<void()> wake)
        : client_(std::move(client)), topic_(std::move(topic)), partition_(partition),
          wake_(std::move(wake)) {}

    ~Stream() override { stop(); }
    Stream(const Stream&) = delete;
    Stream& operator=(const Stream&) = delete;

    Result<void> start(Offset from) override;
    Result<Offset> resolve(Offset which) override;
    Result<void> poll(std::vector<InputRecord>& out, std::size_t max) override;

    [[nodiscard]] std::optional<Offset> end_seen() const override { return end_seen_; }

    [[nodiscard]] std::optional<Offset> high_watermark() const override {
        std::int64_t low = RD_KAFKA_OFFSET_INVALID;
        std::int64_t high = RD_KAFKA_OFFSET_INVALID;
        if (rd_kafka_get_watermark_offsets(client_->get(), topic_.c_str(), partition_, &low,
                                           &high) != RD_KAFKA_RESP_ERR_NO_ERROR ||
            high < 0) {
            return std::nullopt;
        }
        return high;
    }

private:
    void stop();
    // What came instead of a record: the end of the partition, or an error.
    Result<void> take_event(const rd_kafka_message_t& message);

    std::shared_ptr<Client> client_;
    std::string topic_;
    PartitionId partition_;
    std::function<void()> wake_;
    // New at every start, so nothing fetched for an earlier position can appear after it.
    kafka::Queue queue_;
    Offset position_ = 0;  // where it was started, or behind the last record taken
    std::optional<Offset> end_seen_;
};

void Stream::stop() {
    if (!queue_) {
        return;
    }
    rd_kafka_queue_cb_event_enable(queue_.get(), nullptr, nullptr);
    rd_kafka_consume_stop(client_->topic(topic_), partition_);
    queue_.reset();
}

Result<void> Stream::start(Offset from) {
    stop();
    end_seen_.reset();
    position_ = from;
    rd_kafka_topic_t* const topic = client_->topic(topic_);
    if (topic == nullptr) {
        return fail(ErrorCode::Misconfigured, fmt::format("librdkafka refuses topic {}: {}", topic_,
                                                          kafka::describe(rd_kafka_last_error())));
    }
    queue_.reset(rd_kafka_queue_new(client_->get()));
    if (wake_) {
        rd_kafka_queue_cb_event_enable(
            queue_.get(),
            [](rd_kafka_t*, void* opaque) { (*static_cast<std::function<void()>*>(opaque))(); },
            &wake_);
    }
    const Offset offset = from == kBeginning ? RD_KAFKA_OFFSET_BEGINNING
                          : from == kEnd     ? RD_KAFKA_OFFSET_END
                                             : from;
    if (rd_kafka_consume_start_queue(topic, partition_, offset, queue_.get()) != 0) {
        const rd_kafka_resp_err_t code = rd_kafka_last_error();
        queue_.reset();
        return fail(ErrorCode::Unavailable,
                    fmt::format("cannot start reading {}[{}] at {}: {}", topic_, partition_, from,
                                kafka::describe(code)));
    }
    return {};
}

// Not query_watermark_offsets: in librdkafka 2.0.2 it ignores its time-out.
Result<Offset> Stream::resolve(Offset which) {
    const auto list = kafka::partition_list();
    kafka::add(*list, topic_, partition_,
               which == kBeginning ? RD_KAFKA_OFFSET_BEGINNING : RD_KAFKA_OFFSET_END);
    auto code =
        rd_kafka_offsets_for_times(client_->get(), list.get(), kafka::timeout_ms(kResolveTimeout));
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        code = list->elems[0].err;
    }
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR || list->elems[0].offset < 0) {
        return fail(ErrorCode::Unavailable,
                    fmt::format("where {}[{}] {} is unknown: {}", topic_, partition_,
                                which == kBeginning ? "begins" : "ends", kafka::describe(code)));
    }
    return list->elems[0].offset;
}

Result<void> Stream::take_event(const rd_kafka_message_t& message) {
    switch (static_cast<int>(message.err)) {
        case RD_KAFKA_RESP_ERR__PARTITION_EOF:
            end_seen_ = message.offset;
            return {};
        // With auto.offset.reset=error the broker's "offset out of range" arrives as this. A gap left
        // by compaction, markers or aborted records is none: the broker just goes on behind it.
        case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE:
            return fail(
                ErrorCode::Misconfigured,
                fmt::format("{}[{}] does not have offset {}, which is to be read next: "
                            "retention deleted records that were still needed, or the topic "
                            "was made anew. Raise its retention.ms; see `postlane topics "
                            "check`. ({})",
                            topic_, partition_, position_, rd_kafka_message_errstr(&message)));
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
            return fail(ErrorCode::Denied, fmt::format("cannot read {}[{}]: {}", topic_, partition_,
                                                       kafka::describe(message.err)));
        default:
            return fail(ErrorCode::Unavailable,
                        fmt::format("reading {}[{}]: {}", topic_, partition_,
                                    kafka::describe(message.err)));
    }
}

Result<void> Stream::poll(std::vector<InputRecord>& out, std::size_t max) {
    if (!queue_) {
        return {};
    }
    std::array<rd_kafka_message_t*, 256> messages{};
    std::size_t taken = 0;
    while (taken < max) {
        const std::size_t wanted = std::min(messages.size(), max - taken);
        const ssize_t got = rd_kafka_consume_batch_queue(queue_.get(), 0, messages.data(), wanted);
        if (got <= 0) {
            return {};
        }
        Result<void> outcome;
        for (std::size_t i = 0; i < static_cast<std::size_t>(got); ++i) {
            const kafka::Message message(messages.at(i));
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                out.push_back(kafka::to_input_record(*message));
                position_ = message->offset + 1;
            } else if (auto event = take_event(*message); !event && outcome) {
                outcome = tl::unexpected(event.error());
            }
        }
        if (!outcome) {
            return outcome;
        }
        taken += static_cast<std::size_t>(got);
        if (static_cast<std::size_t>(got) < wanted) {
            return {};
        }
    }
    return {};
}

}  // namespace

Result<std::unique_ptr<KafkaInput>> KafkaInput::create(const Config& config,
                                                       KafkaInputOptions options,
                                                       kafka::LogSink log) {
    const std::size_t share_kilobytes =
        std::max(kBufferKilobytesMin,
                 options.buffer_bytes / 1024 / std::max<std::size_t>(options.partitions, 1));
    const std::size_t fetch_bytes = std::max<std::size_t>(share_kilobytes * 1024 / 4, 1U << 20U);
    using enum Property::Force;
    const std::vector<Property> properties{
        {"isolation.level", "read_committed", Fixed},
        {"auto.offset.reset", "error", Fixed},
        {"enable.partition.eof", "true", Fixed},
        {"fetch.wait.max.ms", std::to_string(options.fetch_wait.count()), Fixed},
        {"fetch.error.backoff.ms", "100", Default},
        {"queued.min.messages", std::to_string(kRecordsMin), Default},
        {"queued.max.messages.kbytes", std::to_string(share_kilobytes), Default},
        {"max.partition.fetch.bytes", std::to_string(fetch_bytes), Default},
    };
    auto client = Client::create(kafka::Kind::Consumer, config, properties, std::move(log));
    if (!client) {
        return tl::unexpected(client.error());
    }
    return std::unique_ptr<KafkaInput>(new KafkaInput(std::move(*client)));
}

std::unique_ptr<InputStream> KafkaInput::open(const std::string& topic, PartitionId partition,
                                              std::function<void()> wake) {
    return std::make_unique<Stream>(client_, topic, partition, std::move(wake));
}

}  // namespace postlane
