// Which header names an event may bring. Private to the decoder.
#pragma once

#include <string_view>

namespace postlane {

// A token of RFC 9110, which is RFC 5322's field name without the characters that break tools.
[[nodiscard]] bool is_header_name(std::string_view name) noexcept;

// Headers that postlane, the provider or the mail system write themselves, or through which a
// provider takes orders (recipients among them: those would pass every suppression by).
[[nodiscard]] bool is_reserved_header(std::string_view name, bool with_unsubscribe_url) noexcept;

[[nodiscard]] bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

}  // namespace postlane
