#include "config/overrides.h"

#include <fmt/format.h>

#include <algorithm>

#include "config/librdkafka.h"
#include "config/text.h"
#include "config/value.h"

namespace postlane::config {
namespace {

std::string variable_part(std::string_view text) {
    std::string part = upper_ascii(text);
    std::replace_if(part.begin(), part.end(), [](char c) { return c == '.' || c == '-'; }, '_');
    return part;
}

// Every key that a variable or flag may stand for, in the form of `part`.
std::vector<std::string> known_keys(const ElementNames& names) {
    std::vector<std::string> all;
    for (const Section& section : all_sections()) {
        const std::string prefix(section.name);
        if (!section.repeated) {
            for (const std::string& key : keys(section)) {
                all.push_back(prefix.empty() ? key : prefix + "." + key);
            }
            continue;
        }
        for (const std::string& name : section.name == "routes" ? names.routes : names.providers) {
            for (const std::string& key : keys(section)) {
                if (!name.empty() && key != "name") {
                    all.push_back(fmt::format("{}.{}.{}", prefix, name, key));
                }
            }
        }
    }
    return all;
}

bool is_property_key(std::string_view key) {
    return (key.starts_with(kPropertiesPrefix) && key.size() > kPropertiesPrefix.size()) ||
           (key.starts_with(kFilesPrefix) && key.size() > kFilesPrefix.size());
}

// librdkafka separates words by dots, which variables cannot have.
std::optional<std::string> property_key(const std::string& variable) {
    for (const std::string_view prefix : {kPropertiesPrefix, kFilesPrefix}) {
        std::string head(kVariablePrefix);
        head += prefix == kFilesPrefix ? "KAFKA__LIBRDKAFKA_FILES__" : "KAFKA__LIBRDKAFKA__";
        if (variable.starts_with(head) && variable.size() > head.size()) {
            std::string name = lower_ascii(variable.substr(head.size()));
            std::replace(name.begin(), name.end(), '_', '.');
            return std::string(prefix) + name;
        }
    }
    return std::nullopt;
}

class Resolver {
public:
    Resolver(const ElementNames& names, Report& report)
        : known_(known_keys(names)), report_(report) {}

    void variable(const std::string& name, const std::string& text) {
        const Place place{.file = name};
        if (const std::optional<std::string> property = property_key(name)) {
            found_[*property] = Override{.text = text, .place = place};
            return;
        }
        std::vector<std::string> matches;
        for (const std::string& key : known_) {
            if (variable_name(key) == name) {
                matches.push_back(key);
            }
        }
        if (matches.size() == 1) {
            found_[matches.front()] = Override{.text = text, .place = place};
        } else if (matches.empty()) {
            std::vector<std::string> candidates;
            std::transform(known_.begin(), known_.end(), std::back_inserter(candidates),
                           [](const std::string& key) { return variable_name(key); });
            unknown(place, "no setting belongs to this variable", upper_ascii(name), candidates);
        } else {
            report_.error(Code::UnknownVariable, place, "",
                          "the variable could mean " + one_of(matches),
                          "rename one of the tables or set it in the file");
        }
    }

    void flag(const FlagOverride& flag) {
        const Place place{.file = flag.flag};
        if (is_property_key(flag.key) ||
            std::find(known_.begin(), known_.end(), flag.key) != known_.end()) {
            found_[flag.key] = Override{.text = flag.value, .origin = Origin::Flag, .place = place};
            return;
        }
        unknown(place, fmt::format("there is no setting {}", toml_string(flag.key)), flag.key,
                known_);
    }

    std::map<std::string, Override> take() { return std::move(found_); }

private:
    void unknown(const Place& place, std::string message, const std::string& text,
                 const std::vector<std::string>& candidates) {
        std::optional<std::string> near;
        std::size_t best = std::max<std::size_t>(3, text.size() / 5) + 1;
        for (const std::string& candidate : candidates) {
            const std::size_t distance =
                edit_distance(text.substr(0, 200),
                              text == lower_ascii(text) ? candidate : upper_ascii(candidate));
            if (distance < best) {
                best = distance;
                near = candidate;
            }
        }
        report_.error(Code::UnknownVariable, place, "", std::move(message),
                      near ? "did you mean " + *near + "?"
                           : "the name is POSTLANE__SECTION__KEY or, for a provider or route of "
                             "the file, POSTLANE__PROVIDERS__NAME__KEY; `postlane config default` "
                             "lists all");
    }

    std::vector<std::string> known_;
    Report& report_;
    std::map<std::string, Override> found_;
};

}  // namespace

std::string variable_name(std::string_view dotted_key) {
    std::string name = std::string(kVariablePrefix).substr(0, kVariablePrefix.size() - 2);
    const std::size_t first = dotted_key.find('.');
    const std::size_t last = dotted_key.rfind('.');
    if (first != std::string_view::npos) {
        name += "__" + variable_part(dotted_key.substr(0, first));
        if (first != last) {
            name += "__" + variable_part(dotted_key.substr(first + 1, last - first - 1));
        }
    }
    const std::size_t begin = last == std::string_view::npos ? 0 : last + 1;
    return name + "__" + variable_part(dotted_key.substr(begin));
}

std::map<std::string, Override> resolve_overrides(const Environment& environment,
                                                  const std::vector<FlagOverride>& flags,
                                                  const ElementNames& names, Report& report) {
    Resolver resolver(names, report);
    for (const auto& [name, text] : environment) {
        if (name.starts_with(kVariablePrefix)) {
            resolver.variable(name, text);
        }
    }
    for (const FlagOverride& flag : flags) {
        resolver.flag(flag);
    }
    return resolver.take();
}

std::unique_ptr<toml::node> override_node(const Override& given, const Setting& setting,
                                          const std::string& key, Report& report) {
    if (setting.type == Type::Text || setting.type == Type::Word) {
        return std::make_unique<toml::value<std::string>>(given.text);
    }
    std::string hint = "the value is read as TOML";
    if (setting.type == Type::TextList) {
        hint += ", e.g. [\"one\", \"two\"]";
    } else if (const std::string range = range_text(setting); !range.empty()) {
        hint = range;
    }
    try {
        toml::table table = toml::parse("v = " + given.text, std::string_view{});
        if (table.size() == 1) {
            if (toml::array* items = table.get_as<toml::array>("v")) {
                return std::make_unique<toml::array>(std::move(*items));
            }
            if (toml::table* inner = table.get_as<toml::table>("v")) {
                return std::make_unique<toml::table>(std::move(*inner));
            }
            return table.get("v")->visit([](auto& node) -> std::unique_ptr<toml::node> {
                using Node = std::remove_cvref_t<decltype(node)>;
                return std::make_unique<Node>(std::move(node));
            });
        }
    } catch (const toml::parse_error&) {  // NOLINT(bugprone-empty-catch)
        // Reported below; the parser's words are about a file that does not exist.
    }
    report.error(Code::WrongType, given.place, key,
                 fmt::format("expected {}, got {}", type_name(setting.type),
                             toml_string(given.text.substr(0, 60))),
                 hint);
    return nullptr;
}

}  // namespace postlane::config
