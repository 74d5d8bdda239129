// The spellings that count as equal. normalise_address is declared in codec/decode.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postlane {

inline constexpr std::size_t kIdBytesMax = 512;

// Without ASCII white space around it.
[[nodiscard]] std::string_view trimmed(std::string_view text) noexcept;
[[nodiscard]] std::string ascii_lower(std::string_view text);

// Category, sequence id, route: trimmed, ASCII lower-cased; nothing unless that is
// [a-z0-9][a-z0-9._-]{0,63}.
[[nodiscard]] std::optional<std::string> normalise_name(std::string_view text);

// recipient_id, message_id: exact bytes, 1-512, valid UTF-8.
[[nodiscard]] bool is_id(std::string_view bytes) noexcept;

}  // namespace postlane
