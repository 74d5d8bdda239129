// Writing JSON text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace postlane::sandbox {

// Appends `text` quoted and escaped. `text` must be valid UTF-8; other bytes are written as U+FFFD.
void append_json_string(std::string& out, std::string_view text);

// As above, or null.
void append_json_string(std::string& out, const std::optional<std::string_view>& text);

std::string json_string(std::string_view text);

}  // namespace postlane::sandbox
