// Producing events from the command line and other tools: idempotent, acks=all, partitioned like
// every other producer of the topic.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/kafka/client.h"
#include "postlane/config.h"
#include "postlane/error.h"
#include "postlane/types.h"

namespace postlane {

struct NewRecord {
    std::string topic;
    std::optional<PartitionId> partition;  // absent: the configured partitioner decides by the key
    std::optional<std::string> key;
    std::optional<std::string> value;
    std::vector<Header> headers;
    std::uint64_t tag = 0;  // comes back in the Delivery
};

struct Delivery {
    std::uint64_t tag = 0;
    PartitionId partition = -1;
    Offset offset = -1;
    std::optional<Error> error;  // Rejected: this record can never be written
};

// Used by one thread.
class Producer {
public:
    static Result<std::unique_ptr<Producer>> create(const Config& config, kafka::LogSink log,
                                                    Millis delivery_timeout = Millis(30'000));

    // Queues a record; blocks while the local queue is full. An error means that it was not queued,
    // so no Delivery will come for it.
    [[nodiscard]] Result<void> send(const NewRecord& record);
    // What has been delivered, or has failed, since the last call; waits at most `timeout` for it.
    [[nodiscard]] std::vector<Delivery> poll(Millis timeout);
    // Waits for every record sent so far; their deliveries come from poll(). Unavailable if some
    // are still under way after `timeout`.
    [[nodiscard]] Result<void> flush(Millis timeout);

private:
    explicit Producer(Millis delivery_timeout) : delivery_timeout_(delivery_timeout) {}

    Millis delivery_timeout_;
    std::vector<Delivery> deliveries_;
    std::unique_ptr<kafka::Client> client_;  // last: its callbacks use the members above
};

}  // namespace postlane
