#include "codec/decode_header_names.h"

#include <algorithm>
#include <array>

namespace postlane {
namespace {

constexpr std::size_t kNameBytesMax = 76;  // a line of 78 holds it with its colon

constexpr std::array<std::string_view, 20> kReserved{"to",
                                                     "cc",
                                                     "bcc",
                                                     "from",
                                                     "sender",
                                                     "reply-to",
                                                     "subject",
                                                     "date",
                                                     "message-id",
                                                     "mime-version",
                                                     "return-path",
                                                     "received",
                                                     "received-spf",
                                                     "dkim-signature",
                                                     "domainkey-signature",
                                                     "x-smtpapi",
                                                     "x-msys-api",
                                                     "feedback-id",
                                                     "authentication-results",
                                                     "idempotency-key"};
constexpr std::array<std::string_view, 10> kReservedPrefixes{
    "content-", "resent-",    "arc-",  "x-postlane-", "x-sg-",
    "x-ses-",   "x-mailgun-", "x-pm-", "x-msys-",     "x-mailin-"};
constexpr std::array<std::string_view, 2> kUnsubscribe{"list-unsubscribe", "list-unsubscribe-post"};

char lower(char c) noexcept {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool begins_with(std::string_view name, std::string_view prefix) noexcept {
    return name.size() >= prefix.size() &&
           equal_ignoring_case(name.substr(0, prefix.size()), prefix);
}

}  // namespace

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept {
    return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(),
                                              [](char x, char y) { return lower(x) == lower(y); });
}

bool is_header_name(std::string_view name) noexcept {
    static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return !name.empty() && name.size() <= kNameBytesMax &&
           std::all_of(name.begin(), name.end(), [](char c) {
               const char folded = lower(c);
               return (folded >= 'a' && folded <= 'z') || (c >= '0' && c <= '9') ||
                      kMarks.find(c) != std::string_view::npos;
           });
}

bool is_reserved_header(std::string_view name, bool with_unsubscribe_url) noexcept {
    const auto is_name = [name](std::string_view other) {
        return equal_ignoring_case(name, other);
    };
    const auto begins = [name](std::string_view prefix) { return begins_with(name, prefix); };
    return std::any_of(kReserved.begin(), kReserved.end(), is_name) ||
           std::any_of(kReservedPrefixes.begin(), kReservedPrefixes.end(), begins) ||
           (with_unsubscribe_url && std::any_of(kUnsubscribe.begin(), kUnsubscribe.end(), is_name));
}

}  // namespace postlane
