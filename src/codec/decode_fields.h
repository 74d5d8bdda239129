// Reads the fields of a JSON object by their rules. Private to the decoder.
#pragma once

#include <simdjson.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "postlane/event.h"

namespace postlane {

// The members of one object that have a known name. An explicit null counts as absent: that is how
// many serialisers write an absent field.
template <std::size_t Count>
class Members {
public:
    // `names` outlives the object, as string literals do.
    Members(simdjson::dom::object object, const std::array<std::string_view, Count>& names) {
        std::size_t ordinal = 0;
        for (const simdjson::dom::key_value_pair member : object) {
            for (std::size_t i = 0; i < Count; ++i) {
                if (names[i] == member.key) {
                    if (!member.value.is_null()) {
                        values_[i] = member.value;
                        ordinals_[i] = ordinal;
                    }
                    break;
                }
            }
            ++ordinal;
        }
    }
    [[nodiscard]] const std::optional<simdjson::dom::element>& operator[](
        std::size_t name) const noexcept {
        return values_[name];
    }
    // Where in the object's text, counted in members.
    [[nodiscard]] std::size_t ordinal(std::size_t name) const noexcept { return ordinals_[name]; }

private:
    std::array<std::optional<simdjson::dom::element>, Count> values_{};
    std::array<std::size_t, Count> ordinals_{};
};

enum class Characters : std::uint8_t {
    Text,     // anything but NUL
    OneLine,  // no control character but tab: it may end up in a header
};

struct TextRule {
    Characters characters = Characters::OneLine;
    std::size_t bytes_min = 1;
    std::size_t bytes_max = 0;
};

// How explanations call a mailbox and its members.
struct MailboxNames {
    std::string_view whole;
    std::string_view email;
    std::string_view name;
};

// Keeps the first thing that is wrong; after that the values it returns mean nothing. Never puts a
// value into the explanation.
class FieldReader {
public:
    using Value = std::optional<simdjson::dom::element>;

    [[nodiscard]] bool failed() const noexcept { return failed_; }
    [[nodiscard]] Rejection rejection() && { return std::move(rejection_); }
    void fail(std::string_view field, std::string_view what, Reason reason = Reason::InvalidField);

    void fail_with(Rejection rejection);

    // Absent values give nothing and no failure, except for the required_ ones.
    std::optional<std::string_view> text(const Value& value, std::string_view field,
                                         const TextRule& rule);
    std::optional<simdjson::dom::object> object(const Value& value, std::string_view field);
    std::optional<std::uint64_t> whole_number(const Value& value, std::string_view field,
                                              std::uint64_t min, std::uint64_t max);
    std::optional<Instant> time(const Value& value, std::string_view field);
    std::optional<std::string> name(const Value& value, std::string_view field);
    // `address`, if wanted, receives the normalised form.
    std::optional<Mailbox> mailbox(const Value& value, const MailboxNames& names,
                                   AddressKey* address = nullptr);
    template <class T>
    void require(const std::optional<T>& value, std::string_view field) {
        if (!value && !failed_) {
            fail(field, "required");
        }
    }

private:
    Rejection rejection_;
    bool failed_ = false;
};

[[nodiscard]] bool has_only(std::string_view text, Characters allowed) noexcept;

}  // namespace postlane
