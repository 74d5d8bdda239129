// parse_answer.cc: the few facts postlane needs out of a provider's answer. Whatever it cannot
// read is simply absent; the status alone then decides.
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>

#include "codec/render.h"

namespace postlane {
namespace {

using simdjson::dom::element;
using Headers = std::vector<std::pair<std::string, std::string>>;

constexpr std::size_t kIdMax = 512;
constexpr std::size_t kWordMax = 64;
constexpr std::int64_t kSecondsMax = 365LL * 24 * 3600;

char lower(char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

std::string_view trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1);
}

std::optional<std::string_view> header(const Headers& headers, std::string_view wanted) {
    for (const auto& [name, value] : headers) {
        if (std::equal(name.begin(), name.end(), wanted.begin(), wanted.end(),
                       [](char one, char other) { return lower(one) == other; })) {
            return trim(value);
        }
    }
    return std::nullopt;
}

// Digits only, as RFC 9110 has them; more than a year counts as a year.
std::optional<std::int64_t> seconds_in(std::string_view text) {
    const bool digits = !text.empty() && std::all_of(text.begin(), text.end(), [](char letter) {
        return letter >= '0' && letter <= '9';
    });
    if (!digits) {
        return std::nullopt;
    }
    std::int64_t seconds = 0;
    const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    return problem == std::errc{} ? seconds : kSecondsMax;
}

// "Sun, 06 Nov 1994 08:49:37 GMT", the one form RFC 9110 lets a sender use. Seconds of Unix time.
std::optional<std::int64_t> http_date(std::string_view text) {
    constexpr std::size_t kLength = 29;
    constexpr std::string_view kMonths = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (text.size() != kLength || text.substr(3, 2) != ", " || text.substr(25) != " GMT") {
        return std::nullopt;
    }
    const auto number = [&](std::size_t at, std::size_t width) {
        return seconds_in(text.substr(at, width));
    };
    const auto month = kMonths.find(text.substr(8, 3));
    const auto day = number(5, 2);
    const auto year = number(12, 4);
    const auto hour = number(17, 2);
    const auto minute = number(20, 2);
    const auto second = number(23, 2);
    if (month == std::string_view::npos || month % 3 != 0 || !day || !year || !hour || !minute ||
        !second || *hour > 23 || *minute > 59 || *second > 60) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year{static_cast<int>(*year)},
                                           std::chrono::month{static_cast<unsigned>(month / 3 + 1)},
                                           std::chrono::day{static_cast<unsigned>(*day)}};
    if (!date.ok()) {
        return std::nullopt;
    }
    const auto days = std::chrono::sys_days{date}.time_since_epoch().count();
    return std::int64_t{days} * 86'400 + *hour * 3'600 + *minute * 60 + *second;
}

Millis bounded(std::int64_t seconds) {
    return std::chrono::seconds{std::clamp<std::int64_t>(seconds, 0, kSecondsMax)};
}

// A moment as a wait, counted on the provider's own clock, so that nobody's skew matters. Without
// its Date the wait is unknown: 0 says "later", and the caller's own back-off decides when.
Millis wait_until(const Headers& headers, std::int64_t moment) {
    const auto date = header(headers, "date");
    const auto now = date ? http_date(*date) : std::nullopt;
    return now ? bounded(moment - *now) : Millis{0};
}

std::optional<Millis> retry_after_of(config::ProviderKind kind, int status,
                                     const Headers& headers) {
    constexpr int kTooManyRequests = 429;
    if (const auto given = header(headers, "retry-after")) {
        if (const auto seconds = seconds_in(*given)) {
            return bounded(*seconds);
        }
        if (const auto moment = http_date(*given)) {
            return wait_until(headers, *moment);
        }
    }
    if (status != kTooManyRequests) {
        return std::nullopt;
    }
    // SendGrid counts to a moment, Resend in seconds.
    if (kind == config::ProviderKind::SendGrid) {
        if (const auto given = header(headers, "x-ratelimit-reset")) {
            if (const auto moment = seconds_in(*given)) {
                return wait_until(headers, *moment);
            }
        }
    } else if (const auto given = header(headers, "ratelimit-reset")) {
        if (const auto seconds = seconds_in(*given)) {
            return bounded(*seconds);
        }
    }
    return std::nullopt;
}

