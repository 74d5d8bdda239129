// librdkafka's messages and postlane's records.
#pragma once

#include <librdkafka/rdkafka.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postlane/types.h"

namespace postlane::kafka {

InputRecord to_input_record(const rd_kafka_message_t& message);

// The message's time in Kafka (creation or append, as the topic says); the epoch if it has none.
Instant timestamp_of(const rd_kafka_message_t& message);

// A record on its way out. Everything is copied by produce().
struct Outgoing {
    rd_kafka_topic_t* topic;
    PartitionId partition;  // RD_KAFKA_PARTITION_UA: the producer's partitioner decides
    const std::optional<std::string>& key;
    const std::optional<std::string>& value;
    const std::vector<Header>& headers;
    std::optional<Instant> timestamp;  // absent: now
    std::uintptr_t opaque;             // comes back in the delivery report's _private
};

// Queues the record; never blocks (_QUEUE_FULL: serve the handle, then try again).
rd_kafka_resp_err_t produce(rd_kafka_t* producer, const Outgoing& record);

}  // namespace postlane::kafka
