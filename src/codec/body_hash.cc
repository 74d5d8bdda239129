// The hashed bytes:
//
//   body   := version mailbox mailbox? mailbox? template? content? headers text text sequence?
//   x?     := 0x00 | 0x01 x
//   text   := length:u64le bytes
//   mailbox := text text
//   template := text json          content := text text text
//   headers := count:u64le (text text)*, sorted by name
//   sequence := text step:u64le
//   json   := 'n' | 't' | 'f' | 's' text | 'i' i64le | 'u' u64le | 'd' double:u64le
//           | '[' count:u64le json* | '{' count:u64le (text json)*, sorted by key
//
// A whole number is 'i' however it is written (1, 1.0, 1e0) while doubles hold it exactly.
#include "codec/body_hash.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "codec/hash.h"

namespace postlane {
namespace {

namespace dom = simdjson::dom;

constexpr char kVersion = 1;
constexpr double kExactDouble = 9007199254740992.0;  // 2^53

class Canonical {
public:
    explicit Canonical(std::string& out) : out_(out) {}

    void byte(char c) { out_.push_back(c); }
    void number(std::uint64_t value) {
        std::array<char, 8> bytes{};
        for (std::size_t i = 0; i < bytes.size(); ++i) {
            bytes[i] = static_cast<char>(value >> (8 * i) & 0xffU);
        }
        out_.append(bytes.data(), bytes.size());
    }
    void text(std::string_view bytes) {
        number(bytes.size());
        out_.append(bytes);
    }
    void mailbox(const Mailbox& mailbox) {
        text(mailbox.email);
        text(mailbox.name);
    }
    template <class T, class Write>
    void optional(const std::optional<T>& value, const Write& write) {
        byte(value ? 1 : 0);
        if (value) {
            write(*value);
        }
    }
    void headers(std::vector<std::pair<std::string_view, std::string_view>> headers) {
        std::sort(headers.begin(), headers.end());
        number(headers.size());
        for (const auto& [name, value] : headers) {
            text(name);
            text(value);
        }
    }
    // Recursion is bounded by the parser's depth limit.
    void json(dom::element element) {
        switch (element.type()) {
            case dom::element_type::NULL_VALUE:
                return byte('n');
            case dom::element_type::BOOL:
                return byte(bool{element.get_bool().value_unsafe()} ? 't' : 'f');
            case dom::element_type::STRING:
                byte('s');
                return text(element.get_string().value_unsafe());
            case dom::element_type::INT64:
                byte('i');
                return number(std::bit_cast<std::uint64_t>(element.get_int64().value_unsafe()));
            case dom::element_type::UINT64:
                byte('u');
                return number(element.get_uint64().value_unsafe());
            case dom::element_type::DOUBLE:
                return floating(element.get_double().value_unsafe());
            case dom::element_type::ARRAY:
                return array(element.get_array().value_unsafe());
            case dom::element_type::OBJECT:
                return object(element.get_object().value_unsafe());
        }
    }

private:
    void floating(double value) {
        if (std::fabs(value) <= kExactDouble && std::trunc(value) == value) {
            byte('i');
            return number(std::bit_cast<std::uint64_t>(static_cast<std::int64_t>(value)));
        }
        byte('d');
        number(std::bit_cast<std::uint64_t>(value));
    }
    void array(dom::array array) {
        byte('[');
        std::uint64_t count = 0;
        for ([[maybe_unused]] const dom::element element : array) {
            ++count;
        }
        number(count);
        for (const dom::element element : array) {
            json(element);
        }
    }
    void object(dom::object object) {
        std::vector<std::pair<std::string_view, dom::element>> members;
        for (const dom::key_value_pair member : object) {
            members.emplace_back(member.key, member.value);
        }
        std::sort(members.begin(), members.end(),
                  [](const auto& a, const auto& b) { return a.first < b.first; });
        byte('{');
        number(members.size());
        for (const auto& [key, value] : members) {
            text(key);
            json(value);
        }
    }

    std::string& out_;
};

}  // namespace

Hash128 body_hash(const SendEvent& event, const std::optional<dom::element>& template_data,
                  std::string& scratch) {
    scratch.clear();
    Canonical out{scratch};
    const auto mailbox = [&out](const Mailbox& value) { out.mailbox(value); };
    out.byte(kVersion);
    out.mailbox(event.to);
    out.optional(event.from, mailbox);
    out.optional(event.reply_to, mailbox);
    out.optional(event.templated, [&](const SendEvent::Template& value) {
        out.text(value.id);
        if (template_data) {
            out.json(*template_data);
        } else {
            out.byte('{');
            out.number(0);
        }
    });
    out.optional(event.content, [&out](const SendEvent::Content& value) {
        out.text(value.subject);
        out.text(value.text);
        out.text(value.html);
    });
    out.headers({event.headers.begin(), event.headers.end()});
    out.text(event.unsubscribe_url);
    out.text(event.category);
    out.optional(event.sequence, [&out](const SequenceRef& value) {
        out.text(value.id);
        out.number(value.step);
    });
    return hash128(scratch);
}

}  // namespace postlane
