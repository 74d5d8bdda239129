// The JSON Schema of the configuration file.
#include <fmt/format.h>

#include <algorithm>

#include "config/formats.h"
#include "config/free_tables.h"
#include "config/json.h"
#include "config/librdkafka.h"
#include "config/reference.h"
#include "config/setting.h"
#include "config/settings_delivery.h"
#include "config/value.h"

namespace postlane::config {
namespace {

std::string text_schema(const Format* format) {
    JsonObject out;
    out.add("type", json_string("string"));
    if (format != nullptr) {
        out.add("pattern", json_string(format->pattern));
    }
    return out.text();
}

std::string integer_schema(const Setting& setting) {
    JsonObject out;
    out.add("type", json_string("integer"));
    out.add("minimum", std::to_string(setting.min));
    out.add("maximum", std::to_string(setting.max));
    return out.text();
}

void add_list(JsonObject& out, const Setting& setting, const std::string& items) {
    out.add("type", json_string("array"));
    out.add("items", items);
    if (!setting.may_be_empty) {
        out.add("minItems", "1");
    }
    if (setting.unique) {
        out.add("uniqueItems", "true");
    }
}

void add_mailbox(JsonObject& out) {
    JsonObject parts;
    parts.add("email", R"({"type": "string", "pattern": "^[^@\\s]+@[^@\\s]+$"})");
    parts.add("name", text_schema(&formats::kFilled));
    out.add("type", json_string("object"));
    out.add("properties", parts.text());
    out.add("required", json_strings({"email"}));
    out.add("additionalProperties", "false");
}

std::string setting_schema(const Setting& setting) {
    JsonObject out;
    out.add("description", json_string(setting.help));
    switch (setting.type) {
        case Type::Boolean:
            out.add("type", json_string("boolean"));
            break;
        case Type::Integer:
            out.add("type", json_string("integer"));
            out.add("minimum", std::to_string(setting.min));
            out.add("maximum", std::to_string(setting.max));
            break;
        case Type::Number:
            out.add("type", json_string("number"));
            out.add("exclusiveMinimum", std::to_string(setting.min));
            out.add("maximum", std::to_string(setting.max));
            break;
        case Type::Text:
            out.add("type", json_string("string"));
            if (setting.format != nullptr) {
                out.add("pattern", json_string(setting.format->pattern));
            }
            break;
        case Type::Word:
            out.add("enum", json_strings(words(setting, true)));
            break;
        case Type::TextList:
            add_list(out, setting, text_schema(setting.format));
            break;
        case Type::IntegerList:
            add_list(out, setting, integer_schema(setting));
            break;
        case Type::Mailbox:
            add_mailbox(out);
            break;
    }
    if (!setting.fallback.empty()) {
        out.add("default", to_json(literal_value(setting.fallback, setting)));
    }
    return out.text();
}

// {"if": {kind is `kind`}, "then": `then`}
std::string when_kind(std::string_view kind, const std::string& then) {
    return fmt::format(
        R"({{"if": {{"properties": {{"kind": {{"const": {}}}}}, "required": ["kind"]}}, "then": {}}})",
        json_string(kind), then);
}

std::string kind_rules() {
    std::vector<std::string> rules;
    for (const Word& word : find_setting(section("providers"), "kind")->words) {
        const KindTraits* traits = kind_traits(static_cast<ProviderKind>(word.value));
        if (traits == nullptr) {
            continue;
        }
        JsonObject refused;
        for (const Setting& setting : provider_settings()) {
            if (!setting.kind.empty() && setting.kind != word.text &&
                is_supported_kind(setting.kind)) {
                refused.add(setting.key, "false");
            }
        }
        std::vector<std::string> required;
        if (traits->base_url.empty()) {
            required.emplace_back("base_url");
        }
        if (traits->needs_credentials) {
            required.emplace_back("credentials_file");
        }
        JsonObject then;
        then.add("required", json_strings(required));
        then.add("properties", refused.text());
        rules.push_back(when_kind(word.text, then.text()));
    }
    return json_array(rules);
}

void add_settings(JsonObject& properties, std::vector<std::string>& required, const Section& in) {
    for (const Setting& setting : in.settings) {
        if (!setting.kind.empty() && !is_supported_kind(setting.kind)) {
            continue;
        }
        properties.add(setting.key, setting_schema(setting));
        if (setting.required) {
            required.emplace_back(setting.key);
        }
    }
}

std::string free_table_schema(const FreeTable& table) {
    std::vector<std::string> owned;
    for (const OwnedProperty& property : owned_properties()) {
        owned.emplace_back(property.name);
    }
    JsonObject names;
    names.add("not", fmt::format(R"({{"enum": {}}})", json_strings(owned)));
    JsonObject out;
    out.add("description", json_string(table.help));
    out.add("type", json_string("object"));
    out.add("propertyNames", names.text());
    out.add("additionalProperties", R"({"type": ["string", "integer", "boolean"]})");
    return out.text();
}

std::string section_schema(const Section& in) {
    JsonObject properties;
    std::vector<std::string> required;
    add_settings(properties, required, in);
    if (in.name == "kafka") {
        for (const FreeTable& table : kFreeTables) {
            properties.add(table.key, free_table_schema(table));
        }
    }
    JsonObject table;
    if (!in.repeated) {
        table.add("description", json_string(in.help));
    }
    table.add("type", json_string("object"));
    table.add("properties", properties.text());
    if (!required.empty()) {
        table.add("required", json_strings(required));
    }
    table.add("additionalProperties", "false");
    if (in.name == "providers") {
        table.add("allOf", kind_rules());
    }
    if (!in.repeated) {
        return table.text();
    }
    JsonObject list;
    list.add("description", json_string(in.help));
    list.add("type", json_string("array"));
    list.add("items", table.text());
    return list.text();
}

}  // namespace

std::string json_schema() {
    JsonObject properties;
    std::vector<std::string> required;
    for (const Section& in : all_sections()) {
        if (in.name.empty()) {
            add_settings(properties, required, in);
        } else {
            properties.add(in.name, section_schema(in));
        }
    }
    JsonObject root;
    root.add("$schema", json_string("https://json-schema.org/draft/2020-12/schema"));
    root.add("$id", json_string("urn:postlane:config:1"));
    root.add("title", json_string("postlane configuration"));
    root.add("type", json_string("object"));
    root.add("properties", properties.text());
    root.add("required", json_strings(required));
    root.add("additionalProperties", "false");
    return json_indented(root.text());
}

}  // namespace postlane::config
