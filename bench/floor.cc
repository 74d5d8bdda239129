// The floor of the benchmark: consumes and posts, and promises nothing. No program that does more
// than this on librdkafka and libcurl can be faster; how near postlane comes is its price.
//
// One thread drives several multi handles over one epoll set: a multi handle degrades beyond some
// 256 transfers. Stops after --sends answers and prints one JSON object.
#include <curl/curl.h>
#include <fmt/format.h>
#include <librdkafka/rdkafka.h>
#include <simdjson.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

struct Options {
    std::string bootstrap = "127.0.0.1:9092";
    std::string topic = "postlane.sends";
    std::string url = "http://127.0.0.1:8025/send";
    std::uint64_t sends = 100'000;
    std::size_t in_flight = 512;
    std::size_t per_handle = 256;
};

double cpu_seconds() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

long max_rss_kb() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

// Where an epoll event leads: to libcurl if `multi` is set, else to the Kafka queue.
struct Watched {
    CURLM* multi;
    int socket;
};

class Consumer {
public:
    Consumer(const Options& options, int wake_up) {
        rd_kafka_conf_t* conf = rd_kafka_conf_new();
        set(conf, "bootstrap.servers", options.bootstrap);
        set(conf, "group.id", "postlane-bench-floor");  // wanted by the client, never joined
        set(conf, "enable.auto.commit", "false");
        set(conf, "queued.max.messages.kbytes", "16384");
        std::array<char, 512> problem{};
        consumer_ = rd_kafka_new(RD_KAFKA_CONSUMER, conf, problem.data(), problem.size());
        if (consumer_ == nullptr) {
            throw std::runtime_error(problem.data());
        }
        assign_all(options.topic);
        queue_ = rd_kafka_queue_get_consumer(consumer_);
        static constexpr std::uint64_t kOne = 1;
        rd_kafka_queue_io_event_enable(queue_, wake_up, &kOne, sizeof kOne);
    }

    ~Consumer() {
        rd_kafka_queue_destroy(queue_);
        rd_kafka_consumer_close(consumer_);
        rd_kafka_destroy(consumer_);
    }
    Consumer(const Consumer&) = delete;
    Consumer& operator=(const Consumer&) = delete;

    // The caller destroys the messages.
    std::size_t take(rd_kafka_message_t** messages, std::size_t most) {
        const auto taken = rd_kafka_consume_batch_queue(queue_, 0, messages, most);
        return static_cast<std::size_t>(std::max<ssize_t>(taken, 0));
    }

private:
    static void set(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
        std::array<char, 512> problem{};
        if (rd_kafka_conf_set(conf, name, value.c_str(), problem.data(), problem.size()) !=
            RD_KAFKA_CONF_OK) {
            throw std::runtime_error(problem.data());
        }
    }

    void assign_all(const std::string& topic) {
        rd_kafka_topic_t* handle = rd_kafka_topic_new(consumer_, topic.c_str(), nullptr);
        const struct rd_kafka_metadata* metadata = nullptr;
        const auto error = rd_kafka_metadata(consumer_, 0, handle, &metadata, 10'000);
        rd_kafka_topic_destroy(handle);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR) {
            throw std::runtime_error(
                fmt::format("cannot read the topic {}: {}", topic, rd_kafka_err2str(error)));
        }
        rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(8);
        for (int i = 0; i < metadata->topics[0].partition_cnt; ++i) {
            rd_kafka_topic_partition_list_add(list, topic.c_str(), i)->offset =
                RD_KAFKA_OFFSET_BEGINNING;
        }
        rd_kafka_assign(consumer_, list);
        rd_kafka_topic_partition_list_destroy(list);
        rd_kafka_metadata_destroy(metadata);
    }

    rd_kafka_t* consumer_ = nullptr;
    rd_kafka_queue_t* queue_ = nullptr;
};

