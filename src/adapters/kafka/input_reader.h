// Input topics, read without a consumer group from exact offsets.
//
// One KafkaInput is one librdkafka handle, shared by all partitions of the process; each partition
// has its own stream with its own queue, started, moved and ended by the partition's thread.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "adapters/kafka/client.h"
#include "postlane/config.h"
#include "postlane/error.h"
#include "postlane/ports/input_stream.h"
#include "postlane/types.h"

namespace postlane {

struct KafkaInputOptions {
    // How long the broker holds an empty fetch. It is also how long a partition that is started, or
    // whose buffer has room again, may wait until it takes part in the next fetch.
    Millis fetch_wait{100};
    // What all partitions together may buffer; each one's share is this by their number.
    std::size_t buffer_bytes = 64U << 20U;
    std::size_t partitions = 1;

    // Suppressions decide how soon the view is fresh: short waits, small buffers.
    static KafkaInputOptions suppressions(std::size_t partitions) {
        return {.fetch_wait = Millis(25), .buffer_bytes = 16U << 20U, .partitions = partitions};
    }
    static KafkaInputOptions sends(std::size_t partitions) {
        return {.fetch_wait = Millis(100), .buffer_bytes = 64U << 20U, .partitions = partitions};
    }
};

// Thread-safe. Streams keep what they need of it alive.
class KafkaInput {
public:
    static Result<std::unique_ptr<KafkaInput>> create(const Config& config,
                                                      KafkaInputOptions options,
                                                      kafka::LogSink log);

    // `wake` is called by a thread of librdkafka when the stream goes from empty to not empty; it
    // must be quick and must not call the stream. So poll until nothing comes before waiting for
    // it. It is never called again once the stream is gone. At most one stream of a partition at a
    // time: end the old one first.
    [[nodiscard]] std::unique_ptr<InputStream> open(const std::string& topic, PartitionId partition,
                                                    std::function<void()> wake);

private:
    explicit KafkaInput(std::shared_ptr<kafka::Client> client) : client_(std::move(client)) {}

    std::shared_ptr<kafka::Client> client_;
};

}  // namespace postlane
