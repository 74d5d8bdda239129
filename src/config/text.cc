#include "config/text.h"

#include <arpa/inet.h>

#include <fmt/format.h>
#include <algorithm>
#include <array>
#include <charconv>

namespace postlane::config {
namespace {

bool is_digit(char c) {
    return c >= '0' && c <= '9';
}
bool is_lower(char c) {
    return c >= 'a' && c <= 'z';
}
bool is_alnum(char c) {
    return is_digit(c) || is_lower(c) || (c >= 'A' && c <= 'Z');
}
bool is_printable(char c) {
    return static_cast<unsigned char>(c) > 0x20 && c != 0x7f;
}

bool is_ip(std::string_view host) {
    std::array<unsigned char, sizeof(in6_addr)> bytes{};
    const std::string text(host);
    return inet_pton(AF_INET, text.c_str(), bytes.data()) == 1 ||
           inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1;
}

bool is_host_name(std::string_view host) {
    return !host.empty() && host.size() <= 253 && is_alnum(host.front()) &&
           std::all_of(host.begin(), host.end(),
                       [](char c) { return is_alnum(c) || c == '-' || c == '.' || c == '_'; });
}

// librdkafka's properties whose values are credentials (CONFIGURATION.md of librdkafka).
constexpr std::array<std::string_view, 8> kSecretNames{
    "sasl.password",           "ssl.key.password",
    "ssl.keystore.password",   "ssl.key.pem",
    "sasl.oauthbearer.config", "sasl.oauthbearer.client.secret",
    "sasl.jaas.config",        "sasl.oauthbearer.extensions",
};
constexpr std::array<std::string_view, 14> kSecretWords{
    "password",   "passwd",
    "passphrase", "secret",
    "token",      "credential",
    "jaas",       "api_key",
    "apikey",     "private",
    "key.pem",    "authorization",
    "ssl_key",    "oauthbearer.config",
};

}  // namespace

std::size_t utf8_length(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
    const unsigned char first = byte(at);
    if (first < 0x80) {
        return 1;
    }
    const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || at + length > text.size()) {
        return 0;
    }
    for (std::size_t i = at + 1; i < at + length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) {
            return 0;
        }
    }
    // Overlong forms, surrogates and what lies beyond U+10FFFF show in the second byte.
    const unsigned char second = byte(at + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f) ||
        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) {
        return 0;
    }
    return length;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r\n";
    const std::size_t begin = text.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) {
        return {};
    }
    return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::string lower_ascii(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    return out;
}

std::string upper_ascii(std::string_view text) {
    std::string out(text);
    std::transform(out.begin(), out.end(), out.begin(),
                   [](char c) { return is_lower(c) ? static_cast<char>(c - 32) : c; });
    return out;
}

std::size_t edit_distance(std::string_view left, std::string_view right) {
    const std::size_t width = right.size() + 1;
    std::vector<std::size_t> cells((left.size() + 1) * width);
    const auto at = [&](std::size_t i, std::size_t j) -> std::size_t& {
        return cells[i * width + j];
    };
    for (std::size_t i = 0; i <= left.size(); ++i) {
        for (std::size_t j = 0; j <= right.size(); ++j) {
            if (i == 0 || j == 0) {
                at(i, j) = i + j;
                continue;
            }
            const std::size_t replaced = at(i - 1, j - 1) + (left[i - 1] == right[j - 1] ? 0 : 1);
            at(i, j) = std::min({at(i - 1, j) + 1, at(i, j - 1) + 1, replaced});
            if (i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1]) {
                at(i, j) = std::min(at(i, j), at(i - 2, j - 2) + 1);
            }
        }
    }
    return at(left.size(), right.size());
}

