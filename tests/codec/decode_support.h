// Records to decode: a valid one, and ways to change it.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "codec/decode.h"

namespace postlane {

inline constexpr Instant kRecordTime{Millis{1'764'579'600'000}};  // 2025-12-01T09:00:00Z

inline Config decode_config() {
    Config config;
    config.kafka.partitioner = config::Partitioner::Murmur2;
    config.dispatch.max_payload_bytes = 921'600;
    config::Route usual;
    usual.name = "default";
    usual.from = config::Mailbox{"hi@shop.example", std::nullopt};
    config::Route bare;
    bare.name = "bare";
    config.routes = {usual, bare};
    config.topics.sends = "postlane.sends";
    config.topics.suppressions = "postlane.suppressions";
    return config;
}

inline InputRecord record_of(std::string value, std::string key = "user-123") {
    InputRecord record;
    record.offset = 88123;
    record.timestamp = kRecordTime;
    record.key = std::move(key);
    record.value = std::move(value);
    return record;
}

// The least an event needs, followed by `more` members; `base` may leave out what the test
// replaces.
inline constexpr std::string_view kTo = R"("to":{"email":"ann@example.com"},)";
inline constexpr std::string_view kId = R"("message_id":"m-1",)";
inline constexpr std::string_view kContent = R"("content":{"subject":"s","text":"t"},)";
inline std::string event_json(std::string_view more, std::string_view without = "") {
    std::string json = "{";
    for (const std::string_view part : {kTo, kId, kContent}) {
        if (part != without) {
            json += part;
        }
    }
    json += more;
    if (json.back() == ',') {
        json.pop_back();
    }
    return json + "}";
}

}  // namespace postlane
