// Fills a topic with send events for the benchmark: three-step sequences interleaved over the
// recipients, uniform or Zipf, as fast as it goes or at a given rate.
//
// With --rate it is an open loop: event i is due at start + i / rate whatever happens to the events
// before it, and metadata.tag holds that due time in microseconds since 1970, so that the time from
// produce to wire can be read from the sandbox's record without hiding the producer's own delays.
#include <fmt/format.h>
#include <librdkafka/rdkafka.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <iterator>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

constexpr std::uint64_t kSteps = 3;

struct Options {
    std::string bootstrap = "127.0.0.1:9092";
    std::string topic = "postlane.sends";
    std::string run = "run";  // part of every id: two loads with the same one are duplicates
    std::uint64_t sends = 100'000;
    std::uint64_t recipients = 0;  // 0: sends / 3
    std::uint64_t window = 10'000;
    std::size_t bytes = 600;
    double zipf = 0;
    double rate = 0;
    std::uint64_t seed = 1;
};

std::int64_t wall_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

// Whose turn it is. Uniform: windows of recipients, each passed over once per step, so that a
// recipient's steps lie a window apart. Zipf: drawn by rank.
class Order {
public:
    explicit Order(const Options& options)
        : recipients_(options.recipients), window_(std::min(options.window, options.recipients)),
          random_(options.seed) {
        double total = 0;
        for (std::uint64_t rank = 1; options.zipf > 0 && rank <= recipients_; ++rank) {
            total += std::pow(static_cast<double>(rank), -options.zipf);
            cumulated_.push_back(total);
        }
    }

    std::uint64_t next() {
        if (!cumulated_.empty()) {
            std::uniform_real_distribution<double> uniform(0, cumulated_.back());
            const auto found =
                std::upper_bound(cumulated_.begin(), cumulated_.end() - 1, uniform(random_));
            return static_cast<std::uint64_t>(found - cumulated_.begin());
        }
        const std::uint64_t start = window_start_;
        const std::uint64_t size = std::min(window_, recipients_ - start);
        const std::uint64_t recipient = start + position_ % size;
        if (++position_ == size * kSteps) {
            position_ = 0;
            window_start_ = start + size < recipients_ ? start + size : 0;
        }
        return recipient;
    }

private:
    std::uint64_t recipients_;
    std::uint64_t window_;
    std::uint64_t window_start_ = 0;
    std::uint64_t position_ = 0;
    std::mt19937_64 random_;
    std::vector<double> cumulated_;
};

class Load {
public:
    explicit Load(const Options& options)
        : options_(options), order_(options), sent_to_(options.recipients) {
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        set(conf, "bootstrap.servers", options.bootstrap);
        set(conf, "acks", "all");
        set(conf, "partitioner", "murmur2_random");
        // The open loop is the Java client's producer with its defaults (linger.ms by KIP-1030). librdkafka's own
        // default of a million requests in flight never fills a batch: a slow broker would be flooded with requests
        // of one event each, and the wait for them be taken for postlane's.
        set(conf, "linger.ms", options.rate > 0 ? "5" : "20");
        set(conf, "max.in.flight.requests.per.connection", options.rate > 0 ? "5" : "1000000");
        set(conf, "batch.size", "1000000");
        set(conf, "queue.buffering.max.messages", "200000");
        rd_kafka_conf_set_opaque(conf, this);
        rd_kafka_conf_set_dr_msg_cb(conf, &Load::on_delivery);
        std::array<char, 512> problem{};
        producer_ = rd_kafka_new(RD_KAFKA_PRODUCER, conf, problem.data(), problem.size());
        if (producer_ == nullptr) {
            throw std::runtime_error(problem.data());
        }
        topic_ = rd_kafka_topic_new(producer_, options.topic.c_str(), nullptr);
    }

    ~Load() {
        rd_kafka_topic_destroy(topic_);
        rd_kafka_destroy(producer_);
    }
    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    void run() {
        const auto start = std::chrono::steady_clock::now();
        const std::int64_t start_us = wall_us();
        for (std::uint64_t i = 0; i < options_.sends; ++i) {
            std::int64_t due_us = wall_us();
            if (options_.rate > 0) {
                due_us = start_us +
                         static_cast<std::int64_t>(static_cast<double>(i) * 1e6 / options_.rate);
                wait_until(due_us);
            }
            produce(due_us);
        }
        while (rd_kafka_outq_len(producer_) > 0) {
            rd_kafka_poll(producer_, 100);
        }
        const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
        fmt::print(R"({{"produced":{},"failed":{},"seconds":{:.3f}}})"
                   "\n",
                   options_.sends - failed_, failed_, took.count());
    }

