// A record's value -> a JSON document that was validated whole. Private to the decoder.
#pragma once

#include <simdjson.h>

#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "postlane/event.h"

namespace postlane {

inline constexpr std::size_t kJsonDepthMax = 64;

// Holds memory between documents; one thread at a time. Views and elements it gave are valid until
// the next parse().
class JsonReader {
public:
    JsonReader();

    // Strips Confluent framing. Rejections are MalformedJson.
    [[nodiscard]] tl::expected<simdjson::dom::element, Rejection> parse(
        const std::optional<std::string>& value);
    // The text of the last document, framing stripped.
    [[nodiscard]] std::string_view text() const noexcept { return text_; }

private:
    simdjson::dom::parser parser_;
    std::string padded_;
    std::string_view text_;
};

// An object that names a key twice means different things to different readers.
[[nodiscard]] bool repeats_a_key(simdjson::dom::element element);
[[nodiscard]] bool repeats_a_key(simdjson::dom::object object);

// The text of the ordinal-th member's value, exactly as written. `object_text` is a valid JSON
// object of more than `ordinal` members.
[[nodiscard]] std::string_view raw_member(std::string_view object_text, std::size_t ordinal);
// Valid JSON without the white space between its tokens.
[[nodiscard]] std::string compact(std::string_view json);

}  // namespace postlane
