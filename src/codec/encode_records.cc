// Records that travel on whole: dead letters and forwarded suppressions.
#include <fmt/format.h>
#include <simdjson.h>

#include <algorithm>
#include <array>

#include "codec/encode.h"

namespace postlane {
namespace {

constexpr std::string_view kConnectPrefix = "__connect.errors.";
constexpr std::string_view kForwardedFrom = "postlane.forwarded_from";
constexpr std::string_view kValueOmitted = "postlane.value_omitted";
constexpr std::string_view kHeadersOmitted = "postlane.headers_omitted";
constexpr std::string_view kKeyOmitted = "postlane.key_omitted";
constexpr std::string_view kTimestamp = "postlane.timestamp";
constexpr std::array kOurs{std::string_view{"postlane.reason"},
                           std::string_view{"postlane.attempts"},
                           std::string_view{"postlane.message_id"},
                           kValueOmitted,
                           kHeadersOmitted,
                           kKeyOmitted,
                           kTimestamp};
constexpr std::size_t kDetailBytesMax = 1000;

// An upper bound of what Kafka's record batch format (version 2) takes around the bytes: batch
// header, and per record and per header varints of at most five or ten bytes.
constexpr std::size_t kBatchBytes = 61;
constexpr std::size_t kRecordBytes = 5 + 1 + 10 + 5 + 5 + 5 + 5;
constexpr std::size_t kHeaderBytes = 5 + 5;

std::size_t size_of(const std::vector<Header>& headers) noexcept {
    std::size_t bytes = 0;
    for (const Header& header : headers) {
        bytes += kHeaderBytes + header.name.size() + (header.value ? header.value->size() : 0);
    }
    return bytes;
}
std::size_t size_of(const std::optional<std::string>& bytes) noexcept {
    return bytes ? bytes->size() : 0;
}

// Of an earlier dead letter that was replayed.
bool is_stale(const Header& header) noexcept {
    return header.name.starts_with(kConnectPrefix) ||
           std::find(kOurs.begin(), kOurs.end(), header.name) != kOurs.end();
}

std::string cut(std::string text) {
    if (text.size() > kDetailBytesMax) {
        std::size_t end = kDetailBytesMax;
        while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0U) == 0x80U) {
            --end;
        }
        text.resize(end);
    }
    return text;
}

// The words of Kafka Connect's error stages, so that its tools group our dead letters sensibly.
std::string_view stage_of(const DeadLetter& letter) noexcept {
    const Reason reason = letter.reason;
    if (reason == Reason::MissingKey || reason == Reason::MisroutedKey ||
        (reason == Reason::InvalidField && letter.detail.starts_with("key:"))) {
        return "KEY_CONVERTER";
    }
    // Record level checks come first in the numbering; all others speak of a decoded message.
    return reason <= Reason::UnknownRoute ? "VALUE_CONVERTER" : "TASK_PUT";
}

std::vector<Header> explanation(const Config& config, PartitionId partition,
                                const DeadLetter& letter, Instant now) {
    const std::string& topic =
        letter.from_suppressions ? config.topics.suppressions : config.topics.sends;
    const std::string word{to_string(letter.reason)};
    const auto connect = [](std::string_view name, std::string value) {
        return Header{fmt::format("{}{}", kConnectPrefix, name), std::move(value)};
    };
    std::vector<Header> headers{
        connect("topic", topic),
        connect("partition", fmt::format("{}", partition)),
        connect("offset", fmt::format("{}", letter.record.offset)),
        connect("stage", std::string{stage_of(letter)}),
        connect("exception.class.name", "postlane." + word),
        connect("exception.message", cut(letter.detail)),
        Header{"postlane.reason", word},
        Header{"postlane.attempts", fmt::format("{}", letter.attempts)},
    };
    if (letter.message_id) {
        headers.push_back({"postlane.message_id", letter.message_id->value()});
    }
    if (letter.record.timestamp > now) {
        headers.push_back({std::string{kTimestamp}, format_time(letter.record.timestamp)});
    }
    return headers;
}

}  // namespace

OutRecord encode_dead_letter(const Config& config, PartitionId partition, const DeadLetter& letter,
                             std::size_t max_record_bytes, Instant now) {
    OutRecord out;
    out.destination = Destination::DeadLetters;
    out.partition = partition;
    out.timestamp = std::min(letter.record.timestamp, now);
    out.key = letter.record.key;
    out.value = letter.record.value;
    std::vector<Header> ours = explanation(config, partition, letter, now);
    std::vector<Header> theirs = letter.record.headers;
    std::erase_if(theirs, is_stale);
    const auto total = [&] {
        return kBatchBytes + kRecordBytes + size_of(out.key) + size_of(out.value) +
               size_of(theirs) + size_of(ours);
    };
    // A value over dispatch.max_payload_bytes is left out even where it would fit.
    if (out.value && (letter.reason == Reason::TooLarge || total() > max_record_bytes)) {
        ours.push_back({std::string{kValueOmitted}, fmt::format("{}", out.value->size())});
        out.value.reset();
    }
    if (!theirs.empty() && total() > max_record_bytes) {
        ours.push_back({std::string{kHeadersOmitted}, fmt::format("{}", theirs.size())});
        theirs.clear();
    }
    if (out.key && total() > max_record_bytes) {
        ours.push_back({std::string{kKeyOmitted}, fmt::format("{}", out.key->size())});
        out.key.reset();
    }
    out.headers = std::move(theirs);
    out.headers.insert(out.headers.end(), std::make_move_iterator(ours.begin()),
                       std::make_move_iterator(ours.end()));
    return out;
}

OutRecord encode_forward(const ForwardSuppression& forward, PartitionId from,
                         std::size_t max_record_bytes) {
    OutRecord out;
    out.destination = Destination::Suppressions;
    out.partition = forward.target;
    out.key = forward.record.key;
    out.value = forward.record.value;
    out.headers = forward.record.headers;
    // The record's time is what a missing occurred_at falls back to, and what a future one is cut
    // to.
    out.timestamp = forward.record.timestamp;
    std::erase_if(out.headers, [](const Header& header) { return header.name == kForwardedFrom; });
    out.headers.push_back({std::string{kForwardedFrom}, fmt::format("{}", from)});
    // It fitted as it came. What it says is in key and value.
    if (kBatchBytes + kRecordBytes + size_of(out.key) + size_of(out.value) + size_of(out.headers) >
        max_record_bytes) {
        out.headers.clear();
    }
    return out;
}

void bound_timestamp(OutRecord& record, Instant now) {
    record.timestamp = std::min(record.timestamp.value_or(now), now);
}

}  // namespace postlane