    [[nodiscard]] bool failed() const { return failed_ > 0; }

private:
    static void set(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
        std::array<char, 512> problem{};
        if (rd_kafka_conf_set(conf, name, value.c_str(), problem.data(), problem.size()) !=
            RD_KAFKA_CONF_OK) {
            throw std::runtime_error(problem.data());
        }
    }

    static void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            ++static_cast<Load*>(opaque)->failed_;
        }
    }

    void wait_until(std::int64_t due_us) {
        rd_kafka_poll(producer_, 0);
        for (std::int64_t left_us = due_us - wall_us(); left_us > 0; left_us = due_us - wall_us()) {
            ::usleep(static_cast<useconds_t>(std::min<std::int64_t>(left_us, 1000)));
        }
    }

    void produce(std::int64_t due_us) {
        const std::uint64_t recipient = order_.next();
        const std::uint64_t nth = sent_to_.at(recipient)++;
        const std::string key = fmt::format("{}-user-{}", options_.run, recipient);
        event_.clear();
        fmt::format_to(
            std::back_inserter(event_),
            R"({{"message_id":"{0}-{1}","recipient_id":"{0}","campaign_id":"{2}",)"
            R"("to":{{"email":"{0}@example.com","name":"Reader {3}"}},"category":"marketing",)"
            R"("sequence":{{"id":"drip-{4}","step":{5}}},)"
            R"("metadata":{{"tag":"{6}.{3}.{1}"}},)"
            R"("content":{{"subject":"Step {5} of your course","text":")",
            key, nth, options_.run, recipient, nth / kSteps, nth % kSteps + 1, due_us);
        const std::size_t rest = event_.size() + 3;
        event_.append(options_.bytes > rest ? options_.bytes - rest : 0, 'x');
        event_ += "\"}}";
        while (true) {
            if (rd_kafka_produce(topic_, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY, event_.data(),
                                 event_.size(), key.data(), key.size(), nullptr) == 0) {
                return;
            }
            const auto error = rd_kafka_last_error();
            if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                throw std::runtime_error(fmt::format("cannot produce to {}: {}", options_.topic,
                                                     rd_kafka_err2str(error)));
            }
            rd_kafka_poll(producer_, 100);
        }
    }

    const Options& options_;
    Order order_;
    std::vector<std::uint32_t> sent_to_;
    rd_kafka_t* producer_ = nullptr;
    rd_kafka_topic_t* topic_ = nullptr;
    std::string event_;
    std::uint64_t failed_ = 0;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Fills a topic with send events.", "postlane-bench-load"};
    app.add_option("--bootstrap", options.bootstrap)->capture_default_str();
    app.add_option("--topic", options.topic)->capture_default_str();
    app.add_option("--run", options.run, "part of every id")->capture_default_str();
    app.add_option("--sends", options.sends)->capture_default_str();
    app.add_option("--recipients", options.recipients, "default: a third of the sends");
    app.add_option("--window", options.window, "recipients between two steps of one of them")
        ->capture_default_str();
    app.add_option("--bytes", options.bytes, "size of an event")->capture_default_str();
    app.add_option("--zipf", options.zipf, "exponent; 0: all recipients alike")
        ->capture_default_str();
    app.add_option("--rate", options.rate, "events per second, open loop; 0: as fast as it goes")
        ->capture_default_str();
    app.add_option("--seed", options.seed)->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    if (options.recipients == 0) {
        options.recipients = std::max<std::uint64_t>(options.sends / kSteps, 1);
    }
    options.window = std::max<std::uint64_t>(options.window, 1);
    try {
        Load load(options);
        load.run();
        return load.failed() ? 69 : 0;
    } catch (const std::exception& error) {
        fmt::print(stderr, "postlane-bench-load: {}\n", error.what());
        return 69;
    }
}
