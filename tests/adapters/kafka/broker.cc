#include "adapters/kafka/broker.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <mutex>

#include "adapters/kafka/handles.h"
#include "adapters/kafka/records.h"
#include "adapters/kafka/topology.h"

namespace postlane::test {
namespace {

std::string run(const std::string& command) {
    const std::string line =
        fmt::format("{} {} --dir {}", POSTLANE_KAFKA_NODE, command, POSTLANE_KAFKA_DIRECTORY);
    FILE* const pipe = popen(line.c_str(), "r");
    std::string output;
    std::array<char, 256> buffer{};
    while (pipe != nullptr && fgets(buffer.data(), buffer.size(), pipe) != nullptr) {
        output += buffer.data();
    }
    const int status = pipe == nullptr ? -1 : pclose(pipe);
    while (!output.empty() && output.back() == '\n') {
        output.pop_back();
    }
    return status == 0 ? output : "";
}

// Gives librdkafka's threads a moment without a busy loop.
void pause(Millis duration) {
    std::mutex mutex;
    std::condition_variable never;
    std::unique_lock lock(mutex);
    never.wait_for(lock, duration);
}

bool& started_here() {
    static bool started = false;
    return started;
}

std::vector<Config>& made() {
    static std::vector<Config> configs;
    return configs;
}

// A broker that was killed reads every log again when it starts, so tests leave none behind.
void delete_topics() {
    for (const Config& config : made()) {
        const auto& topics = config.topics;
        std::vector<rd_kafka_DeleteTopic_t*> names;
        for (const std::string& name :
             {topics.sends, topics.suppressions, topics.address_suppressions,
              topics.provider_events, topics.outcomes, topics.dead_letters, topics.ledger,
              topics.control}) {
            names.push_back(rd_kafka_DeleteTopic_new(name.c_str()));
        }
        const auto client =
            kafka::Client::create(kafka::Kind::Producer, config, {}, quiet()).value();
        const kafka::Queue queue(rd_kafka_queue_new(client->get()));
        rd_kafka_DeleteTopics(client->get(), names.data(), names.size(), nullptr, queue.get());
        const kafka::Event event(rd_kafka_queue_poll(queue.get(), 10'000));
        rd_kafka_DeleteTopic_destroy_array(names.data(), names.size());
    }
    made().clear();
}

void check(rd_kafka_error_t* error) {
    const kafka::KafkaError owned(error);
    ASSERT_EQ(error, nullptr) << rd_kafka_error_string(error);
}

}  // namespace

const std::string& bootstrap() {
    static const std::string address = [] {
        const std::string running = run("status");
        started_here() = running.empty();
        const std::string started = running.empty() ? run("start") : running;
        return started.substr(0, started.find(' '));
    }();
    return address;
}

void node(const std::string& command) {
    run(command);
}

void signal_node(int number) {
    std::ifstream file(std::string(POSTLANE_KAFKA_DIRECTORY) + "/node-1/pid");
    pid_t pid = 0;
    file >> pid;
    ASSERT_GT(pid, 0);
    kill(pid, number);
}

Config fresh_config() {
    static std::atomic<int> counter{0};
    const std::string prefix = fmt::format("t{}-{}.", getpid(), ++counter);
    Config config;
    config.kafka.bootstrap_servers = {bootstrap()};
    config.kafka.group_id = prefix + "group";
    config.kafka.require_durable_topics = false;
    config.kafka.session_timeout = Millis(6000);
    config.topics = {.sends = prefix + "sends",
                     .suppressions = prefix + "suppressions",
                     .address_suppressions = prefix + "address-suppressions",
                     .provider_events = prefix + "provider-events",
                     .outcomes = prefix + "outcomes",
                     .dead_letters = prefix + "dead-letters",
                     .ledger = prefix + "ledger",
                     .control = prefix + "control"};
    config.dispatch.max_payload_bytes = 921'600;
    config.dispatch.drain_timeout = Millis(20'000);
    return config;
}

void make_topics(const Config& config, PartitionId partitions) {
    made().push_back(config);
    const auto created = create_topics(config, partitions, 1, quiet());
    ASSERT_TRUE(created.has_value()) << created.error().detail;
}

Config config_with_topics(PartitionId partitions) {
    Config config = fresh_config();
    make_topics(config, partitions);
    return config;
}

kafka::LogSink quiet() {
    if (getenv("POSTLANE_TEST_LOG") == nullptr) {  // NOLINT(concurrency-mt-unsafe)
        return {};
    }
    return [](int level, std::string_view text) { fmt::print(stderr, "{} {}\n", level, text); };
}

Writer::Writer(const Config& config, const std::string& transactional_id) {
    std::vector<kafka::Property> properties{{"acks", "all"}};
    if (!transactional_id.empty()) {
        properties.push_back({"transactional.id", transactional_id});
        properties.push_back({"transaction.timeout.ms", "60000"});
    }
    auto client = kafka::Client::create(kafka::Kind::Producer, config, properties, quiet());
    client_ = std::move(client.value());
    if (!transactional_id.empty()) {
        check(rd_kafka_init_transactions(client_->get(), 10'000));
    }
}

Writer::~Writer() = default;

void Writer::begin() {
    check(rd_kafka_begin_transaction(client_->get()));
}

void Writer::write(const std::string& topic, PartitionId partition, const std::string& key,
                   const std::string& value) {
    const std::vector<Header> none;
    ASSERT_EQ(kafka::produce(client_->get(), {.topic = client_->topic(topic),
                                              .partition = partition,
                                              .key = key,
                                              .value = value,
                                              .headers = none,
                                              .timestamp = std::nullopt,
                                              .opaque = 0}),
              RD_KAFKA_RESP_ERR_NO_ERROR);
}

void Writer::flush() {
    ASSERT_EQ(rd_kafka_flush(client_->get(), 10'000), RD_KAFKA_RESP_ERR_NO_ERROR);
}

void Writer::commit() {
    check(rd_kafka_commit_transaction(client_->get(), 10'000));
}

void Writer::abort() {
    check(rd_kafka_abort_transaction(client_->get(), 10'000));
}

bool eventually(const std::function<void()>& step, const std::function<bool()>& done,
                Millis within) {
    const auto until = std::chrono::steady_clock::now() + within;
    while (true) {
        step();
        if (done()) {
            return true;
        }
        if (std::chrono::steady_clock::now() > until) {
            return false;
        }
        pause(Millis(5));
    }
}

std::vector<InputRecord> take(InputStream& stream, std::size_t count) {
    std::vector<InputRecord> records;
    eventually(
        [&] {
            const auto polled = stream.poll(records, count - records.size());
            ASSERT_TRUE(polled.has_value()) << polled.error().detail;
        },
        [&] { return records.size() >= count; });
    return records;
}

}  // namespace postlane::test

int main(int argc, char** argv) {
    testing::InitGoogleTest(&argc, argv);
    const int result = RUN_ALL_TESTS();
    postlane::test::delete_topics();
    if (postlane::test::started_here()) {
        postlane::test::node("stop");
    }
    return result;
}
