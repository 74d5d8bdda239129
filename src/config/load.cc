#include "config/load.h"

#include <fmt/format.h>

#include <toml++/toml.h>
#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "config/checks.h"
#include "config/files.h"
#include "config/librdkafka.h"
#include "config/overrides.h"
#include "config/setting.h"
#include "config/settings_delivery.h"
#include "config/text.h"
#include "config/value.h"

extern char** environ;  // NOLINT: POSIX declares it nowhere

namespace postlane::config {
namespace {

void report_syntax(const toml::parse_error& error, Report& report) {
    Place place = place_of(error.source(), report.file());
    place.width = 1;
    std::string message(error.description());
    constexpr std::string_view kPreamble = "Error while parsing ";
    if (message.starts_with(kPreamble)) {
        message.erase(0, kPreamble.size());
    }
    std::replace_if(
        message.begin(), message.end(), [](char c) { return c == '\n' || c == '\r'; }, ' ');
    std::string hint = "look for a quote, a bracket or a comma that is missing before here";
    if (message.find("redefine") != std::string::npos) {
        hint = report.table_at(place.line).starts_with("kafka.librdkafka")
                   ? "names of librdkafka's properties need quotes: \"api.version.request\" = …"
                   : "it was given before; keep one";
    }
    report.error(Code::Syntax, place, "", message, hint);
}

std::string name_in(const toml::node& element) {
    const toml::table* table = element.as_table();
    const auto* name = table == nullptr ? nullptr : table->get_as<std::string>("name");
    return name == nullptr ? "" : normal_name(name->get()).value_or("");
}

// One load from parsed text to checked values.
class Loader {
public:
    Loader(const toml::table& root, Draft& draft) : root_(root), draft_(draft) {}

    void read(const Environment& environment, const std::vector<FlagOverride>& flags) {
        const ElementNames names{.providers = element_names("providers"),
                                 .routes = element_names("routes")};
        overrides_ = resolve_overrides(environment, flags, names, draft_.report);
        unknown_sections();
        for (const Section& item : all_sections()) {
            if (item.repeated) {
                read_elements(item);
            } else {
                read_single(item);
            }
        }
    }

private:
    Report& report() { return draft_.report; }
    Place place(const toml::source_region& region) { return place_of(region, report().file()); }

    std::vector<std::string> element_names(std::string_view section) {
        std::vector<std::string> names;
        if (const toml::array* elements = root_[section].as_array()) {
            std::transform(elements->begin(), elements->end(), std::back_inserter(names), name_in);
        }
        return names;
    }

    void unknown_sections() {
        std::vector<std::string> known = keys(section(""));
        for (const Section& item : all_sections()) {
            if (!item.name.empty()) {
                known.emplace_back(item.name);
            }
        }
        for (const auto& [name, node] : root_) {
            if (std::find(known.begin(), known.end(), name.str()) == known.end()) {
                unknown_key(section(""), "", std::string(name.str()), name.source(), known);
            }
        }
    }

    void unknown_key(const Section& in, const std::string& prefix, const std::string& name,
                     const toml::source_region& region, const std::vector<std::string>& known) {
        std::string hint;
        if (const std::optional<std::string> near = nearest(name, known)) {
            hint = fmt::format("did you mean {}?", *near);
        } else {
            for (const Section& other : all_sections()) {
                if (find_setting(other, name) != nullptr && other.name != in.name) {
                    hint = fmt::format("{} belongs into {}{}{}", name, other.repeated ? "[[" : "[",
                                       other.name, other.repeated ? "]]" : "]");
                }
            }
        }
        if (hint.empty()) {
            hint = fmt::format("known here: {}", fmt::join(known, ", "));
        }
        // The value of an unknown key may be a credential under a name nobody foresaw.
        report().error(Code::UnknownKey, place(region), prefix.empty() ? name : prefix + "." + name,
                       in.name.empty() && prefix.empty() ? "unknown section or key" : "unknown key",
                       hint, false);
    }

    void read_single(const Section& in) {
        const std::string name(in.name);
        const toml::table* table = in.name.empty() ? &root_ : nullptr;
        if (const toml::node* node = in.name.empty() ? nullptr : root_.get(in.name)) {
            table = node->as_table();
            if (table == nullptr) {
                report().error(Code::NotATable, place(node->source()), name, "expected a table",
                               fmt::format("begin it with [{}]", name), false);
            }
        }
        read_settings(in, name, table, target(in.name));
        if (in.name == "kafka") {
            read_librdkafka(table, overrides_, draft_);
        }
    }

