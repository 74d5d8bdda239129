// The options by which commands find and change their configuration.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/load.h"

namespace CLI {
class App;
}

namespace postlane::cli {

struct ConfigOptions {
    std::string file;
    std::vector<std::string> settings;  // KEY=VALUE
};

// -c/--config and --set.
void add_config_options(CLI::App& command, ConfigOptions& options, bool file_is_required = true);

// Reads file, environment and flags. Prints what is wrong, and on success the warnings; an empty
// result means exit_code::kConfig.
[[nodiscard]] std::optional<config::Loaded> load_config(const ConfigOptions& options,
                                                        const config::LoadOptions& load = {});

// Splits --set. A setting without '=' is taken as a key without a value, which no key accepts.
[[nodiscard]] std::vector<config::FlagOverride> flag_overrides(
    const std::vector<std::string>& settings);

}  // namespace postlane::cli
