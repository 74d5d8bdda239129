// Every setting, declared once: the parser, the annotated files, the JSON Schema, `config show`
// and the reference page are all made from the tables in settings.cc.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "postlane/config.h"

namespace postlane::config {

enum class Type : std::uint8_t {
    Boolean,
    Integer,
    Number,
    Text,
    Word,
    TextList,
    IntegerList,
    Mailbox,
};

// A checked value. A Word stays a string here and becomes its enumerator when it is stored.
using Value = std::variant<bool, std::int64_t, double, std::string, std::vector<std::string>,
                           std::vector<std::int64_t>, Mailbox>;

// One choice of a Word setting.
struct Word {
    std::string_view text{};
    int value = 0;
    std::string_view help{};
    bool supported = true;
};

// The form of a text, or of every text of a list.
struct Format {
    std::string_view expects{};  // continues "expected …"
    std::string_view pattern{};  // the same for JSON Schema, as far as a pattern can say it
    std::optional<std::string> (*normalise)(std::string_view) = nullptr;
};

struct Setting;
using Store = void (*)(void* section, const Value& value, const Setting& setting);

struct Setting {
    std::string_view key{};
    Type type = Type::Text;
    std::string_view fallback{};  // the default as a TOML literal; empty: there is none
    bool required = false;
    std::string_view unit{};
    std::int64_t min = 0;  // of a number; of every number of an IntegerList
    std::int64_t max = std::numeric_limits<std::int64_t>::max();
    bool may_be_empty = true;  // lists
    bool unique = false;       // lists: no value twice
    bool is_file = false;      // names a file with a credential
    const Format* format = nullptr;
    std::span<const Word> words{};
    std::string_view kind{};     // the only provider kind it applies to; empty: all
    std::string_view help{};     // whole sentences
    std::string_view example{};  // TOML literal for the example file, and where there is no default
    bool in_example = false;     // active in the example file though it has no default
    Store store = nullptr;
};

// A table of the file, or an array of tables ([[providers]], [[routes]]).
struct Section {
    std::string_view name{};  // empty: the top of the file
    bool repeated = false;
    std::string_view help{};
    std::span<const Setting> settings{};
};

// All sections in the order of the annotated file. The two free tables of [kafka],
// librdkafka and librdkafka_files, have no settings of their own: see librdkafka.h.
std::span<const Section> all_sections();
const Section& section(std::string_view name);
const Setting* find_setting(const Section& in, std::string_view key);
std::vector<std::string> keys(const Section& in);
// Without `supported_only` also the words this release refuses.
std::vector<std::string> words(const Setting& setting, bool supported_only);

namespace detail {

template <class T>
struct MemberOf;
template <class Owner, class Member>
struct MemberOf<Member Owner::*> {
    using OwnerType = Owner;
    using MemberType = Member;
};

inline int word_value(const Setting& setting, const std::string& text) {
    for (const Word& word : setting.words) {
        if (word.text == text) {
            return word.value;
        }
    }
    return 0;
}

template <class T>
void assign(T& member, const Value& value, const Setting& setting) {
    if constexpr (std::is_enum_v<T>) {
        member = static_cast<T>(word_value(setting, std::get<std::string>(value)));
    } else if constexpr (std::is_same_v<T, bool> || std::is_same_v<T, std::string> ||
                         std::is_same_v<T, std::vector<std::string>> || std::is_same_v<T, double> ||
                         std::is_same_v<T, Mailbox>) {
        member = std::get<T>(value);
    } else if constexpr (std::is_integral_v<T>) {
        member = static_cast<T>(std::get<std::int64_t>(value));
    } else if constexpr (std::is_same_v<T, std::vector<int>>) {
        const auto& numbers = std::get<std::vector<std::int64_t>>(value);
        member.assign(numbers.begin(), numbers.end());
    } else if constexpr (requires {
                             typename T::rep;
                             typename T::period;
                         }) {
        member = T(static_cast<typename T::rep>(std::get<std::int64_t>(value)));
    } else {  // std::optional
        assign(member.emplace(), value, setting);
    }
}

}  // namespace detail

// Stores a value into one member of the section's struct.
template <auto Member>
void store(void* section, const Value& value, const Setting& setting) {
    using Owner = typename detail::MemberOf<decltype(Member)>::OwnerType;
    detail::assign(static_cast<Owner*>(section)->*Member, value, setting);
}

}  // namespace postlane::config