std::optional<std::string> nearest(std::string_view text,
                                   const std::vector<std::string>& candidates) {
    std::optional<std::string> best;
    std::size_t best_distance = 0;
    const std::string lowered = lower_ascii(text.substr(0, 100));
    for (const std::string& candidate : candidates) {
        // A name without its unit, or the other way round, is a near miss however long the unit.
        const bool begins = std::min(lowered.size(), candidate.size()) >= 4 &&
                            (candidate.starts_with(lowered) || lowered.starts_with(candidate));
        const std::size_t distance = begins ? 1 : edit_distance(lowered, candidate);
        const std::size_t allowed = std::max<std::size_t>(2, candidate.size() / 3);
        if (distance <= allowed && (!best || distance < best_distance)) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

std::string one_of(const std::vector<std::string>& words) {
    std::string text;
    for (std::size_t i = 0; i < words.size(); ++i) {
        text += i == 0 ? "" : i + 1 == words.size() ? " or " : ", ";
        text += words[i];
    }
    return text;
}

bool names_secret(std::string_view name) {
    const std::string lowered = lower_ascii(name);
    if (lowered.ends_with("_file") || lowered.ends_with("_files") || lowered.ends_with(".url")) {
        return false;
    }
    const bool has_word =
        std::any_of(kSecretWords.begin(), kSecretWords.end(),
                    [&](std::string_view word) { return lowered.find(word) != std::string::npos; });
    return has_word ||
           std::any_of(kSecretNames.begin(), kSecretNames.end(), [&](std::string_view known) {
               return edit_distance(lowered.substr(0, 64), known) <= 3;
           });
}

std::string without_secrets(std::string_view line) {
    constexpr std::string_view kNameBytes =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    std::size_t at = line.find_first_of(kNameBytes);
    while (at != std::string_view::npos) {
        const std::size_t end = std::min(line.find_first_not_of(kNameBytes, at), line.size());
        const bool in_path =
            (at > 0 && line[at - 1] == '/') || (end < line.size() && line[end] == '/');
        if (!in_path && names_secret(line.substr(at, end - at))) {
            // Whatever follows, also where the '=' was forgotten or mistyped.
            std::string shown(line.substr(0, end));
            if (end < line.size() && (line[end] == '"' || line[end] == '\'')) {
                shown += line[end];
            }
            return shown + " = [redacted]";
        }
        at = line.find_first_of(kNameBytes, end);
    }
    return std::string(line);
}

bool looks_like_path(std::string_view text) {
    return text.starts_with('/') || text.starts_with("./") || text.starts_with("../");
}

std::optional<std::string> normal_name(std::string_view text) {
    std::string name = lower_ascii(trimmed(text));
    const auto allowed = [](char c) {
        return is_lower(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
    };
    if (name.empty() || name.size() > 64 || !(is_lower(name[0]) || is_digit(name[0])) ||
        !std::all_of(name.begin(), name.end(), allowed)) {
        return std::nullopt;
    }
    return name;
}

std::optional<std::string> normal_topic(std::string_view text) {
    const auto allowed = [](char c) { return is_alnum(c) || c == '.' || c == '_' || c == '-'; };
    if (text.empty() || text.size() > 249 || text == "." || text == ".." ||
        !std::all_of(text.begin(), text.end(), allowed)) {
        return std::nullopt;
    }
    return std::string(text);
}

std::optional<HostPort> split_host_port(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) {
        return std::nullopt;
    }
    std::string_view host = text.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']') && host.size() > 2) {
        host = host.substr(1, host.size() - 2);
        if (host.find(':') == std::string_view::npos || !is_ip(host)) {
            return std::nullopt;
        }
    } else if (!is_host_name(host)) {
        return std::nullopt;
    }
    const std::string_view digits = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size() || port == 0) {
        return std::nullopt;
    }
    return HostPort{std::string(host), port};
}

std::optional<std::string> normal_server(std::string_view text) {
    if (!split_host_port(text)) {
        return std::nullopt;
    }
    return std::string(text);
}

std::optional<std::string> normal_listen(std::string_view text) {
    const std::optional<HostPort> parts = split_host_port(text);
    if (!parts || !(is_ip(parts->host) || parts->host == "localhost")) {
        return std::nullopt;
    }
    return std::string(text);
}

bool is_loopback(std::string_view host) {
    return host == "localhost" || host == "::1" || (host.starts_with("127.") && is_ip(host));
}

std::optional<std::string> normal_url(std::string_view text) {
    constexpr std::string_view kSchemeEnd = "://";
    const std::size_t scheme_end = text.find(kSchemeEnd);
    if (scheme_end == std::string_view::npos || text.size() > 2000 ||
        !std::all_of(text.begin(), text.end(), [](char c) {
            return is_printable(c) && static_cast<unsigned char>(c) < 0x80;
        })) {
        return std::nullopt;
    }
    const std::string scheme = lower_ascii(text.substr(0, scheme_end));
    const std::string_view rest = text.substr(scheme_end + kSchemeEnd.size());
    const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
    if ((scheme != "http" && scheme != "https") || rest.find('#') != std::string_view::npos) {
        return std::nullopt;
    }
    const bool has_port = authority.find(':') != std::string_view::npos;
    const bool valid = has_port && !authority.ends_with(']')
                           ? split_host_port(authority).has_value()
                           : split_host_port(std::string(authority) + ":1").has_value();
    if (!valid) {
        return std::nullopt;
    }
    return scheme + std::string(kSchemeEnd) + std::string(rest);
}

std::optional<std::string> normal_header(std::string_view text) {
    constexpr std::string_view kExtra = "!#$%&'*+-.^_`|~";
    if (text.empty() || text.size() > 100 || !std::all_of(text.begin(), text.end(), [&](char c) {
            return is_alnum(c) || kExtra.find(c) != std::string_view::npos;
        })) {
        return std::nullopt;
    }
    return std::string(text);
}

std::optional<std::string> normal_filled(std::string_view text) {
    const auto is_control = [](char c) {
        return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
    };
    if (trimmed(text).empty() || text.size() > 4096 ||
        std::any_of(text.begin(), text.end(), is_control)) {
        return std::nullopt;
    }
    return std::string(text);
}

std::optional<std::string> normal_email(std::string_view text) {
    const std::size_t at = text.rfind('@');
    const auto allowed = [](char c) {
        return is_printable(c) && c != '<' && c != '>' && c != ',' && c != ';' && c != '"';
    };
    if (at == std::string_view::npos || at == 0 || at > 64 || text.size() > 254 ||
        text.find('@') != at || !is_host_name(text.substr(at + 1)) ||
        !std::all_of(text.begin(), text.end(), allowed)) {
        return std::nullopt;
    }
    return std::string(text);
}

}  // namespace postlane::config