    void* target(std::string_view name) {
        Config& config = draft_.config;
        const std::pair<std::string_view, void*> targets[] = {
            {"kafka", &config.kafka},         {"topics", &config.topics},
            {"ledger", &config.ledger},       {"ordering", &config.ordering},
            {"dispatch", &config.dispatch},   {"suppression", &config.suppression},
            {"telemetry", &config.telemetry}, {"admin", &config.admin},
        };
        for (const auto& [section, pointer] : targets) {
            if (section == name) {
                return pointer;
            }
        }
        return &config;
    }

    void read_elements(const Section& in) {
        const toml::node* node = root_.get(in.name);
        if (node == nullptr) {
            return;
        }
        const toml::array* elements = node->as_array();
        const bool tables = elements != nullptr && std::all_of(elements->begin(), elements->end(),
                                                               [](const toml::node& element) {
                                                                   return element.is_table();
                                                               });
        if (!tables) {
            report().error(Code::NotATable, place(node->source()), in.name,
                           "expected an array of tables",
                           fmt::format("begin each of them with [[{}]]", in.name), false);
            draft_.reject(std::string(in.name));
            return;
        }
        std::vector<std::string>& element_keys =
            in.name == "routes" ? draft_.route_keys : draft_.provider_keys;
        for (const toml::node& element : *elements) {
            const std::string name = name_in(element);
            std::string key = fmt::format("{}.{}", in.name, name);
            if (name.empty() || std::count(element_keys.begin(), element_keys.end(), key) > 0) {
                key = fmt::format("{}[{}]", in.name, element_keys.size());
            }
            element_keys.push_back(key);
            const toml::table& table = *element.as_table();
            if (in.name == "routes") {
                read_settings(in, key, &table, &draft_.config.routes.emplace_back());
            } else {
                Provider& provider = draft_.config.providers.emplace_back();
                read_settings(in, key, &table, &provider);
                complete(provider, key, place(table.source()));
            }
        }
    }

    void read_settings(const Section& in, const std::string& prefix, const toml::table* table,
                       void* target) {
        if (table != nullptr && !in.name.empty()) {
            std::vector<std::string> known = keys(in);
            if (in.name == "kafka") {
                known.insert(known.end(), {"librdkafka", "librdkafka_files"});
            }
            for (const auto& [name, node] : *table) {
                if (std::find(known.begin(), known.end(), name.str()) == known.end()) {
                    unknown_key(in, prefix, std::string(name.str()), name.source(), known);
                }
            }
        }
        for (const Setting& setting : in.settings) {
            read_setting(setting, prefix, table, target);
        }
    }

    void read_setting(const Setting& setting, const std::string& prefix, const toml::table* table,
                      void* target) {
        const std::string key =
            prefix.empty() ? std::string(setting.key) : fmt::format("{}.{}", prefix, setting.key);
        const toml::node* node = table == nullptr ? nullptr : table->get(setting.key);
        std::unique_ptr<toml::node> replaced;
        std::optional<Place> fixed;
        Origin origin = Origin::File;
        if (const auto given = overrides_.find(key); given != overrides_.end()) {
            fixed = given->second.place;
            origin = given->second.origin;
            replaced = override_node(given->second, setting, key, report());
            node = replaced.get();
            if (node == nullptr) {
                draft_.reject(key);
                return;
            }
        }
        if (node == nullptr) {
            use_default(setting, key, table, target);
            return;
        }
        const Place at = fixed ? *fixed : place(node->source());
        draft_.places[key] = at;
        const std::optional<Value> value = read_value(*node, setting, key, report(), fixed);
        if (!value) {
            draft_.reject(key);
            return;
        }
        setting.store(target, *value, setting);
        draft_.values.push_back(Effective{key, *value, origin, at});
    }

    void use_default(const Setting& setting, const std::string& key, const toml::table* table,
                     void* target) {
        if (setting.required) {
            Place at = table == nullptr ? Place{.file = report().file()} : place(table->source());
            if (table == &root_) {
                at = Place{.file = report().file(), .line = 1, .column = 1};
            }
            report().error(Code::Missing, at, key, "is missing",
                           fmt::format("add {} = {}", setting.key, setting.example), false);
            draft_.reject(key);
        } else if (!setting.fallback.empty()) {
            const Value value = literal_value(setting.fallback, setting);
            setting.store(target, value, setting);
            draft_.values.push_back(Effective{key, value, Origin::Default, {}});
        }
    }

