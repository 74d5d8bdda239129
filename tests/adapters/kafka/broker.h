// The real broker these tests share, and what they need around it.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "adapters/kafka/client.h"
#include "postlane/config.h"
#include "postlane/ports/input_stream.h"
#include "postlane/types.h"

namespace postlane::test {

// Starts the node unless it runs. Under ctest a fixture does that; by hand, main() stops it again.
const std::string& bootstrap();
void node(const std::string& command);  // kafka_node.py's kill, start, stop
void signal_node(int number);           // SIGSTOP, SIGCONT

// Settings with topics of their own, so that tests do not meet.
Config fresh_config();
// Those topics, made with one replica.
void make_topics(const Config& config, PartitionId partitions = 1);
// fresh_config() and make_topics().
Config config_with_topics(PartitionId partitions = 1);

kafka::LogSink quiet();

// Writes records through a plain or a transactional producer, bypassing what is tested.
class Writer {
public:
    explicit Writer(const Config& config, const std::string& transactional_id = "");
    ~Writer();
    void begin();
    void write(const std::string& topic, PartitionId partition, const std::string& key,
               const std::string& value);
    void flush();
    void commit();
    void abort();

private:
    std::unique_ptr<kafka::Client> client_;
};

// Calls `step` until `done` says so or ten seconds have passed; returns done's last answer.
bool eventually(const std::function<void()>& step, const std::function<bool()>& done,
                Millis within = Millis(10'000));

// What a stream delivers until it has `count` records, or the time is up.
std::vector<InputRecord> take(InputStream& stream, std::size_t count);

}  // namespace postlane::test
