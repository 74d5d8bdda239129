#include "app/cli/config_file.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "adapters/kafka/client.h"
#include "app/cli/exit_code.h"

namespace postlane::cli {

void add_config_options(CLI::App& command, ConfigOptions& options, bool file_is_required) {
    CLI::Option* const file =
        command.add_option("-c,--config", options.file, "configuration file (TOML)")
            ->type_name("FILE");
    if (file_is_required) {
        file->required();
    }
    command
        .add_option("--set", options.settings,
                    "a setting that wins over file and environment, e.g. kafka.group_id=blue; may "
                    "be repeated")
        ->type_name("KEY=VALUE")
        ->expected(1)
        ->take_all()
        ->check([](const std::string& setting) {
            const auto equals = setting.find('=');
            return equals == std::string::npos || equals == 0
                       ? fmt::format("\"{}\" is no KEY=VALUE", setting)
                       : std::string();
        });
}

std::vector<config::FlagOverride> flag_overrides(const std::vector<std::string>& settings) {
    std::vector<config::FlagOverride> flags;
    for (const std::string& setting : settings) {
        const auto equals = setting.find('=');
        const std::string key = setting.substr(0, equals);
        flags.push_back({.key = key,
                         .value = equals == std::string::npos ? "" : setting.substr(equals + 1),
                         .flag = "--set " + key});
    }
    return flags;
}

std::optional<config::Loaded> load_config(const ConfigOptions& options,
                                          const config::LoadOptions& load) {
    config::LoadOptions asked = load;
    asked.refuse_property = kafka::refused_property;
    auto loaded = config::load_file(options.file, config::process_environment(),
                                    flag_overrides(options.settings), asked);
    if (!loaded) {
        fmt::print(stderr, "{}", config::format(loaded.error(), exit_code::kConfig));
        return std::nullopt;
    }
    if (!loaded->warnings.empty()) {
        fmt::print(stderr, "{}", config::format(loaded->warnings, exit_code::kOk));
    }
    return std::move(*loaded);
}

}  // namespace postlane::cli
