// From a node of a TOML document to a checked Value, and from there to text.
#pragma once

#include <toml++/toml.h>
#include <optional>
#include <string>

#include "config/draft.h"

namespace postlane::config {

// Where the node stands.
Place place_of(const toml::source_region& region, const std::string& file);

// "integer, range 1..65536": what a setting takes, for hints and the reference page.
std::string type_name(Type type);
std::string range_text(const Setting& setting);

// Checks type, range, form and words of the value of `key`. Reports what is wrong and returns
// nothing then. `fixed`: the place of a value that is in no file.
std::optional<Value> read_value(const toml::node& node, const Setting& setting,
                                const std::string& key, Report& report,
                                const std::optional<Place>& fixed);

// The value of a TOML literal, which must be valid: defaults and examples of the tables.
Value literal_value(std::string_view literal, const Setting& setting);

std::string to_toml(const Value& value);
std::string to_json(const Value& value);
std::string toml_string(std::string_view text);

}  // namespace postlane::config
