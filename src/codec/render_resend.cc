// Resend, POST /emails. It honours Idempotency-Key; the key also travels as the tag postlane_id,
// because its events echo tags and not the key.
#include <algorithm>

#include "codec/render_parts.h"

namespace postlane::render_parts {
namespace {

constexpr std::size_t kTagTextMax = 256;

// "Ann <ann@example.com>", the name quoted where RFC 5322 wants it.
std::string mailbox_text(const Mailbox& mailbox) {
    if (mailbox.name.empty()) {
        return mailbox.email;
    }
    constexpr std::string_view kSpecials = "()<>[]:;@\\,.\"";
    std::string text;
    text.reserve(mailbox.name.size() + mailbox.email.size() + 5);
    if (mailbox.name.find_first_of(kSpecials) == std::string::npos) {
        text.append(mailbox.name);
    } else {
        text.push_back('"');
        for (const char letter : mailbox.name) {
            if (letter == '"' || letter == '\\') {
                text.push_back('\\');
            }
            text.push_back(letter);
        }
        text.push_back('"');
    }
    text.append(" <").append(mailbox.email).append(">");
    return text;
}

// Resend refuses a mail over a tag outside [A-Za-z0-9_-]: a changed letter does less harm.
std::string tag_text(std::string_view text) {
    std::string out{text.substr(0, kTagTextMax)};
    std::replace_if(
        out.begin(), out.end(),
        [](char letter) {
            return !((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
                     (letter >= '0' && letter <= '9') || letter == '_' || letter == '-');
        },
        '_');
    return out;
}

// Distinct names, the first one wins.
class Tags {
public:
    void add(std::string_view name, std::string_view value) {
        std::string clean = tag_text(name);
        const bool known = std::any_of(tags_.begin(), tags_.end(),
                                       [&](const auto& tag) { return tag.first == clean; });
        if (!clean.empty() && !value.empty() && !known) {
            tags_.emplace_back(std::move(clean), tag_text(value));
        }
    }
    void write(JsonWriter& json) const {
        json.key("tags").begin_array();
        for (const auto& [name, value] : tags_) {
            json.begin_object().member("name", name).member("value", value).end_object();
        }
        json.end_array();
    }

private:
    std::vector<std::pair<std::string, std::string>> tags_;
};

void write_tags(JsonWriter& json, const Message& message) {
    Tags tags;
    tags.add("postlane_id", message.key);
    tags.add("category", message.event.category);
    for (const auto& [name, value] : message.event.metadata) {
        tags.add(name, value);
    }
    for (const std::string& tag : message.event.tags) {
        tags.add(tag, "true");  // Resend's tags are pairs, ours are words
    }
    tags.write(json);
}

void write_body(JsonWriter& json, const SendEvent& event) {
    if (event.templated) {
        json.key("template").begin_object().member("id", event.templated->id);
        json.key("variables").raw(event.templated->data_json).end_object();
    }
    if (event.content) {
        json.member("subject", event.content->subject);
        if (!event.content->text.empty()) {
            json.member("text", event.content->text);
        }
        if (!event.content->html.empty()) {
            json.member("html", event.content->html);
        }
    }
}

}  // namespace

Result<HttpRequest> render_resend(const Message& message) {
    const SendEvent& event = message.event;
    HttpRequest request = json_post(url_of(message.provider, "/emails"));
    request.headers.emplace_back("Idempotency-Key", message.key);
    if (event.content) {
        request.body.reserve(event.content->text.size() + event.content->html.size() + 1024);
    }
    JsonWriter json{request.body};
    json.begin_object().member("from", mailbox_text(message.from));
    json.key("to").begin_array().value(mailbox_text(event.to)).end_array();
    if (event.reply_to) {
        json.member("reply_to", mailbox_text(*event.reply_to));
    }
    write_body(json, event);
    if (!message.mail_headers.empty()) {
        json.key("headers").begin_object();
        for (const auto& [name, value] : message.mail_headers) {
            json.member(name, value);
        }
        json.end_object();
    }
    write_tags(json, message);
    json.end_object();
    return request;
}

}  // namespace postlane::render_parts