class Floor {
public:
    explicit Floor(const Options& options)
        : options_(options), epoll_(epoll_create1(EPOLL_CLOEXEC)),
          wake_up_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)), consumer_(options, wake_up_) {
        kafka_watch_ = {.multi = nullptr, .socket = wake_up_};
        epoll_event event{.events = EPOLLIN, .data = {.ptr = &kafka_watch_}};
        epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_up_, &event);

        headers_ = curl_slist_append(headers_, "Content-Type: application/json");
        headers_ = curl_slist_append(headers_, "Expect:");
        const std::size_t handles =
            (options.in_flight + options.per_handle - 1) / options.per_handle;
        for (std::size_t i = 0; i < handles; ++i) {
            multis_.push_back(make_multi());
        }
        for (std::size_t i = 0; i < options.in_flight; ++i) {
            transfers_.push_back(make_transfer(multis_.at(i % handles)->handle));
            free_.push_back(transfers_.back().get());
        }
    }

    ~Floor() {
        for (const auto& transfer : transfers_) {
            if (transfer->message != nullptr) {
                curl_multi_remove_handle(transfer->multi, transfer->easy);
                rd_kafka_message_destroy(transfer->message);
            }
            curl_easy_cleanup(transfer->easy);
        }
        for (const auto& multi : multis_) {
            curl_multi_cleanup(multi->handle);
        }
        curl_slist_free_all(headers_);
        ::close(wake_up_);
        ::close(epoll_);
    }
    Floor(const Floor&) = delete;
    Floor& operator=(const Floor&) = delete;

    void run() {
        while (answered_ < options_.sends) {
            start_transfers();
            wait_for_events();
            fire_timeouts();
            collect_answers();
        }
        finished_at_ = Clock::now();
    }

    void report() const {
        const double seconds =
            std::chrono::duration<double>(finished_at_ - started_at_.value_or(finished_at_))
                .count();
        const auto sends = static_cast<double>(answered_);
        fmt::print(R"({{"sends":{},"failed":{},"seconds":{:.3f},"sends_per_s":{:.0f},)"
                   R"("cpu_us_per_send":{:.2f},"max_rss_mb":{:.1f}}})"
                   "\n",
                   answered_, failed_, seconds, sends / seconds, cpu_seconds() * 1e6 / sends,
                   static_cast<double>(max_rss_kb()) / 1024);
    }

