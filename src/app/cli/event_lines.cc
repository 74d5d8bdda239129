#include "app/cli/event_lines.h"

#include <simdjson.h>

#include <chrono>
#include <memory>
#include <string_view>

#include "codec/normalise.h"

namespace postlane::cli {

bool LineReader::next(std::string& line) {
    line.clear();
    int c = getc_unlocked(file_);
    if (c == EOF) {
        return false;
    }
    ++line_number_;
    while (c != EOF && c != '\n') {
        if (line.size() < max_line_bytes_) {
            line.push_back(static_cast<char>(c));
        }
        c = getc_unlocked(file_);
    }
    if (!line.empty() && line.back() == '\r') {
        line.pop_back();
    }
    constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";
    if (line_number_ == 1 && line.starts_with(kByteOrderMark)) {
        line.erase(0, kByteOrderMark.size());
    }
    return !failed();
}

struct LineChecker::Parser {
    simdjson::dom::parser json;
};

LineChecker::LineChecker(const Config& config, std::int32_t partitions)
    : config_(config), partitions_(partitions), decoder_(config, partitions),
      parser_(std::make_unique<Parser>()) {}

LineChecker::~LineChecker() = default;

CheckedLine LineChecker::check(const std::string& line) {
    CheckedLine checked;
    simdjson::dom::object object;
    std::string_view recipient;
    // Bad JSON is left to the decoder, so that there is one set of words for it.
    if (parser_->json.parse(line).get(object) == simdjson::SUCCESS) {
        if (object["recipient_id"].get(recipient) != simdjson::SUCCESS || !is_id(recipient)) {
            checked.rejection = Rejection{
                Reason::InvalidField,
                "recipient_id must be a string of 1 to 512 bytes: it becomes the record's "
                "key"};
            return checked;
        }
        checked.key = recipient;
    } else {
        checked.key = "?";
    }
    const auto now = std::chrono::system_clock::now();
    const InputRecord record{.offset = 0,
                             .timestamp = std::chrono::time_point_cast<Millis>(now),
                             .key = checked.key,
                             .value = line,
                             .headers = {}};
    const auto event =
        decoder_.send(record, partition_for(checked.key, partitions_, config_.kafka.partitioner));
    if (!event) {
        checked.rejection = event.error();
    }
    return checked;
}

}  // namespace postlane::cli
