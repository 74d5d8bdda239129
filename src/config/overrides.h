// Settings given outside of the file: POSTLANE__SECTION__KEY variables and flags.
#pragma once

#include <toml++/toml.h>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "config/draft.h"
#include "config/load.h"

namespace postlane::config {

inline constexpr std::string_view kVariablePrefix = "POSTLANE__";

// Names of the [[providers]] and [[routes]] tables in the file; empty where one has none.
struct ElementNames {
    std::vector<std::string> providers;
    std::vector<std::string> routes;
};

struct Override {
    std::string text;
    Origin origin = Origin::Environment;
    Place place;  // names the variable or the flag
};

// Dotted key → what is given for it; a flag replaces a variable. Names that are no setting are
// reported. "providers.NAME.key" stands for the table of that name, which must be in the file.
std::map<std::string, Override> resolve_overrides(const Environment& environment,
                                                  const std::vector<FlagOverride>& flags,
                                                  const ElementNames& names, Report& report);

// The text as a node: as it is for strings, else read as a TOML literal. Null, and reported, if it
// is none.
std::unique_ptr<toml::node> override_node(const Override& given, const Setting& setting,
                                          const std::string& key, Report& report);

// "POSTLANE__PROVIDERS__SES_EU__TIMEOUT_MS" for "providers.ses-eu.timeout_ms".
std::string variable_name(std::string_view dotted_key);

}  // namespace postlane::config
