// The generic provider takes the send event itself: the producer's own bytes, member by member,
// with what the producer left to postlane filled in at the front, and our key in the event's metadata.
#include <algorithm>
#include <array>
#include <cctype>
#include <optional>

#include "codec/render_parts.h"

namespace postlane::render_parts {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

// Walks the members of a JSON object whose text is known to be valid, without a parser's tree: the
// text of each member is wanted as it stands. Ends early, not wildly, if the text is not valid.
class MemberWalk {
public:
    explicit MemberWalk(std::string_view text) : text_(text) {}

    struct Member {
        std::string_view name;   // between its quotes, escapes as written
        std::string_view text;   // name, colon and value, without surrounding blanks
        std::string_view value;  // without surrounding blanks
    };

    // False if this is no object.
    bool open() { return take('{'); }

    // Nothing: the object ended (complete() says whether properly).
    std::optional<Member> next() {
        skip_blanks();
        if (at_ < text_.size() && text_[at_] == ',') {
            ++at_;
        }
        if (take('}')) {
            skip_blanks();
            complete_ = at_ == text_.size();
            return std::nullopt;
        }
        const std::size_t start = at_;
        if (!skip_string()) {
            return std::nullopt;
        }
        const std::string_view name = text_.substr(start + 1, at_ - start - 2);
        if (!take(':')) {
            return std::nullopt;
        }
        skip_blanks();
        const std::size_t value = at_;
        if (!skip_value()) {
            return std::nullopt;
        }
        return Member{.name = name,
                      .text = text_.substr(start, at_ - start),
                      .value = text_.substr(value, at_ - value)};
    }
    [[nodiscard]] bool complete() const { return complete_; }

private:
    void skip_blanks() { at_ = std::min(text_.find_first_not_of(kBlanks, at_), text_.size()); }
    bool take(char expected) {
        skip_blanks();
        if (at_ >= text_.size() || text_[at_] != expected) {
            return false;
        }
        ++at_;
        return true;
    }
    bool skip_string() {
        skip_blanks();
        if (at_ >= text_.size() || text_[at_] != '"') {
            return false;
        }
        const std::size_t start = ++at_;
        for (;;) {
            const std::size_t quote = text_.find('"', at_);
            if (quote == std::string_view::npos) {
                return false;
            }
            at_ = quote + 1;
            // Escaped, if an odd number of backslashes stands before it.
            std::size_t plain = quote;
            while (plain > start && text_[plain - 1] == '\\') {
                --plain;
            }
            if ((quote - plain) % 2 == 0) {
                return true;
            }
        }
    }
    bool skip_value() {
        skip_blanks();
        if (at_ < text_.size() && text_[at_] != '{' && text_[at_] != '[' && text_[at_] != '"') {
            const std::size_t start = at_;
            at_ = std::min(text_.find_first_of(" \t\r\n,}]", at_), text_.size());
            return at_ > start;
        }
        std::size_t depth = 0;
        while (at_ < text_.size()) {
            const char here = text_[at_];
            if (here == '"') {
                if (!skip_string()) {
                    return false;
                }
            } else {
                ++at_;
                depth += here == '{' || here == '[' ? 1U : 0U;
                depth -= here == '}' || here == ']' ? 1U : 0U;
            }
            if (depth == 0) {
                return true;
            }
        }
        return false;
    }

    std::string_view text_;
    std::size_t at_ = 0;
    bool complete_ = false;
};

// Whether a member's name, escapes as written, means this ASCII word.
bool means(std::string_view written, std::string_view word) {
    std::size_t at = 0;
    for (const char expected : word) {
        if (at >= written.size()) {
            return false;
        }
        if (written[at] != '\\') {
            if (written[at++] != expected) {
                return false;
            }
            continue;
        }
        constexpr std::string_view kHex = "0123456789abcdef";
        const auto byte = static_cast<unsigned char>(expected);
        if (at + 6 > written.size() || written.substr(at, 4) != "\\u00" ||
            std::tolower(static_cast<unsigned char>(written[at + 4])) != kHex[byte >> 4U] ||
            std::tolower(static_cast<unsigned char>(written[at + 5])) != kHex[byte & 0x0fU]) {
            return false;
        }
        at += 6;
    }
    return at == written.size();
}

// A member postlane writes itself; one of the same name in the event gives way to it.
struct Ours {
    std::string_view name;
    bool write;
};

// The event's metadata, if it has any, with our key as its first member. False if that is no JSON.
bool write_metadata(JsonWriter& json, std::string_view key, std::optional<std::string_view> given) {
    json.key("metadata").begin_object().member("postlane_id", key);
    MemberWalk walk{given.value_or("{}")};
    if (!walk.open()) {
        return false;
    }
    while (const auto member = walk.next()) {
        if (!means(member->name, "postlane_id")) {
            json.raw(member->text);
        }
    }
    json.end_object();
    return walk.complete();
}

}  // namespace

Result<HttpRequest> render_http(const Message& message) {
    const SendEvent& event = message.event;
    const std::array ours{
        Ours{"message_id", !event.message_id_given},
        Ours{"recipient_id", !event.recipient_id_given},
        Ours{"from", !event.from.has_value()},
    };
    HttpRequest request = json_post(message.provider.base_url);
    if (message.provider.idempotency == config::Idempotency::Header) {
        request.headers.emplace_back(message.provider.idempotency_header, message.key);
    }
    request.body.reserve(event.json.size() + 256);
    JsonWriter json{request.body};
    json.begin_object();
    if (!event.message_id_given) {
        json.member("message_id", event.message_id.value());
    }
    if (!event.recipient_id_given) {
        json.member("recipient_id", event.recipient_id.value());
    }
    if (!event.from) {
        json.key("from");
        write_mailbox(json, message.from);
    }
    MemberWalk walk{event.json};
    if (!walk.open()) {
        return fail(ErrorCode::Malformed, "the send event is no JSON object");
    }
    std::optional<std::string_view> metadata;
    while (const auto member = walk.next()) {
        if (means(member->name, "metadata")) {
            metadata = member->value == "null" ? std::nullopt : std::optional{member->value};
            continue;
        }
        const bool replaced = std::any_of(ours.begin(), ours.end(), [&](const Ours& own) {
            return own.write && means(member->name, own.name);
        });
        if (!replaced) {
            json.raw(member->text);
        }
    }
    if (!walk.complete()) {
        return fail(ErrorCode::Malformed, "the send event is no complete JSON object");
    }
    if (!write_metadata(json, message.key, metadata)) {
        return fail(ErrorCode::Malformed, "the send event's metadata is no JSON object");
    }
    json.end_object();
    return request;
}

}  // namespace postlane::render_parts