private:
    struct Multi {
        CURLM* handle;
        Floor* owner;
        std::optional<Clock::time_point> timeout;
    };

    struct Transfer {
        CURL* easy;
        CURLM* multi;
        rd_kafka_message_t* message;  // owned while in flight; its value is the body
    };

    std::unique_ptr<Multi> make_multi() {
        auto multi = std::make_unique<Multi>(
            Multi{.handle = curl_multi_init(), .owner = this, .timeout = {}});
        curl_multi_setopt(multi->handle, CURLMOPT_SOCKETFUNCTION, &Floor::on_socket);
        curl_multi_setopt(multi->handle, CURLMOPT_SOCKETDATA, multi.get());
        curl_multi_setopt(multi->handle, CURLMOPT_TIMERFUNCTION, &Floor::on_timer);
        curl_multi_setopt(multi->handle, CURLMOPT_TIMERDATA, multi.get());
        curl_multi_setopt(multi->handle, CURLMOPT_MAXCONNECTS,
                          static_cast<long>(options_.per_handle));
        return multi;
    }

    std::unique_ptr<Transfer> make_transfer(CURLM* multi) {
        auto transfer = std::make_unique<Transfer>(
            Transfer{.easy = curl_easy_init(), .multi = multi, .message = nullptr});
        CURL* easy = transfer->easy;
        curl_easy_setopt(easy, CURLOPT_URL, options_.url.c_str());
        curl_easy_setopt(easy, CURLOPT_HTTPHEADER, headers_);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &Floor::ignore_body);
        curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer.get());
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_TCP_NODELAY, 1L);
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, 30'000L);
        return transfer;
    }

    static std::size_t ignore_body(char*, std::size_t size, std::size_t count, void*) {
        return size * count;
    }

    static int on_socket(CURL*, curl_socket_t socket, int what, void* data, void* watched) {
        auto* multi = static_cast<Multi*>(data);
        const int epoll = multi->owner->epoll_;
        auto* watch = static_cast<Watched*>(watched);
        if (what == CURL_POLL_REMOVE) {
            epoll_ctl(epoll, EPOLL_CTL_DEL, socket, nullptr);
            multi->owner->retired_.emplace_back(watch);
            return 0;
        }
        const bool is_new = watch == nullptr;
        if (is_new) {
            watch = new Watched{.multi = multi->handle, .socket = socket};
            curl_multi_assign(multi->handle, socket, watch);
        }
        epoll_event event{.events = 0, .data = {.ptr = watch}};
        event.events |= (what & CURL_POLL_IN) != 0 ? static_cast<std::uint32_t>(EPOLLIN) : 0;
        event.events |= (what & CURL_POLL_OUT) != 0 ? static_cast<std::uint32_t>(EPOLLOUT) : 0;
        epoll_ctl(epoll, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
        return 0;
    }

    static int on_timer(CURLM*, long timeout_ms, void* data) {
        auto* multi = static_cast<Multi*>(data);
        multi->timeout = std::nullopt;
        if (timeout_ms >= 0) {
            multi->timeout = Clock::now() + std::chrono::milliseconds(timeout_ms);
        }
        return 0;
    }

    void start_transfers() {
        const std::uint64_t wanted = options_.sends - started_;
        const std::size_t most = std::min<std::uint64_t>(free_.size(), wanted);
        if (most == 0) {
            return;
        }
        batch_.resize(most);
        const std::size_t taken = consumer_.take(batch_.data(), most);
        for (std::size_t i = 0; i < taken; ++i) {
            start(batch_.at(i));
        }
    }

    void start(rd_kafka_message_t* message) {
        const std::string_view value{static_cast<const char*>(message->payload), message->len};
        std::string_view email;
        if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR ||
            parser_.parse(value.data(), value.size())["to"]["email"].get(email) !=
                simdjson::SUCCESS) {
            rd_kafka_message_destroy(message);
            return;
        }
        if (!started_at_) {
            started_at_ = Clock::now();
        }
        Transfer* transfer = free_.back();
        free_.pop_back();
        transfer->message = message;
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE, static_cast<long>(value.size()));
        curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, value.data());
        curl_multi_add_handle(transfer->multi, transfer->easy);
        ++started_;
    }

    [[nodiscard]] int epoll_timeout_ms() const {
        std::optional<Clock::time_point> first;
        for (const auto& multi : multis_) {
            if (multi->timeout && (!first || *multi->timeout < *first)) {
                first = multi->timeout;
            }
        }
        if (!first) {
            return 1000;
        }
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(*first - Clock::now()).count();
        return static_cast<int>(std::clamp<std::int64_t>(left, 0, 1000));
    }

    void wait_for_events() {
        std::array<epoll_event, 256> events{};
        const int count =
            epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), epoll_timeout_ms());
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events.at(static_cast<std::size_t>(i));
            const auto* watch = static_cast<const Watched*>(event.data.ptr);
            if (watch->multi == nullptr) {
                std::uint64_t ignored = 0;
                [[maybe_unused]] const ssize_t n = ::read(wake_up_, &ignored, sizeof ignored);
                continue;
            }
            int what = 0;
            what |= (event.events & EPOLLIN) != 0 ? CURL_CSELECT_IN : 0;
            what |= (event.events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
            what |= (event.events & (EPOLLERR | EPOLLHUP)) != 0 ? CURL_CSELECT_ERR : 0;
            int running = 0;
            curl_multi_socket_action(watch->multi, watch->socket, what, &running);
        }
        retired_.clear();
    }

    void fire_timeouts() {
        const auto now = Clock::now();
        for (const auto& multi : multis_) {
            if (multi->timeout && *multi->timeout <= now) {
                multi->timeout = std::nullopt;
                int running = 0;
                curl_multi_socket_action(multi->handle, CURL_SOCKET_TIMEOUT, 0, &running);
            }
        }
    }

    void collect_answers() {
        for (const auto& multi : multis_) {
            int left = 0;
            while (const CURLMsg* done = curl_multi_info_read(multi->handle, &left)) {
                Transfer* transfer = nullptr;
                long status = 0;
                curl_easy_getinfo(done->easy_handle, CURLINFO_PRIVATE, &transfer);
                curl_easy_getinfo(done->easy_handle, CURLINFO_RESPONSE_CODE, &status);
                failed_ += done->data.result == CURLE_OK && status / 100 == 2 ? 0U : 1U;
                curl_multi_remove_handle(transfer->multi, transfer->easy);
                rd_kafka_message_destroy(transfer->message);
                transfer->message = nullptr;
                free_.push_back(transfer);
                ++answered_;
            }
        }
    }

    const Options& options_;
    int epoll_;
    int wake_up_;
    Consumer consumer_;
    Watched kafka_watch_{};
    curl_slist* headers_ = nullptr;
    std::vector<std::unique_ptr<Multi>> multis_;
    std::vector<std::unique_ptr<Transfer>> transfers_;
    std::vector<Transfer*> free_;
    std::vector<std::unique_ptr<Watched>> retired_;  // freed after the events that may name them
    std::vector<rd_kafka_message_t*> batch_;
    simdjson::dom::parser parser_;
    std::uint64_t started_ = 0;
    std::uint64_t answered_ = 0;
    std::uint64_t failed_ = 0;
    std::optional<Clock::time_point> started_at_;
    Clock::time_point finished_at_;
};

}  // namespace

int main(int argc, char** argv) {
    Options options;
    CLI::App app{"Consumes send events and posts them, promising nothing.", "postlane-bench-floor"};
    app.add_option("--bootstrap", options.bootstrap)->capture_default_str();
    app.add_option("--topic", options.topic)->capture_default_str();
    app.add_option("--url", options.url)->capture_default_str();
    app.add_option("--sends", options.sends, "stop after so many answers")->capture_default_str();
    app.add_option("--in-flight", options.in_flight)->capture_default_str();
    app.add_option("--per-handle", options.per_handle, "transfers per multi handle")
        ->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    curl_global_init(CURL_GLOBAL_DEFAULT);
    try {
        Floor floor(options);
        floor.run();
        floor.report();
    } catch (const std::exception& error) {
        fmt::print(stderr, "postlane-bench-floor: {}\n", error.what());
        return 69;
    }
    return 0;
}
