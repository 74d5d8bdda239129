#include "config/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "config/formats.h"
#include "config/json.h"
#include "config/text.h"

namespace postlane::config {
namespace {

std::string_view found_type(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table:
            return "table";
        case toml::node_type::array:
            return "array";
        case toml::node_type::string:
            return "string";
        case toml::node_type::integer:
            return "integer";
        case toml::node_type::floating_point:
            return "number";
        case toml::node_type::boolean:
            return "boolean";
        case toml::node_type::date:
            return "date";
        case toml::node_type::time:
            return "time";
        case toml::node_type::date_time:
            return "date and time";
        case toml::node_type::none:
            break;
    }
    return "nothing";
}

std::string quoted(std::string_view text) {
    constexpr std::size_t kLongest = 60;
    return toml_string(text.substr(0, kLongest)) + (text.size() > kLongest ? "…" : "");
}

// Reads one value; remembers whether anything was wrong with it.
class Reader {
public:
    Reader(const Setting& setting, const std::string& key, Report& report,
           const std::optional<Place>& fixed)
        : setting_(setting), key_(key), report_(report), fixed_(fixed) {}

    std::optional<Value> read(const toml::node& node) {
        if (!shows(node)) {
            report_.hide(place(node));
        }
        const std::optional<Value> value = convert(node);
        return failed_ ? std::nullopt : value;
    }

private:
    std::optional<Value> convert(const toml::node& node) {
        switch (setting_.type) {
            case Type::Boolean:
                if (const auto* item = node.as_boolean()) {
                    return Value(item->get());
                }
                break;
            case Type::Integer:
                if (const auto* item = node.as_integer()) {
                    check_range(node, static_cast<double>(item->get()));
                    return Value(item->get());
                }
                break;
            case Type::Number:
                if (const auto number = node.value<double>();
                    number && (node.is_floating_point() || node.is_integer())) {
                    check_range(node, *number);
                    return Value(*number);
                }
                break;
            case Type::Text:
                if (const auto* item = node.as_string()) {
                    return Value(text(node, item->get()));
                }
                break;
            case Type::Word:
                if (const auto* item = node.as_string()) {
                    check_word(node, item->get());
                    return Value(item->get());
                }
                break;
            case Type::TextList:
            case Type::IntegerList:
                if (const auto* items = node.as_array()) {
                    return setting_.type == Type::TextList ? Value(texts(*items))
                                                           : Value(integers(*items));
                }
                break;
            case Type::Mailbox:
                if (const auto* table = node.as_table()) {
                    return Value(mailbox(*table));
                }
                break;
        }
        wrong_type(node, type_name(setting_.type));
        return std::nullopt;
    }

    Place place(const toml::node& node) const {
        return fixed_ ? *fixed_ : place_of(node.source(), report_.file());
    }

    void error(const toml::node& node, Code code, std::string message, std::string hint) {
        failed_ = true;
        const std::string_view model =
            setting_.example.empty() ? setting_.fallback : setting_.example;
        if (hint.empty() && !model.empty()) {
            hint = fmt::format("for example {} = {}", setting_.key, model);
        }
        report_.error(code, place(node), key_, std::move(message), std::move(hint), shows(node));
    }

    // A credential pasted instead of a path, or put into a URL, must not be repeated.
    bool shows(const toml::node& node) const {
        const auto* text = node.as_string();
        if (setting_.is_file) {
            return text != nullptr && looks_like_path(text->get());
        }
        return setting_.format != &formats::kUrl ||
               (text != nullptr && text->get().find('@') == std::string::npos);
    }

    void wrong_type(const toml::node& node, const std::string& expected) {
        std::string got(found_type(node));
        std::string hint = range_text(setting_);
        if (const auto* item = node.as_string()) {
            got += " " + quoted(item->get());
            const std::string_view inner = trimmed(item->get());
            const bool number =
                !inner.empty() && inner.find_first_not_of("0123456789.") == std::string_view::npos;
            if (number || inner == "true" || inner == "false") {
                hint = "remove the quotes" + (hint.empty() ? "" : "; " + hint);
            } else if (setting_.unit == "milliseconds" || setting_.unit == "days") {
                hint = fmt::format("write a number of {} without unit and quotes; {}",
                                   setting_.unit, hint);
            } else if (setting_.type == Type::TextList) {
                hint = "put it into brackets: [" + quoted(item->get()) + "]";
            }
        } else if (setting_.type == Type::Text || setting_.type == Type::Word) {
            hint = "put it into quotes" + (hint.empty() ? "" : "; " + hint);
        } else if (hint.empty() && setting_.type == Type::Boolean) {
            hint = "write true or false";
        }
        error(node, Code::WrongType, fmt::format("expected {}, got {}", expected, got), hint);
    }

