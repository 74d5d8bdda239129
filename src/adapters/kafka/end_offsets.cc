#include "adapters/kafka/end_offsets.h"

#include <fmt/format.h>

#include <span>
#include <utility>

#include "adapters/kafka/handles.h"

namespace postlane {

using kafka::Client;
using kafka::Property;

Result<std::unique_ptr<KafkaEndOffsets>> KafkaEndOffsets::create(const Config& config,
                                                                 PartitionId address_partitions,
                                                                 kafka::LogSink log,
                                                                 Millis timeout) {
    // read_uncommitted: the answer is then the high watermark, which covers every acknowledged
    // record; the last stable offset would leave out what stands behind an open transaction.
    const std::vector<Property> properties{{"isolation.level", "read_uncommitted"}};
    auto client = Client::create(kafka::Kind::Consumer, config, properties, std::move(log));
    if (!client) {
        return tl::unexpected(client.error());
    }
    return std::unique_ptr<KafkaEndOffsets>(
        new KafkaEndOffsets(std::move(*client), config, address_partitions, timeout));
}

KafkaEndOffsets::KafkaEndOffsets(std::unique_ptr<Client> client, const Config& config,
                                 PartitionId address_partitions, Millis timeout)
    : client_(std::move(client)), suppressions_(config.topics.suppressions),
      address_suppressions_(config.topics.address_suppressions),
      address_partitions_(address_partitions), timeout_(timeout) {}

Result<EndOffsets::Answer> KafkaEndOffsets::ask(const std::vector<PartitionId>& suppressions) {
    const auto list =
        kafka::partition_list(static_cast<int>(suppressions.size()) + address_partitions_);
    for (const PartitionId partition : suppressions) {
        kafka::add(*list, suppressions_, partition, RD_KAFKA_OFFSET_END);
    }
    for (PartitionId partition = 0; partition < address_partitions_; ++partition) {
        kafka::add(*list, address_suppressions_, partition, RD_KAFKA_OFFSET_END);
    }
    // Given OFFSET_END instead of a time, this is a plain ListOffsets for the ends, one request per
    // leader for all partitions (undocumented; the end-offset tests cover it).
    const auto code =
        rd_kafka_offsets_for_times(client_->get(), list.get(), kafka::timeout_ms(timeout_));
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        refresh_leaders();
        return fail(ErrorCode::Unavailable, fmt::format("the ends of the suppression partitions "
                                                        "are unknown: {}",
                                                        kafka::describe(code)));
    }
    Answer answer;
    for (const auto& entry : std::span(list->elems, static_cast<std::size_t>(list->cnt))) {
        if (entry.err != RD_KAFKA_RESP_ERR_NO_ERROR || entry.offset < 0) {
            refresh_leaders();
            return fail(ErrorCode::Unavailable,
                        fmt::format("the end of {}[{}] is unknown: {}", entry.topic,
                                    entry.partition, kafka::describe(entry.err)));
        }
        auto& ends =
            entry.topic == suppressions_ ? answer.suppressions : answer.address_suppressions;
        ends[entry.partition] = entry.offset;
    }
    return answer;
}

// librdkafka 2.0.2 does not do it by itself when ListOffsets says that the leader has moved.
void KafkaEndOffsets::refresh_leaders() {
    for (const std::string& name : {suppressions_, address_suppressions_}) {
        rd_kafka_topic_t* const topic = client_->topic(name);
        const rd_kafka_metadata_t* metadata = nullptr;
        if (topic != nullptr &&
            rd_kafka_metadata(client_->get(), 0, topic, &metadata, kafka::timeout_ms(timeout_)) ==
                RD_KAFKA_RESP_ERR_NO_ERROR) {
            const kafka::Metadata owned(metadata);
        }
    }
}

}  // namespace postlane
