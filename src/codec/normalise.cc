#include "codec/normalise.h"

#include <idn2.h>
#include <simdjson.h>

#include <algorithm>

#include "codec/decode.h"

namespace postlane {
namespace {

// RFC 5321 section 4.5.3.1: local part, domain; and a path of 256 octets holds an address of 254.
constexpr std::size_t kLocalBytesMax = 64;
constexpr std::size_t kDomainBytesMax = 253;
constexpr std::size_t kAddressBytesMax = 254;
constexpr std::size_t kLabelBytesMax = 63;

bool is_alnum(char c) noexcept {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}
bool is_ascii(char c) noexcept {
    return static_cast<unsigned char>(c) < 0x80;
}
char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}
bool is_space(char c) noexcept {
    return c == ' ' || (c >= '\t' && c <= '\r');
}
// RFC 5322 atext, and everything beyond ASCII (RFC 6531).
bool is_atom(char c) noexcept {
    constexpr std::string_view kMarks = "!#$%&'*+-/=?^_`{|}~";
    return is_alnum(c) || !is_ascii(c) || kMarks.find(c) != std::string_view::npos;
}
// Control characters of C1 and the Unicode line separators, in valid UTF-8: nothing in an address,
// and dangerous in a header.
bool has_unicode_controls(std::string_view text) noexcept {
    for (std::size_t i = 0; i + 1 < text.size(); ++i) {
        const auto lead = static_cast<unsigned char>(text[i]);
        const auto next = static_cast<unsigned char>(text[i + 1]);
        if (lead == 0xc2 && next < 0xa0) {
            return true;
        }
        if (lead == 0xe2 && next == 0x80 && i + 2 < text.size()) {
            const auto last = static_cast<unsigned char>(text[i + 2]);
            if (last == 0xa8 || last == 0xa9) {
                return true;
            }
        }
    }
    return false;
}

bool is_dot_atom(std::string_view text) noexcept {
    bool after_dot = true;
    for (const char c : text) {
        if (c == '.') {
            if (after_dot) {
                return false;
            }
            after_dot = true;
        } else if (!is_atom(c)) {
            return false;
        } else {
            after_dot = false;
        }
    }
    return !after_dot;
}

// The content of a quoted string, its escapes resolved. Nothing if it is not well formed.
std::optional<std::string> unquoted(std::string_view quoted) {
    std::string content;
    for (std::size_t i = 1; i + 1 < quoted.size(); ++i) {
        char c = quoted[i];
        if (c == '"') {
            return std::nullopt;
        }
        if (c == '\\') {
            ++i;
            if (i + 1 >= quoted.size()) {
                return std::nullopt;
            }
            c = quoted[i];
        }
        if (is_ascii(c) && (c < ' ' || c == 0x7f)) {
            return std::nullopt;
        }
        content.push_back(c);
    }
    return content;
}

// "Ann"@x and Ann@x are one mailbox, so quotes go where they are not needed.
std::optional<std::string> normalise_local(std::string_view local) {
    if (local.empty() || local.size() > kLocalBytesMax || has_unicode_controls(local)) {
        return std::nullopt;
    }
    if (local.front() != '"') {
        return is_dot_atom(local) ? std::optional{ascii_lower(local)} : std::nullopt;
    }
    if (local.size() < 2 || local.back() != '"') {
        return std::nullopt;
    }
    const auto content = unquoted(local);
    if (!content) {
        return std::nullopt;
    }
    const std::string folded = ascii_lower(*content);
    if (is_dot_atom(folded)) {
        return folded;
    }
    std::string canonical = "\"";
    for (const char c : folded) {
        if (c == '"' || c == '\\') {
            canonical.push_back('\\');
        }
        canonical.push_back(c);
    }
    canonical.push_back('"');
    return canonical;
}

bool is_label(std::string_view label) noexcept {
    return !label.empty() && label.size() <= kLabelBytesMax && label.front() != '-' &&
           label.back() != '-' &&
           std::all_of(label.begin(), label.end(), [](char c) { return is_alnum(c) || c == '-'; });
}

// Host name syntax, and a last label that is no number: a bare IP address is no domain.
bool is_host_name(std::string_view domain) noexcept {
    if (domain.empty() || domain.size() > kDomainBytesMax) {
        return false;
    }
    std::string_view label;
    for (std::string_view rest = domain;;) {
        const std::size_t dot = rest.find('.');
        label = rest.substr(0, dot);
        if (!is_label(label)) {
            return false;
        }
        if (dot == std::string_view::npos) {
            break;
        }
        rest.remove_prefix(dot + 1);
    }
    return !std::all_of(label.begin(), label.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::optional<std::string> to_a_labels(const std::string& domain) {
    char* converted = nullptr;
    const int code =
        idn2_to_ascii_8z(domain.c_str(), &converted,
                         IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES);
    if (code != IDN2_OK) {
        return std::nullopt;
    }
    std::string result = converted;
    idn2_free(converted);
    return result;
}

std::optional<std::string> normalise_domain(std::string_view domain) {
    // "example.com." is the same domain, written absolutely.
    if (!domain.empty() && domain.back() == '.') {
        domain.remove_suffix(1);
    }
    if (domain.empty() || domain.size() > 4 * kDomainBytesMax || has_unicode_controls(domain)) {
        return std::nullopt;
    }
    std::string folded = ascii_lower(domain);
    const bool plain = std::all_of(folded.begin(), folded.end(), is_ascii) &&
                       folded.find("xn--") == std::string::npos;
    if (!plain) {
        if (folded.find('\0') != std::string::npos) {
            return std::nullopt;
        }
        auto converted = to_a_labels(folded);
        if (!converted) {
            return std::nullopt;
        }
        folded = ascii_lower(*converted);
    }
    if (!is_host_name(folded)) {
        return std::nullopt;
    }
    return folded;
}

}  // namespace

std::string_view trimmed(std::string_view text) noexcept {
    while (!text.empty() && is_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_space(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

std::string ascii_lower(std::string_view text) {
    std::string result{text};
    std::transform(result.begin(), result.end(), result.begin(), lower);
    return result;
}

std::optional<std::string> normalise_name(std::string_view text) {
    const std::string_view name = trimmed(text);
    if (name.empty() || name.size() > 64 || !is_alnum(name.front())) {
        return std::nullopt;
    }
    const bool fits = std::all_of(name.begin(), name.end(), [](char c) {
        return is_alnum(c) || c == '.' || c == '_' || c == '-';
    });
    return fits ? std::optional{ascii_lower(name)} : std::nullopt;
}

bool is_id(std::string_view bytes) noexcept {
    return !bytes.empty() && bytes.size() <= kIdBytesMax && simdjson::validate_utf8(bytes);
}

// Letters beyond ASCII in the local part stay as they are: only their mail host knows how it
// compares them (RFC 6531), and a key must be computed alike by every producer.
std::optional<AddressKey> normalise_address(std::string_view email) {
    const std::size_t at = email.rfind('@');
    if (at == std::string_view::npos || !simdjson::validate_utf8(email)) {
        return std::nullopt;
    }
    const auto local = normalise_local(email.substr(0, at));
    if (!local) {
        return std::nullopt;
    }
    const auto domain = normalise_domain(email.substr(at + 1));
    if (!domain || at + 1 + domain->size() > kAddressBytesMax) {
        return std::nullopt;
    }
    std::string key;
    key.reserve(local->size() + 1 + domain->size());
    key.append(*local).append(1, '@').append(*domain);
    return AddressKey{std::move(key)};
}

}  // namespace postlane
