#include "codec/decode_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "codec/decode.h"
#include "codec/normalise.h"
#include "codec/time.h"

namespace postlane {
namespace {

namespace dom = simdjson::dom;

constexpr TextRule kEmailRule{Characters::OneLine, 1, 254};
constexpr TextRule kMailboxNameRule{Characters::OneLine, 0, 256};
constexpr TextRule kTimeRule{Characters::OneLine, 1, 64};

// 2.0 is a whole number in JSON Schema, so it is one here.
std::optional<std::uint64_t> whole_of(dom::element element) noexcept {
    // Asked by type: simdjson would convert a long integer to the nearest double.
    if (element.type() != dom::element_type::DOUBLE) {
        std::uint64_t number = 0;
        return element.get(number) == simdjson::SUCCESS ? std::optional{number} : std::nullopt;
    }
    const double floating = element.get_double().value_unsafe();
    if (floating >= 0 && floating <= 9007199254740992.0 && std::trunc(floating) == floating) {
        return static_cast<std::uint64_t>(floating);
    }
    return std::nullopt;
}

}  // namespace

bool has_only(std::string_view text, Characters allowed) noexcept {
    if (allowed == Characters::Text) {
        return text.find('\0') == std::string_view::npos;
    }
    return std::none_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return (byte < 0x20 && c != '\t') || byte == 0x7f;
    });
}

void FieldReader::fail(std::string_view field, std::string_view what, Reason reason) {
    if (!failed_) {
        failed_ = true;
        rejection_ = Rejection{reason, fmt::format("{}: {}", field, what)};
    }
}

void FieldReader::fail_with(Rejection rejection) {
    if (!failed_) {
        failed_ = true;
        rejection_ = std::move(rejection);
    }
}

std::optional<std::string_view> FieldReader::text(const Value& value, std::string_view field,
                                                  const TextRule& rule) {
    if (!value || failed_) {
        return std::nullopt;
    }
    std::string_view result;
    if (value->get(result) != simdjson::SUCCESS) {
        fail(field, "must be a string");
    } else if (result.size() < rule.bytes_min) {
        fail(field, "must not be empty");
    } else if (result.size() > rule.bytes_max) {
        fail(field, fmt::format("longer than {} bytes", rule.bytes_max));
    } else if (!has_only(result, rule.characters)) {
        fail(field, rule.characters == Characters::Text
                        ? "must not contain NUL"
                        : "must not contain line breaks or other control characters");
    } else {
        return result;
    }
    return std::nullopt;
}

std::optional<dom::object> FieldReader::object(const Value& value, std::string_view field) {
    if (!value || failed_) {
        return std::nullopt;
    }
    dom::object result;
    if (value->get(result) != simdjson::SUCCESS) {
        fail(field, "must be an object");
        return std::nullopt;
    }
    return result;
}

std::optional<std::uint64_t> FieldReader::whole_number(const Value& value, std::string_view field,
                                                       std::uint64_t min, std::uint64_t max) {
    if (!value || failed_) {
        return std::nullopt;
    }
    const auto number = whole_of(*value);
    if (!number || *number < min || *number > max) {
        fail(field, fmt::format("must be a whole number from {} to {}", min, max));
        return std::nullopt;
    }
    return number;
}

std::optional<Instant> FieldReader::time(const Value& value, std::string_view field) {
    const auto written = text(value, field, kTimeRule);
    if (!written) {
        return std::nullopt;
    }
    const auto when = parse_time(*written);
    if (!when) {
        fail(field, "must be an RFC 3339 time with an offset, such as 2026-12-01T09:00:00Z");
    }
    return when;
}

std::optional<std::string> FieldReader::name(const Value& value, std::string_view field) {
    // Trimming comes before the rule, so line breaks around the name are fine.
    if (!value || failed_) {
        return std::nullopt;
    }
    std::string_view written;
    if (value->get(written) != simdjson::SUCCESS) {
        fail(field, "must be a string");
        return std::nullopt;
    }
    auto result = normalise_name(written);
    if (!result) {
        fail(field,
             "must begin with a letter or digit and have at most 64 of a-z, 0-9, '.', '_', '-'");
    }
    return result;
}

std::optional<Mailbox> FieldReader::mailbox(const Value& value, const MailboxNames& names,
                                            AddressKey* address) {
    static constexpr std::array<std::string_view, 2> kMembers{"email", "name"};
    const auto members = object(value, names.whole);
    if (!members) {
        return std::nullopt;
    }
    const Members<2> fields{*members, kMembers};
    const auto email = text(fields[0], names.email, kEmailRule);
    require(email, names.email);
    const auto display = text(fields[1], names.name, kMailboxNameRule);
    if (failed_) {
        return std::nullopt;
    }
    auto key = normalise_address(*email);
    if (!key) {
        fail(names.email, "not an email address");
        return std::nullopt;
    }
    if (address != nullptr) {
        *address = std::move(*key);
    }
    return Mailbox{std::string{*email}, std::string{display.value_or("")}};
}

}  // namespace postlane