    void check_range(const toml::node& node, double number) {
        const bool positive_only = setting_.type == Type::Number;
        if (std::isfinite(number) && number <= static_cast<double>(setting_.max) &&
            (positive_only ? number > 0 : number >= static_cast<double>(setting_.min))) {
            return;
        }
        if (setting_.min == setting_.max) {  // only the version of the format has a single value
            error(node, Code::SchemaVersion,
                  fmt::format("this release reads version {}, not {}", setting_.min, number),
                  "use a file for this release: `postlane config default`");
            return;
        }
        error(node, Code::OutOfRange, fmt::format("{} is out of range", number),
              range_text(setting_));
    }

    std::string text(const toml::node& node, const std::string& given) {
        if (setting_.format == nullptr) {
            return given;
        }
        const std::optional<std::string> normal = setting_.format->normalise(given);
        if (!normal) {
            const std::string shown = shows(node) ? ", got " + quoted(given) : "";
            error(node, Code::Malformed,
                  fmt::format("expected {}{}", setting_.format->expects, shown),
                  setting_.format == &formats::kUrl ? "credentials belong into credentials_file"
                                                    : "");
        }
        return normal.value_or("");
    }

    void check_word(const toml::node& node, const std::string& given) {
        for (const Word& word : setting_.words) {
            if (word.text != given) {
                continue;
            }
            if (!word.supported) {
                error(node, Code::Unsupported,
                      fmt::format("{} = {} is not supported by this release; use {}", setting_.key,
                                  quoted(given), one_of(words(setting_, true))),
                      "any other service can be reached through a small HTTP endpoint of your own: "
                      "kind = \"http\"");
            }
            return;
        }
        const std::vector<std::string> known = words(setting_, true);
        const std::optional<std::string> near = nearest(given, known);
        error(node, Code::UnknownWord,
              fmt::format("expected {}, got {}", one_of(known), quoted(given)),
              near ? "did you mean " + quoted(*near) + "?" : "");
    }

    void check_list(const toml::array& items) {
        if (items.empty() && !setting_.may_be_empty) {
            error(items, Code::OutOfRange, "the list is empty", "give at least one");
        }
    }

    template <class T>
    void check_new(const toml::node& node, const T& item, std::set<T>& seen) {
        if (!seen.insert(item).second && setting_.unique) {
            error(node, Code::Duplicate, fmt::format("{} appears twice", item), "remove one");
        }
    }

    std::vector<std::string> texts(const toml::array& items) {
        check_list(items);
        std::vector<std::string> out;
        std::set<std::string> seen;
        for (const toml::node& node : items) {
            const auto* item = node.as_string();
            if (item == nullptr) {
                wrong_type(node, "a list of strings");
                continue;
            }
            out.push_back(text(node, item->get()));
            check_new(node, out.back(), seen);
        }
        return out;
    }

    std::vector<std::int64_t> integers(const toml::array& items) {
        check_list(items);
        std::vector<std::int64_t> out;
        std::set<std::int64_t> seen;
        for (const toml::node& node : items) {
            const auto* item = node.as_integer();
            if (item == nullptr) {
                wrong_type(node, "a list of integers");
                continue;
            }
            out.push_back(item->get());
            check_range(node, static_cast<double>(item->get()));
            check_new(node, out.back(), seen);
        }
        return out;
    }

