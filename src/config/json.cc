#include "config/json.h"

#include <fmt/format.h>

#include "config/text.h"

namespace postlane::config {

std::string json_string(std::string_view text) {
    std::string out = "\"";
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t length = utf8_length(text, at);
        if (length == 0) {
            out += "\\ufffd";
            ++at;
            continue;
        }
        const char c = text[at];
        if (length > 1) {
            out += text.substr(at, length);
        } else if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
        } else {
            out += c;
        }
        at += length;
    }
    return out + "\"";
}

std::string json_array(const std::vector<std::string>& items) {
    return fmt::format("[{}]", fmt::join(items, ", "));
}

std::string json_strings(const std::vector<std::string>& texts) {
    std::vector<std::string> items;
    for (const std::string& text : texts) {
        items.push_back(json_string(text));
    }
    return json_array(items);
}

void JsonObject::add(std::string_view name, std::string_view json) {
    members_ += fmt::format("{}{}: {}", members_.empty() ? "" : ", ", json_string(name), json);
}

std::string json_indented(std::string_view compact) {
    std::string out;
    std::size_t depth = 0;
    bool in_string = false;
    const auto line_break = [&] {
        while (!out.empty() && out.back() == ' ') {
            out.pop_back();
        }
        out += '\n';
        out.append(depth * 2, ' ');
    };
    for (std::size_t at = 0; at < compact.size(); ++at) {
        const char c = compact[at];
        if (in_string) {
            out += c;
            if (c == '\\') {
                out += compact[++at];
            } else if (c == '"') {
                in_string = false;
            }
            continue;
        }
        const bool closes_empty =
            at + 1 < compact.size() && (compact[at + 1] == '}' || compact[at + 1] == ']');
        if (c == '{' || c == '[') {
            out += c;
            if (closes_empty) {
                out += compact[++at];
                continue;
            }
            ++depth;
            line_break();
        } else if (c == '}' || c == ']') {
            --depth;
            line_break();
            out += c;
        } else if (c == ',') {
            out += c;
            line_break();
        } else if (c == ' ' && !out.empty() && (out.back() == ' ' || out.back() == '\n')) {
            continue;
        } else {
            in_string = c == '"';
            out += c;
        }
    }
    return out + "\n";
}

}  // namespace postlane::config
