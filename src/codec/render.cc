#include "codec/render.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cstdint>
#include <memory>

#include "codec/render_parts.h"

namespace postlane {
namespace render_parts {
namespace {

// RFC 5322 allows a line 998 bytes; the name, the brackets and the colon take some of them.
constexpr std::size_t kUnsubscribeUrlMax = 960;
constexpr std::string_view kListUnsubscribe = "List-Unsubscribe";
constexpr std::string_view kListUnsubscribePost = "List-Unsubscribe-Post";

char lower(char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

// A line break or a NUL ends a header early, whatever a vendor's software does with the rest.
bool breaks_a_line(std::string_view text) {
    return text.find_first_of(std::string_view{"\r\n\0", 3}) != std::string_view::npos;
}

// RFC 5322's ftext: printable ASCII without the colon.
bool is_header_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char letter) {
        return letter > 0x20 && letter < 0x7f && letter != ':';
    });
}

bool is_one_https_uri(std::string_view url) {
    constexpr std::string_view kScheme = "https://";
    if (url.size() <= kScheme.size() || url.size() > kUnsubscribeUrlMax ||
        !equal_ignoring_case(url.substr(0, kScheme.size()), kScheme)) {
        return false;
    }
    return std::all_of(url.begin(), url.end(), [](char letter) {
        return letter > 0x20 && letter < 0x7f && letter != '<' && letter != '>' && letter != '"';
    });
}

tl::unexpected<Error> forged(std::string_view field) {
    return fail(ErrorCode::Malformed,
                fmt::format("{} must not contain a line break or a NUL", field));
}

Result<void> check_lines(const SendEvent& event, const Mailbox& from) {
    if (breaks_a_line(from.email) || breaks_a_line(from.name)) {
        return forged("from");
    }
    if (breaks_a_line(event.to.email) || breaks_a_line(event.to.name)) {
        return forged("to");
    }
    if (event.reply_to &&
        (breaks_a_line(event.reply_to->email) || breaks_a_line(event.reply_to->name))) {
        return forged("reply_to");
    }
    if (event.content && breaks_a_line(event.content->subject)) {
        return forged("content.subject");
    }
    for (const auto& [name, value] : event.headers) {
        if (!is_header_name(name)) {
            return fail(ErrorCode::Malformed,
                        "a name in headers is no header name: use printable ASCII without a colon");
        }
        if (breaks_a_line(value)) {
            return forged("a value in headers");
        }
    }
    return {};
}

Mailbox sender_of(const SendEvent& event, const config::Route& route) {
    if (event.from) {
        return *event.from;
    }
    if (route.from) {
        return Mailbox{.email = route.from->email, .name = route.from->name.value_or("")};
    }
    return {};
}

std::vector<std::pair<std::string, std::string>> mail_headers_of(const SendEvent& event) {
    if (event.unsubscribe_url.empty()) {
        return event.headers;
    }
    std::vector<std::pair<std::string, std::string>> headers;
    headers.reserve(event.headers.size() + 2);
    for (const auto& header : event.headers) {
        if (!equal_ignoring_case(header.first, kListUnsubscribe) &&
            !equal_ignoring_case(header.first, kListUnsubscribePost)) {
            headers.push_back(header);
        }
    }
    headers.emplace_back(kListUnsubscribe, fmt::format("<{}>", event.unsubscribe_url));
    headers.emplace_back(kListUnsubscribePost, "List-Unsubscribe=One-Click");
    return headers;
}

}  // namespace

bool equal_ignoring_case(std::string_view left, std::string_view right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](char one, char other) { return lower(one) == lower(other); });
}

Result<Message> check(const SendEvent& event, const config::Provider& provider,
                      const config::Route& route, std::string_view key) {
    Mailbox from = sender_of(event, route);
    if (from.email.empty()) {
        return fail(ErrorCode::Malformed,
                    fmt::format("no sender: give the event a from, or route {} one", route.name));
    }
    if (auto checked = check_lines(event, from); !checked) {
        return tl::unexpected<Error>(checked.error());
    }
    if (!event.unsubscribe_url.empty() && !is_one_https_uri(event.unsubscribe_url)) {
        return fail(ErrorCode::Malformed,
                    fmt::format("unsubscribe_url must be one https:// URI of at most {} printable "
                                "ASCII characters (RFC 8058)",
                                kUnsubscribeUrlMax));
    }
    return Message{.event = event,
                   .provider = provider,
                   .from = std::move(from),
                   .key = key,
                   .mail_headers = mail_headers_of(event)};
}

std::string url_of(const config::Provider& provider, std::string_view path) {
    std::string_view base = provider.base_url;
    while (base.ends_with('/')) {
        base.remove_suffix(1);
    }
    std::string url{base};
    url.append(path);
    return url;
}

void write_mailbox(JsonWriter& json, const Mailbox& mailbox) {
    json.begin_object().member("email", mailbox.email);
    if (!mailbox.name.empty()) {
        json.member("name", mailbox.name);
    }
    json.end_object();
}

HttpRequest json_post(std::string url) {
    HttpRequest request;
    request.url = std::move(url);
    request.headers.emplace_back("Content-Type", "application/json");
    return request;
}

}  // namespace render_parts

namespace {

struct StateDeleter {
    void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

// Length first, so that no two requests share their bytes by accident.
void feed(XXH3_state_t& state, std::string_view bytes) {
    const std::uint64_t size = bytes.size();
    unsigned char length[sizeof(size)];
    for (std::size_t at = 0; at < sizeof(size); ++at) {
        length[at] = static_cast<unsigned char>(size >> (8 * at));
    }
    XXH3_128bits_update(&state, length, sizeof(length));
    XXH3_128bits_update(&state, bytes.data(), bytes.size());
}

}  // namespace

Result<HttpRequest> render(const SendEvent& event, const config::Provider& provider,
                           const config::Route& route, std::string_view key) {
    const auto message = render_parts::check(event, provider, route, key);
    if (!message) {
        return tl::unexpected<Error>(message.error());
    }
    switch (provider.kind) {
        case config::ProviderKind::Http:
            return render_parts::render_http(*message);
        case config::ProviderKind::SendGrid:
            return render_parts::render_sendgrid(*message);
        case config::ProviderKind::Resend:
            return render_parts::render_resend(*message);
        case config::ProviderKind::Ses:
        case config::ProviderKind::Mailgun:
        case config::ProviderKind::Postmark:
        case config::ProviderKind::SparkPost:
        case config::ProviderKind::Brevo:
        case config::ProviderKind::MailerSend:
        case config::ProviderKind::Smtp:
            break;
    }
    return fail(ErrorCode::Misconfigured,
                fmt::format("provider {} is of a kind this release cannot send through; use http, "
                            "sendgrid or resend",
                            provider.name));
}

Hash128 request_hash(const HttpRequest& request) {
    // The library hides the state's size; one per thread saves an allocation per request.
    thread_local const std::unique_ptr<XXH3_state_t, StateDeleter> owned{XXH3_createState()};
    XXH3_state_t& state = *owned;
    XXH3_128bits_reset(&state);
    feed(state, request.url);
    for (const auto& [name, value] : request.headers) {
        feed(state, name);
        feed(state, value);
    }
    feed(state, request.body);
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(&state));
    Hash128 hash;
    std::copy(std::begin(canonical.digest), std::end(canonical.digest), hash.begin());
    return hash;
}

}  // namespace postlane