    void derive(const std::string& key, Value value) {
        draft_.values.push_back(Effective{key, std::move(value), Origin::Default, {}});
    }

    // Settings that depend on the provider's kind.
    void complete(Provider& provider, const std::string& key, const Place& header) {
        if (!draft_.sound(key + ".kind")) {
            return;
        }
        const KindTraits* traits = kind_traits(provider.kind);
        const std::string kind(kind_word(provider.kind));
        for (const Setting& setting : provider_settings()) {
            const std::string name = fmt::format("{}.{}", key, setting.key);
            if (setting.kind.empty() || setting.kind == kind) {
                continue;
            }
            if (draft_.given(name) && draft_.find(name) != nullptr) {
                report().error(Code::NotForThisKind, draft_.place_of(name), name,
                               fmt::format("does not apply to kind = \"{}\"", kind),
                               fmt::format("remove it; it belongs to kind = \"{}\"", setting.kind));
            }
            std::erase_if(draft_.values, [&](const Effective& item) { return item.key == name; });
        }
        if (traits == nullptr) {
            return;
        }
        const bool http = provider.kind == ProviderKind::Http;
        if (!draft_.given(key + ".base_url")) {
            if (traits->base_url.empty()) {
                report().error(Code::Missing, header, key + ".base_url", "is missing",
                               fmt::format("kind = \"{}\" needs the URL to post to", kind), false);
            } else {
                provider.base_url = traits->base_url;
                derive(key + ".base_url", provider.base_url);
            }
        }
        while (!http && provider.base_url.ends_with('/')) {
            provider.base_url.pop_back();
        }
        if (traits->needs_credentials && !draft_.given(key + ".credentials_file")) {
            report().error(
                Code::Missing, header, key + ".credentials_file", "is missing",
                fmt::format("kind = \"{}\" needs the path of a file with the API key", kind),
                false);
        }
        if (!http) {
            provider.idempotency =
                traits->has_idempotency_header ? Idempotency::Header : Idempotency::None;
            provider.idempotency_header = traits->idempotency_header;
            provider.idempotency_lifetime = traits->idempotency_lifetime;
        }
    }

    const toml::table& root_;
    Draft& draft_;
    std::map<std::string, Override> overrides_;
};

LoadResult finish(Draft&& draft) {
    if (draft.report.has_errors()) {
        return tl::unexpected(draft.report.sorted());
    }
    return Loaded{std::move(draft.config), std::move(draft.values), draft.report.sorted()};
}

}  // namespace

LoadResult load(std::string_view toml_text, const std::string& file_name,
                const Environment& environment, const std::vector<FlagOverride>& flags,
                const LoadOptions& options) {
    Draft draft(toml_text, file_name);
    toml::table root;
    try {
        root = toml::parse(toml_text, std::string_view{});
    } catch (const toml::parse_error& error) {
        report_syntax(error, draft.report);
        return finish(std::move(draft));
    }
    Loader(root, draft).read(environment, flags);
    if (options.refuse_property) {
        check_properties(draft, options.refuse_property);
    }
    check_together(draft, options);
    if (options.read_files) {
        read_secret_files(draft);
    }
    if (options.refuse_settings && !draft.report.has_errors()) {
        check_properties_together(draft, options.refuse_settings);
    }
    return finish(std::move(draft));
}

LoadResult load_file(const std::string& path, const Environment& environment,
                     const std::vector<FlagOverride>& flags, const LoadOptions& options) {
    errno = 0;
    std::error_code ignored;
    std::ifstream file;
    if (std::filesystem::is_directory(path, ignored)) {
        file.setstate(std::ios::failbit);
        errno = EISDIR;
    } else {
        file.open(path, std::ios::binary);
    }
    std::string text;
    if (file) {
        text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    if (!file || file.bad()) {
        Report report("", path);
        report.error(Code::Unreadable, Place{.file = path}, "",
                     fmt::format("cannot read the configuration: {}",
                                 std::generic_category().message(errno == 0 ? EIO : errno)),
                     "`postlane config default` prints a complete one");
        return tl::unexpected(report.sorted());
    }
    return load(text, path, environment, flags, options);
}

Environment process_environment() {
    Environment found;
    for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const std::size_t equals = text.find('=');
        if (text.starts_with(kVariablePrefix) && equals != std::string_view::npos) {
            found.emplace(text.substr(0, equals), text.substr(equals + 1));
        }
    }
    return found;
}

}  // namespace postlane::config
