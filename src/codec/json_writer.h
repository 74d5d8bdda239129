// Writes compact JSON onto the end of a string. Deterministic: the same calls give the same bytes.
//
// Header-only and free of allocation besides the output's own growth. The caller sees to it that
// begin and end match and that text is valid UTF-8; members come out in the order they were
// written.
#pragma once

#include <charconv>
#include <concepts>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>

namespace postlane {

// Appends `text` as a JSON string, quotes included. Escapes what RFC 8259 demands and nothing else.
inline void append_json_string(std::string& out, std::string_view text) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    out.push_back('"');
    std::size_t copied = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const auto byte = static_cast<unsigned char>(text[at]);
        if (byte >= 0x20 && byte != '"' && byte != '\\') {
            continue;
        }
        out.append(text, copied, at - copied);
        copied = at + 1;
        out.push_back('\\');
        switch (byte) {
            case '"':
            case '\\':
                out.push_back(static_cast<char>(byte));
                break;
            case '\n':
                out.push_back('n');
                break;
            case '\r':
                out.push_back('r');
                break;
            case '\t':
                out.push_back('t');
                break;
            default:
                out.append("u00");
                out.push_back(kHex[byte >> 4U]);
                out.push_back(kHex[byte & 0x0fU]);
        }
    }
    out.append(text, copied, text.size() - copied);
    out.push_back('"');
}

// One document at a time: JsonWriter{out}.begin_object().member("a", "b").end_object();
class JsonWriter {
public:
    // Keeps a reference: `out` must outlive the writer.
    explicit JsonWriter(std::string& out) : out_(out) {}

    JsonWriter& begin_object() { return open('{'); }
    JsonWriter& end_object() { return close('}'); }
    JsonWriter& begin_array() { return open('['); }
    JsonWriter& end_array() { return close(']'); }

    // The next value written is this member's.
    JsonWriter& key(std::string_view name) {
        separate();
        append_json_string(out_, name);
        out_.push_back(':');
        need_comma_ = false;
        return *this;
    }

    JsonWriter& value(std::string_view text) {
        separate();
        append_json_string(out_, text);
        return written();
    }
    // Without this overload a string literal would convert to bool.
    JsonWriter& value(const char* text) { return value(std::string_view{text}); }
    JsonWriter& value(std::same_as<bool> auto flag) {
        separate();
        out_.append(flag ? "true" : "false");
        return written();
    }
    template <std::integral Number>
        requires(!std::same_as<Number, bool>)
    JsonWriter& value(Number number) {
        separate();
        char digits[std::numeric_limits<Number>::digits10 + 3];
        const auto end = std::to_chars(digits, digits + sizeof(digits), number).ptr;
        out_.append(digits, static_cast<std::size_t>(end - digits));
        return written();
    }
    JsonWriter& null() { return raw("null"); }
    // `json` is a complete JSON value already; it is copied as it stands.
    JsonWriter& raw(std::string_view json) {
        separate();
        out_.append(json);
        return written();
    }

    template <class Value>
    JsonWriter& member(std::string_view name, const Value& content) {
        return key(name).value(content);
    }

private:
    void separate() {
        if (need_comma_) {
            out_.push_back(',');
        }
    }
    JsonWriter& written() {
        need_comma_ = true;
        return *this;
    }
    JsonWriter& open(char bracket) {
        separate();
        out_.push_back(bracket);
        need_comma_ = false;
        return *this;
    }
    JsonWriter& close(char bracket) {
        out_.push_back(bracket);
        return written();
    }

    std::string& out_;
    bool need_comma_ = false;  // enough of a stack: after any close, a value has been written
};

}  // namespace postlane
