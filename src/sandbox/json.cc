#include "sandbox/json.h"

#include <simdjson.h>

#include <array>

namespace postlane::sandbox {
namespace {

constexpr bool is_plain(char character) {
    return static_cast<unsigned char>(character) >= 0x20 && character != '"' && character != '\\';
}

void append_escaped(std::string& out, char character) {
    static constexpr std::array kHex{'0', '1', '2', '3', '4', '5', '6', '7',
                                     '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};
    switch (character) {
        case '"':
            out += "\\\"";
            return;
        case '\\':
            out += "\\\\";
            return;
        case '\n':
            out += "\\n";
            return;
        case '\r':
            out += "\\r";
            return;
        case '\t':
            out += "\\t";
            return;
        default:
            break;
    }
    const auto byte = static_cast<unsigned char>(character);
    out += "\\u00";
    out += kHex[byte >> 4U];
    out += kHex[byte & 0xFU];
}

// Header values reach us as raw bytes; a record line must stay valid JSON all the same.
std::string only_ascii(std::string_view text) {
    std::string out;
    for (const char character : text) {
        if (static_cast<unsigned char>(character) < 0x80) {
            out += character;
        } else {
            out += "\xEF\xBF\xBD";
        }
    }
    return out;
}

}  // namespace

void append_json_string(std::string& out, std::string_view text) {
    std::string replaced;
    if (!simdjson::validate_utf8(text.data(), text.size())) {
        replaced = only_ascii(text);
        text = replaced;
    }
    out += '"';
    std::size_t start = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (is_plain(text[i])) {
            continue;
        }
        out.append(text, start, i - start);
        append_escaped(out, text[i]);
        start = i + 1;
    }
    out.append(text, start, text.size() - start);
    out += '"';
}

void append_json_string(std::string& out, const std::optional<std::string_view>& text) {
    if (text) {
        append_json_string(out, *text);
    } else {
        out += "null";
    }
}

std::string json_string(std::string_view text) {
    std::string out;
    append_json_string(out, text);
    return out;
}

}  // namespace postlane::sandbox
