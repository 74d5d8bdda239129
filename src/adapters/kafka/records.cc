#include "adapters/kafka/records.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>

#include "adapters/kafka/handles.h"

namespace postlane::kafka {
namespace {

Headers to_headers(const std::vector<Header>& headers) {
    if (headers.empty()) {
        return nullptr;
    }
    Headers list(rd_kafka_headers_new(headers.size()));
    for (const Header& header : headers) {
        const bool null = !header.value.has_value();
        rd_kafka_header_add(list.get(), header.name.data(),
                            static_cast<ssize_t>(header.name.size()),
                            null ? nullptr : header.value->data(),
                            null ? 0 : static_cast<ssize_t>(header.value->size()));
    }
    return list;
}

std::optional<std::string> bytes(const void* data, std::size_t size) {
    if (data == nullptr) {
        return std::nullopt;
    }
    return std::string(static_cast<const char*>(data), size);
}

}  // namespace

Instant timestamp_of(const rd_kafka_message_t& message) {
    rd_kafka_timestamp_type_t type = RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
    const std::int64_t since_epoch_ms = rd_kafka_message_timestamp(&message, &type);
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) {
        return Instant{};
    }
    return Instant(Millis(std::max<std::int64_t>(since_epoch_ms, 0)));
}

InputRecord to_input_record(const rd_kafka_message_t& message) {
    InputRecord record;
    record.offset = message.offset;
    record.timestamp = timestamp_of(message);
    record.key = bytes(message.key, message.key_len);
    record.value = bytes(message.payload, message.len);
    rd_kafka_headers_t* headers = nullptr;
    if (rd_kafka_message_headers(&message, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return record;
    }
    record.headers.reserve(rd_kafka_header_cnt(headers));
    const char* name = nullptr;
    const void* value = nullptr;
    std::size_t size = 0;
    for (std::size_t i = 0;
         rd_kafka_header_get_all(headers, i, &name, &value, &size) == RD_KAFKA_RESP_ERR_NO_ERROR;
         ++i) {
        record.headers.push_back(Header{name, bytes(value, size)});
    }
    return record;
}

rd_kafka_resp_err_t produce(rd_kafka_t* producer, const Outgoing& record) {
    Headers headers = to_headers(record.headers);
    const void* const key = record.key ? record.key->data() : nullptr;
    const void* const value = record.value ? record.value->data() : nullptr;
    const std::size_t key_size = record.key ? record.key->size() : 0;
    const std::size_t value_size = record.value ? record.value->size() : 0;
    const std::int64_t timestamp_ms =
        record.timestamp ? record.timestamp->time_since_epoch().count() : 0;  // 0: now
    // The tags stand without librdkafka's macros, which are C casts; so every argument must have
    // exactly the type that the tag's documentation names. Not produceva: 2.0.2 frees the headers
    // twice when it fails.
    const auto code = rd_kafka_producev(
        producer, RD_KAFKA_VTYPE_RKT, record.topic, RD_KAFKA_VTYPE_PARTITION, record.partition,
        RD_KAFKA_VTYPE_MSGFLAGS, RD_KAFKA_MSG_F_COPY, RD_KAFKA_VTYPE_KEY, key, key_size,
        RD_KAFKA_VTYPE_VALUE, value, value_size, RD_KAFKA_VTYPE_TIMESTAMP, timestamp_ms,
        RD_KAFKA_VTYPE_HEADERS, headers.get(), RD_KAFKA_VTYPE_OPAQUE,
        reinterpret_cast<void*>(record.opaque), RD_KAFKA_VTYPE_END);
    if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
        static_cast<void>(headers.release());  // the message owns them now
    }
    return code;
}

}  // namespace postlane::kafka