// An id goes into records that others read: nothing that is not plainly an id.
std::string clean_id(std::string_view id) {
    id = trim(id);
    const bool plain = !id.empty() && id.size() <= kIdMax &&
                       std::all_of(id.begin(), id.end(),
                                   [](char letter) { return letter > 0x20 && letter < 0x7f; });
    return plain ? std::string{id} : std::string{};
}

// A machine-readable word, lower case; nothing if it is prose, which may quote an address.
std::string clean_word(std::string_view word) {
    if (word.size() > kWordMax) {
        return {};
    }
    std::string out{word};
    std::transform(out.begin(), out.end(), out.begin(), lower);
    const bool plain = std::all_of(out.begin(), out.end(), [](char letter) {
        return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') ||
               letter == '_' || letter == '-' || letter == '.';
    });
    return plain ? out : std::string{};
}

// SendGrid has no error words, only sentences; these are the ones that mean something to us.
struct Sentence {
    std::string_view text;
    std::string_view word;
};
constexpr std::array kSentences{
    Sentence{"maximum credits exceeded", "maximum_credits_exceeded"},
    Sentence{"authorization required", "authorization_required"},
    Sentence{"the provided authorization grant is invalid, expired, or revoked",
             "authorization_invalid"},
    Sentence{"access forbidden", "access_forbidden"},
    Sentence{"too many requests", "too_many_requests"},
};

std::string word_of_sentence(std::string_view sentence) {
    std::string text{trim(sentence).substr(0, 2 * kWordMax)};
    std::transform(text.begin(), text.end(), text.begin(), lower);
    for (const Sentence& known : kSentences) {
        if (text == known.text) {
            return std::string{known.word};
        }
    }
    return {};
}

std::string_view text_at(const element& document, std::string_view pointer) {
    std::string_view text;
    if (document.at_pointer(pointer).get(text) != simdjson::SUCCESS) {
        return {};
    }
    return text;
}

std::string error_word_of(const element& document) {
    for (const std::string_view pointer : {"/name", "/type", "/code", "/error/name", "/error/type",
                                           "/error/code", "/error", "/errors/0/code"}) {
        std::string word = clean_word(text_at(document, pointer));
        if (!word.empty()) {
            return word;
        }
    }
    return word_of_sentence(text_at(document, "/errors/0/message"));
}

std::string id_in(const element& document) {
    element id;
    if (document.at_pointer("/id").get(id) != simdjson::SUCCESS) {
        return {};
    }
    std::string_view text;
    if (id.get(text) == simdjson::SUCCESS) {
        return clean_id(text);
    }
    std::uint64_t number = 0;
    return id.get(number) == simdjson::SUCCESS ? std::to_string(number) : std::string{};
}

}  // namespace

ProviderAnswer parse_answer(config::ProviderKind kind, int status, const Headers& headers,
                            std::string_view body) {
    ProviderAnswer answer;
    answer.status = status;
    answer.retry_after = retry_after_of(kind, status, headers);
    const bool success = status >= 200 && status <= 299;
    if (success) {
        answer.provider_message_id = clean_id(header(headers, "x-message-id").value_or(""));
        if (kind == config::ProviderKind::SendGrid) {
            return answer;  // its 202 has no body
        }
    }
    if (trim(body).empty()) {
        return answer;
    }
    thread_local simdjson::dom::parser parser;
    element document;
    if (parser.parse(body.data(), body.size()).get(document) != simdjson::SUCCESS ||
        !document.is_object()) {
        return answer;
    }
    if (!success) {
        answer.error_word = error_word_of(document);
        return answer;
    }
    if (std::string id = id_in(document); !id.empty()) {
        answer.provider_message_id = std::move(id);
    }
    // SparkPost's shape: 200, and not one recipient accepted. Bridges to it keep the shape.
    std::int64_t accepted = 0;
    answer.none_accepted =
        document.at_pointer("/results/total_accepted_recipients").get(accepted) ==
            simdjson::SUCCESS &&
        accepted == 0;
    return answer;
}

}  // namespace postlane