    Mailbox mailbox(const toml::table& table) {
        Mailbox out;
        for (const auto& [name, node] : table) {
            const auto* item = node.as_string();
            if (name.str() != "email" && name.str() != "name") {
                report_.hide(place(node));  // it may be a credential
                error(node, Code::UnknownKey, fmt::format("unknown key {}", quoted(name.str())),
                      "a mailbox has email and, if you like, name");
            } else if (item == nullptr) {
                error(node, Code::WrongType,
                      fmt::format("expected string for {}, got {}", name.str(), found_type(node)),
                      "put it into quotes");
            } else if (name.str() == "name") {
                out.name = item->get();
            } else {
                out.email = item->get();
            }
        }
        if (!table.contains("email")) {
            error(table, Code::Missing, "the mailbox has no email",
                  "for example {email = \"hi@shop.example\", name = \"Shop\"}");
        } else if (!failed_ && !normal_email(out.email)) {
            error(*table.get("email"), Code::Malformed, "expected an address like hi@shop.example",
                  "the display name goes into name");
        } else if (!failed_ && out.name && !normal_filled(*out.name)) {
            error(*table.get("name"), Code::Malformed,
                  fmt::format("name: expected {}", formats::kFilled.expects),
                  "leave name out if there is none");
        }
        return out;
    }

    const Setting& setting_;
    const std::string& key_;
    Report& report_;
    const std::optional<Place>& fixed_;
    bool failed_ = false;
};

std::string toml_number(double number) {
    const std::string text = fmt::format("{}", number);
    return text.find_first_of(".e") == std::string::npos ? text + ".0" : text;
}

template <class... F>
struct Overloaded : F... {
    using F::operator()...;
};

}  // namespace

Place place_of(const toml::source_region& region, const std::string& file) {
    const bool one_line = region.end.line == region.begin.line;
    const std::uint32_t width = one_line && region.end.column > region.begin.column
                                    ? region.end.column - region.begin.column
                                : one_line ? 1
                                           : std::numeric_limits<std::uint32_t>::max();
    return Place{
        .file = file, .line = region.begin.line, .column = region.begin.column, .width = width};
}

std::string type_name(Type type) {
    switch (type) {
        case Type::Boolean:
            return "boolean";
        case Type::Integer:
            return "integer";
        case Type::Number:
            return "number";
        case Type::Text:
        case Type::Word:
            return "string";
        case Type::TextList:
            return "a list of strings";
        case Type::IntegerList:
            return "a list of integers";
        case Type::Mailbox:
            return "a table {email, name}";
    }
    return {};
}

std::string range_text(const Setting& setting) {
    if (setting.min == setting.max) {
        return fmt::format("always {}", setting.min);
    }
    switch (setting.type) {
        case Type::Integer:
        case Type::IntegerList:
            return fmt::format("range {}..{}", setting.min, setting.max);
        case Type::Number:
            return fmt::format("above {}, at most {}", setting.min, setting.max);
        case Type::Word:
            return one_of(words(setting, true));
        case Type::Boolean:
        case Type::Text:
        case Type::TextList:
        case Type::Mailbox:
            break;
    }
    return {};
}

std::optional<Value> read_value(const toml::node& node, const Setting& setting,
                                const std::string& key, Report& report,
                                const std::optional<Place>& fixed) {
    return Reader(setting, key, report, fixed).read(node);
}

Value literal_value(std::string_view literal, const Setting& setting) {
    Report report(literal, std::string(setting.key));
    const toml::table table = toml::parse("v = " + std::string(literal), std::string_view{});
    return read_value(*table.get("v"), setting, std::string(setting.key), report, Place{}).value();
}

std::string toml_string(std::string_view text) {
    // A TOML basic string has JSON's escapes.
    return json_string(text);
}

std::string to_toml(const Value& value) {
    return std::visit(Overloaded{
                          [](bool item) { return std::string(item ? "true" : "false"); },
                          [](std::int64_t item) { return std::to_string(item); },
                          [](double item) { return toml_number(item); },
                          [](const std::string& item) { return toml_string(item); },
                          [](const std::vector<std::string>& items) { return json_strings(items); },
                          [](const std::vector<std::int64_t>& items) {
                              return fmt::format("[{}]", fmt::join(items, ", "));
                          },
                          [](const Mailbox& item) {
                              return fmt::format(
                                  "{{email = {}{}}}", toml_string(item.email),
                                  item.name ? ", name = " + toml_string(*item.name) : "");
                          },
                      },
                      value);
}

std::string to_json(const Value& value) {
    if (const auto* item = std::get_if<Mailbox>(&value)) {
        JsonObject object;
        object.add("email", json_string(item->email));
        if (item->name) {
            object.add("name", json_string(*item->name));
        }
        return object.text();
    }
    return to_toml(value);
}

}  // namespace postlane::config
