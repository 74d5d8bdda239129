// Fills an empty ledger topic with what a compacted one holds: a genesis record and the input offsets
// for each partition, and per recipient three ended messages and the row of their sequence. For
// measuring how fast a ledger is read back.
#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <CLI/CLI.hpp>
#include <array>
#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "codec/ledger_codec.h"

namespace {

using namespace postlane;

constexpr Step kSteps = 3;

struct Options {
    std::string bootstrap = "127.0.0.1:9092";
    std::string topic = "postlane.ledger";
    std::int32_t partitions = 8;
    std::uint64_t entries = 2'000'000;
};

class Filler {
public:
    explicit Filler(const Options& options) : options_(options) {
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        for (const auto& [name, value] : std::initializer_list<std::pair<const char*, std::string>>{
                 {"bootstrap.servers", options.bootstrap},
                 {"enable.idempotence", "true"},  // so that genesis stays first
                 {"linger.ms", "20"},
                 {"batch.size", "500000"},
                 {"queue.buffering.max.messages", "500000"}}) {
            std::array<char, 512> problem{};
            if (rd_kafka_conf_set(conf, name, value.c_str(), problem.data(), problem.size()) !=
                RD_KAFKA_CONF_OK) {
                throw std::runtime_error(problem.data());
            }
        }
        rd_kafka_conf_set_opaque(conf, this);
        rd_kafka_conf_set_dr_msg_cb(conf, &Filler::on_delivery);
        std::array<char, 512> problem{};
        producer_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem.data(), problem.size());
        if (producer_ == nullptr) {
            throw std::runtime_error(problem.data());
        }
        topic_ = rd_kafka_topic_new(producer_, options.topic.c_str(), nullptr);
    }

    ~Filler() {
        rd_kafka_topic_destroy(topic_);
        rd_kafka_destroy(producer_);
    }
    Filler(const Filler&) = delete;
    Filler& operator=(const Filler&) = delete;

    void run() {
        for (std::int32_t partition = 0; partition < options_.partitions; ++partition) {
            GenesisRow genesis;
            genesis.uuid.fill(static_cast<std::uint8_t>(partition + 1));
            genesis.partition_count = options_.partitions;
            genesis.partitioner = "murmur2";
            produce(partition, ledger::genesis_key(), ledger::encode(genesis));
            produce(partition, ledger::offsets_key(), ledger::encode(OffsetsRow{}));
        }
        for (std::uint64_t number = 0; produced_ < options_.entries; ++number) {
            recipient(number);
        }
        while (rd_kafka_outq_len(producer_) > 0) {
            rd_kafka_poll(producer_, 100);
        }
        fmt::print(R"({{"entries":{},"failed":{}}})"
                   "\n",
                   produced_, failed_);
    }

    [[nodiscard]] bool failed() const { return failed_ > 0; }

private:
    static void on_delivery(rd_kafka_t* /*producer*/, const rd_kafka_message_t* message,
                            void* opaque) {
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            ++static_cast<Filler*>(opaque)->failed_;
        }
    }

    // The ids are scattered, as those of real recipients are: the topic is in no order of keys.
    void recipient(std::uint64_t number) {
        const std::uint64_t scattered = number * 0x9E37'79B9'7F4A'7C15ULL;
        const RecipientId who(fmt::format("user-{:016x}", scattered));
        const auto partition =
            static_cast<std::int32_t>(number % static_cast<std::uint64_t>(options_.partitions));
        const Instant now = std::chrono::time_point_cast<Millis>(std::chrono::system_clock::now());
        const Instant forgotten = now + std::chrono::hours{24 * 30};
        for (Step step = 1; step <= kSteps; ++step) {
            MessageRow row;
            row.state = MessageState::Sent;
            row.reason = Reason::Accepted;
            row.body_hash.fill(static_cast<std::uint8_t>(scattered >> (step * 8U)));
            row.input_offset = static_cast<Offset>(number * kSteps + step);
            row.sequence = SequenceRef{"onboarding", step};
            row.category = "marketing";
            row.route = "default";
            row.provider = "main";
            row.provider_message_id = fmt::format("sb-{:016x}-{}", scattered, step);
            row.attempts = 1;
            row.received_at = now;
            row.decided_at = now;
            row.row_expires_at = forgotten;
            produce(
                partition,
                ledger::message_key(who, MessageId(fmt::format("sequence:onboarding:{}", step))),
                ledger::encode(row));
        }
        SequenceRow sequence;
        sequence.expected = kSteps + 1;
        sequence.known_through = kSteps;
        sequence.last_end_at = now;
        sequence.row_expires_at = forgotten;
        produce(partition, ledger::sequence_key(who, "onboarding"), ledger::encode(sequence));
    }

    void produce(std::int32_t partition, const std::string& key, std::string value) {
        while (rd_kafka_produce(topic_, partition, RD_KAFKA_MSG_F_COPY, value.data(), value.size(),
                                key.data(), key.size(), nullptr) != 0) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                throw std::runtime_error(fmt::format("cannot produce to {}: {}", options_.topic,
                                                     rd_kafka_err2str(rd_kafka_last_error())));
            }
            rd_kafka_poll(producer_, 100);
        }
        ++produced_;
        if (produced_ % 1000 == 0) {
            rd_kafka_poll(producer_, 0);
        }
    }

    const Options& options_;
    rd_kafka_t* producer_ = nullptr;
    rd_kafka_topic_t* topic_ = nullptr;
    std::uint64_t produced_ = 0;
    std::uint64_t failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Fills an empty ledger topic.", "postlane-bench-ledger"};
    app.add_option("--bootstrap", options.bootstrap)->capture_default_str();
    app.add_option("--topic", options.topic)->capture_default_str();
    app.add_option("--partitions", options.partitions)->capture_default_str();
    app.add_option("--entries", options.entries)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    try {
        Filler filler(options);
        filler.run();
        return filler.failed() ? 69 : 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "postlane-bench-ledger: {}\n", error.what());
        return 69;
    }
}
