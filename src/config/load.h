// Text to Config: file, environment and flags in, either a checked Config or everything that is
// wrong, at once.
//
//     const auto loaded = config::load_file(path, config::process_environment(), flags);
//     if (!loaded) {
//         std::cerr << config::format(loaded.error(), 78);
//     }
//
// Precedence: default < file < environment (POSTLANE__SECTION__KEY) < flag. Called once at start,
// by one thread. Reads the files that credentials_file, token_file and [kafka.librdkafka_files]
// name, unless told not to; a relative path starts at the directory of the configuration file.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <vector>

#include "config/diagnostic.h"
#include "config/draft.h"
#include "postlane/config.h"

namespace postlane::config {

using Environment = std::map<std::string, std::string>;

// A setting given on the command line, e.g. {"kafka.group_id", "blue", "--group-id"}. The value is
// the bare text for string settings and a TOML literal for all others, as in the environment.
struct FlagOverride {
    std::string key;
    std::string value;
    std::string flag;
};

struct LoadOptions {
    // Whether there must be a provider and a route. Commands that send nothing need neither.
    bool needs_routes = true;
    // False for `validate --no-environment`: the text alone is judged, secrets stay empty.
    bool read_files = true;
    // Why librdkafka would refuse a property; nothing: it would not. Absent: not asked.
    std::function<std::optional<std::string>(const std::string& name, const std::string& value)>
        refuse_property = {};
    // Why librdkafka would refuse them together, which takes reading the files that they name. Asked
    // about a configuration without errors only.
    std::function<std::optional<std::string>(const Config&)> refuse_settings = {};
};

struct Loaded {
    Config config;
    std::vector<Effective> values;  // every setting in force, in the order of the reference
    Diagnostics warnings;
};

// Errors come together with the warnings, in the order of the file.
using LoadResult = tl::expected<Loaded, Diagnostics>;

[[nodiscard]] LoadResult load(std::string_view toml_text, const std::string& file_name,
                              const Environment& environment,
                              const std::vector<FlagOverride>& flags,
                              const LoadOptions& options = {});

[[nodiscard]] LoadResult load_file(const std::string& path, const Environment& environment,
                                   const std::vector<FlagOverride>& flags,
                                   const LoadOptions& options = {});

// The variables of this process that begin with POSTLANE__.
Environment process_environment();

}  // namespace postlane::config
