// Owners of what librdkafka's C API hands out. A leaked partition list or message keeps
// rd_kafka_destroy waiting for ever, so nothing of it is ever held by a bare pointer.
#pragma once

#include <librdkafka/rdkafka.h>

#include <memory>
#include <string>

#include "postlane/types.h"

namespace postlane::kafka {

struct Free {
    void operator()(rd_kafka_conf_t* conf) const { rd_kafka_conf_destroy(conf); }
    void operator()(rd_kafka_topic_partition_list_t* list) const {
        rd_kafka_topic_partition_list_destroy(list);
    }
    void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
    void operator()(rd_kafka_queue_t* queue) const { rd_kafka_queue_destroy(queue); }
    void operator()(rd_kafka_event_t* event) const { rd_kafka_event_destroy(event); }
    void operator()(rd_kafka_error_t* error) const { rd_kafka_error_destroy(error); }
    void operator()(rd_kafka_headers_t* headers) const { rd_kafka_headers_destroy(headers); }
    void operator()(const rd_kafka_metadata_t* metadata) const {
        rd_kafka_metadata_destroy(metadata);
    }
    void operator()(rd_kafka_NewTopic_t* topic) const { rd_kafka_NewTopic_destroy(topic); }
    void operator()(rd_kafka_ConfigResource_t* resource) const {
        rd_kafka_ConfigResource_destroy(resource);
    }
    void operator()(rd_kafka_AdminOptions_t* options) const {
        rd_kafka_AdminOptions_destroy(options);
    }
};

using Conf = std::unique_ptr<rd_kafka_conf_t, Free>;
using PartitionList = std::unique_ptr<rd_kafka_topic_partition_list_t, Free>;
using Message = std::unique_ptr<rd_kafka_message_t, Free>;
using Queue = std::unique_ptr<rd_kafka_queue_t, Free>;
using Event = std::unique_ptr<rd_kafka_event_t, Free>;
using KafkaError = std::unique_ptr<rd_kafka_error_t, Free>;
using Headers = std::unique_ptr<rd_kafka_headers_t, Free>;
using Metadata = std::unique_ptr<const rd_kafka_metadata_t, Free>;
using NewTopic = std::unique_ptr<rd_kafka_NewTopic_t, Free>;
using ConfigResource = std::unique_ptr<rd_kafka_ConfigResource_t, Free>;
using AdminOptions = std::unique_ptr<rd_kafka_AdminOptions_t, Free>;

inline PartitionList partition_list(int capacity = 1) {
    return PartitionList(rd_kafka_topic_partition_list_new(capacity));
}

inline void add(rd_kafka_topic_partition_list_t& list, const std::string& topic,
                PartitionId partition, Offset offset) {
    rd_kafka_topic_partition_list_add(&list, topic.c_str(), partition)->offset = offset;
}

}  // namespace postlane::kafka
