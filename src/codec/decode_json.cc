#include "codec/decode_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

namespace postlane {
namespace {

namespace dom = simdjson::dom;

constexpr std::size_t kFirstCapacity = 4096;
// Confluent's wire format: a magic byte 0 and the schema's id in four bytes.
constexpr std::size_t kFramingBytes = 5;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

tl::unexpected<Rejection> malformed(std::string detail) {
    return tl::unexpected<Rejection>(Rejection{Reason::MalformedJson, std::move(detail)});
}

std::string explain(simdjson::error_code code) {
    // Everything that has no better words here is a matter of grammar.
    if (code == simdjson::UTF8_ERROR) {
        return "value: not valid UTF-8";
    }
    if (code == simdjson::DEPTH_ERROR) {
        return fmt::format("value: nested deeper than {} levels", kJsonDepthMax);
    }
    if (code == simdjson::NUMBER_ERROR) {
        return "value: a number is malformed or does not fit 64 bits; write long numbers as "
               "strings";
    }
    if (code == simdjson::STRING_ERROR) {
        return "value: a string has an invalid escape";
    }
    if (code == simdjson::UNESCAPED_CHARS) {
        return "value: a string holds a control character that is not escaped";
    }
    if (code == simdjson::UNCLOSED_STRING) {
        return "value: a string does not end";
    }
    if (code == simdjson::EMPTY) {
        return "value: nothing but white space";
    }
    if (code == simdjson::MEMALLOC || code == simdjson::CAPACITY) {
        return "value: too large to parse";
    }
    return "value: not valid JSON";
}

bool is_space(char c) noexcept {
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// Walks valid JSON text without understanding it.
class Skimmer {
public:
    explicit Skimmer(std::string_view text) : text_(text) {}

    void space() noexcept {
        while (at_ < text_.size() && is_space(text_[at_])) {
            ++at_;
        }
    }
    void mark() noexcept { ++at_; }
    std::string_view value() noexcept {
        const std::size_t begin = at_;
        int depth = 0;
        do {
            const char c = text_[at_];
            if (c == '"') {
                string();
            } else if (c == '{' || c == '[') {
                ++depth;
                ++at_;
            } else if (c == '}' || c == ']') {
                --depth;
                ++at_;
            } else if (depth > 0) {
                ++at_;
            } else {
                scalar();
            }
        } while (depth > 0 && at_ < text_.size());
        return text_.substr(begin, at_ - begin);
    }
    void string() noexcept {
        const std::size_t begin = ++at_;
        for (;;) {
            at_ = std::min(text_.find('"', at_), text_.size());
            // A quote after an odd number of backslashes is escaped.
            std::size_t slashes = 0;
            while (at_ - slashes > begin && text_[at_ - slashes - 1] == '\\') {
                ++slashes;
            }
            ++at_;
            if (slashes % 2 == 0 || at_ >= text_.size()) {
                return;
            }
        }
    }

private:
    void scalar() noexcept {
        while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '}' && text_[at_] != ']' &&
               !is_space(text_[at_])) {
            ++at_;
        }
    }

    std::string_view text_;
    std::size_t at_ = 0;
};

bool names_a_key_twice(dom::object object) {
    // Most objects are small, and sorting costs more than comparing.
    constexpr std::size_t kFew = 16;
    std::array<std::string_view, kFew> few;
    std::size_t count = 0;
    bool many = false;
    for (const dom::key_value_pair member : object) {
        if (count == kFew) {
            many = true;
            break;
        }
        const std::string_view* const end = few.data() + count;
        if (std::find(std::as_const(few).data(), end, member.key) != end) {
            return true;
        }
        few[count++] = member.key;
    }
    if (!many) {
        return false;
    }
    std::vector<std::string_view> keys;
    for (const dom::key_value_pair member : object) {
        keys.push_back(member.key);
    }
    std::sort(keys.begin(), keys.end());
    return std::adjacent_find(keys.begin(), keys.end()) != keys.end();
}

}  // namespace

JsonReader::JsonReader() {
    // Only here can the depth be set; the parser keeps it when it grows.
    if (parser_.allocate(kFirstCapacity, kJsonDepthMax) != simdjson::SUCCESS) {
        throw std::bad_alloc();
    }
}

tl::expected<dom::element, Rejection> JsonReader::parse(const std::optional<std::string>& value) {
    text_ = {};
    if (!value || value->empty()) {
        return malformed("value: empty (a tombstone is no event)");
    }
    std::string_view bytes = *value;
    if (bytes.front() == '\0') {
        if (bytes.size() <= kFramingBytes) {
            return malformed("value: begins like Confluent framing, but nothing follows it");
        }
        bytes.remove_prefix(kFramingBytes);
    }
    if (bytes.substr(0, kByteOrderMark.size()) == kByteOrderMark) {
        return malformed("value: begins with a byte order mark; write UTF-8 without one");
    }
    padded_.resize(std::max(padded_.size(), bytes.size() + simdjson::SIMDJSON_PADDING));
    std::memcpy(padded_.data(), bytes.data(), bytes.size());
    std::memset(padded_.data() + bytes.size(), 0, simdjson::SIMDJSON_PADDING);

    dom::element document;
    const auto code = parser_.parse(padded_.data(), bytes.size(), false).get(document);
    if (code != simdjson::SUCCESS) {
        return malformed(explain(code));
    }
    text_ = std::string_view{padded_.data(), bytes.size()};
    return document;
}

bool repeats_a_key(dom::element element) {
    if (element.is_array()) {
        const dom::array array = element.get_array().value_unsafe();
        return std::any_of(array.begin(), array.end(),
                           [](dom::element item) { return repeats_a_key(item); });
    }
    return element.is_object() && repeats_a_key(element.get_object().value_unsafe());
}

bool repeats_a_key(dom::object object) {
    if (names_a_key_twice(object)) {
        return true;
    }
    for (const dom::key_value_pair member : object) {
        if (repeats_a_key(member.value)) {
            return true;
        }
    }
    return false;
}

std::string_view raw_member(std::string_view object_text, std::size_t ordinal) {
    Skimmer skimmer{object_text};
    skimmer.space();
    skimmer.mark();  // {
    for (std::size_t i = 0;; ++i) {
        skimmer.space();
        skimmer.string();
        skimmer.space();
        skimmer.mark();  // :
        skimmer.space();
        const std::string_view value = skimmer.value();
        if (i == ordinal) {
            return value;
        }
        skimmer.space();
        skimmer.mark();  // ,
    }
}

std::string compact(std::string_view json) {
    std::string result;
    result.reserve(json.size());
    bool in_string = false;
    for (std::size_t i = 0; i < json.size(); ++i) {
        const char c = json[i];
        if (in_string && c == '\\') {
            result.append(json, i, 2);
            ++i;
            continue;
        }
        if (c == '"') {
            in_string = !in_string;
        }
        if (in_string || !is_space(c)) {
            result.push_back(c);
        }
    }
    return result;
}

}  // namespace postlane
