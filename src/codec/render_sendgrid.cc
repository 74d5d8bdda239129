// SendGrid, POST /v3/mail/send: one personalization, one recipient. SendGrid takes no idempotency
// key; ours travels as the custom argument postlane_id, which its events echo.
#include <algorithm>

#include "codec/render_parts.h"

namespace postlane::render_parts {
namespace {

constexpr std::size_t kCategoriesMax = 10;

void write_custom_args(JsonWriter& json, const Message& message) {
    json.key("custom_args").begin_object().member("postlane_id", message.key);
    for (const auto& [name, value] : message.event.metadata) {
        if (name != "postlane_id") {
            json.member(name, value);
        }
    }
    json.end_object();
}

void write_personalization(JsonWriter& json, const Message& message) {
    const SendEvent& event = message.event;
    json.key("personalizations").begin_array().begin_object();
    json.key("to").begin_array();
    write_mailbox(json, event.to);
    json.end_array();
    write_custom_args(json, message);
    if (event.templated) {
        json.key("dynamic_template_data").raw(event.templated->data_json);
    }
    json.end_object().end_array();
}

// SendGrid demands text before HTML.
void write_content(JsonWriter& json, const SendEvent::Content& content) {
    json.member("subject", content.subject);
    json.key("content").begin_array();
    if (!content.text.empty()) {
        json.begin_object().member("type", "text/plain").member("value", content.text).end_object();
    }
    if (!content.html.empty()) {
        json.begin_object().member("type", "text/html").member("value", content.html).end_object();
    }
    json.end_array();
}

// The event's category, then its tags; SendGrid takes at most ten and wants them distinct.
void write_categories(JsonWriter& json, const SendEvent& event) {
    std::vector<std::string_view> categories{event.category};
    for (const std::string& tag : event.tags) {
        if (categories.size() < kCategoriesMax && !tag.empty() &&
            std::find(categories.begin(), categories.end(), tag) == categories.end()) {
            categories.emplace_back(tag);
        }
    }
    json.key("categories").begin_array();
    for (const std::string_view category : categories) {
        json.value(category);
    }
    json.end_array();
}

}  // namespace

Result<HttpRequest> render_sendgrid(const Message& message) {
    const SendEvent& event = message.event;
    HttpRequest request = json_post(url_of(message.provider, "/v3/mail/send"));
    if (event.content) {
        request.body.reserve(event.content->text.size() + event.content->html.size() + 1024);
    }
    JsonWriter json{request.body};
    json.begin_object();
    write_personalization(json, message);
    json.key("from");
    write_mailbox(json, message.from);
    if (event.reply_to) {
        json.key("reply_to");
        write_mailbox(json, *event.reply_to);
    }
    if (event.templated) {
        json.member("template_id", event.templated->id);
    }
    if (event.content) {
        write_content(json, *event.content);
    }
    if (!message.mail_headers.empty()) {
        json.key("headers").begin_object();
        for (const auto& [name, value] : message.mail_headers) {
            json.member(name, value);
        }
        json.end_object();
    }
    write_categories(json, event);
    json.end_object();
    return request;
}

}  // namespace postlane::render_parts
