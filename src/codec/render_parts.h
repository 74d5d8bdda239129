// What the renderers of all providers share. Private to codec/render*.cc.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "codec/json_writer.h"
#include "postlane/config.h"
#include "postlane/error.h"
#include "postlane/event.h"
#include "postlane/ports/dispatcher.h"

namespace postlane::render_parts {

// Everything a renderer needs; checked: no text in it that becomes a mail header can break out of
// its line.
struct Message {
    const SendEvent& event;
    const config::Provider& provider;
    Mailbox from;  // the event's, else the route's
    std::string_view key;
    // The event's headers, then those of RFC 8058. The latter replace headers of the same name.
    std::vector<std::pair<std::string, std::string>> mail_headers;
};

// Fails with Malformed where a text could forge a mail header, or no sender is known.
[[nodiscard]] Result<Message> check(const SendEvent& event, const config::Provider& provider,
                                    const config::Route& route, std::string_view key);

[[nodiscard]] bool equal_ignoring_case(std::string_view left, std::string_view right);

// base_url without its trailing slash, then `path`.
[[nodiscard]] std::string url_of(const config::Provider& provider, std::string_view path);

// {"email": …, "name": …}, the name only if there is one.
void write_mailbox(JsonWriter& json, const Mailbox& mailbox);

// A JSON POST without a body yet.
[[nodiscard]] HttpRequest json_post(std::string url);

[[nodiscard]] Result<HttpRequest> render_http(const Message& message);
[[nodiscard]] Result<HttpRequest> render_sendgrid(const Message& message);
[[nodiscard]] Result<HttpRequest> render_resend(const Message& message);

}  // namespace postlane::render_parts
