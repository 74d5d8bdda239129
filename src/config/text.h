// Small questions about text: normal forms, nearest names, what must not be printed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postlane::config {

// Bytes of the UTF-8 character at `at`; 0 if there is no valid one.
std::size_t utf8_length(std::string_view text, std::size_t at);

std::string_view trimmed(std::string_view text);
std::string lower_ascii(std::string_view text);
std::string upper_ascii(std::string_view text);

// The candidate that `text` is most probably a misspelling of.
std::optional<std::string> nearest(std::string_view text,
                                   const std::vector<std::string>& candidates);
// Insertions, deletions, replacements and swaps of neighbours that turn one into the other.
std::size_t edit_distance(std::string_view left, std::string_view right);

// "a, b or c".
std::string one_of(const std::vector<std::string>& words);

// Whether a name, such as "sasl.password" or a misspelling of it, stands for a credential.
bool names_secret(std::string_view name);

// The line without what may be a credential on it: everything behind a name that stands for one.
std::string without_secrets(std::string_view line);

// Whether a value given for a file can be shown. A credential pasted where its path belongs
// does not begin like this.
bool looks_like_path(std::string_view text);

// Normal forms. Each returns nothing if the text has no such form.
std::optional<std::string> normal_name(std::string_view text);    // routes, providers, categories
std::optional<std::string> normal_topic(std::string_view text);   // Kafka's rule for topic names
std::optional<std::string> normal_server(std::string_view text);  // host:port of a broker
std::optional<std::string> normal_listen(std::string_view text);  // address:port to bind
std::optional<std::string> normal_url(std::string_view text);     // http(s), no user, no fragment
std::optional<std::string> normal_header(std::string_view text);  // RFC 9110 field name
std::optional<std::string> normal_filled(std::string_view text);  // not blank, no control bytes
std::optional<std::string> normal_email(std::string_view text);   // one mailbox, no display name

struct HostPort {
    std::string host;  // without brackets
    std::uint16_t port = 0;
};
std::optional<HostPort> split_host_port(std::string_view text);
// Whether only this machine reaches a listener bound to `host`.
bool is_loopback(std::string_view host);

}  // namespace postlane::config
