// Writes the little JSON this folder prints: schema, diagnostics, effective values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace postlane::config {

// Quoted and escaped; what is not UTF-8 becomes U+FFFD, so the result is always valid JSON.
std::string json_string(std::string_view text);
std::string json_array(const std::vector<std::string>& items);
std::string json_strings(const std::vector<std::string>& texts);

// Members in the order they are added; values are JSON already.
class JsonObject {
public:
    void add(std::string_view name, std::string_view json);
    [[nodiscard]] bool empty() const noexcept { return members_.empty(); }
    [[nodiscard]] std::string text() const { return "{" + members_ + "}"; }

private:
    std::string members_;
};

// The same document with line breaks and two spaces per level, and a newline at the end.
std::string json_indented(std::string_view compact);

}  // namespace postlane::config
