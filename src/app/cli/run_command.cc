#include <CLI/CLI.hpp>
#include <cstdlib>
#include <memory>
#include <string>

#include "adapters/system/crash.h"
#include "adapters/system/log.h"
#include "app/cli/commands.h"
#include "app/cli/config_file.h"
#include "app/cli/exit_code.h"
#include "app/wiring.h"

namespace postlane::cli {
namespace {

struct Options {
    ConfigOptions config;
    std::string level = "info";
    std::string format = "auto";
};

LogFormat format_of(const std::string& word) {
    return word == "json" ? LogFormat::Json : word == "text" ? LogFormat::Text : LogFormat::Auto;
}

int run(const Options& options) {
    set_up_log({.level = log_level_from(options.level).value_or(LogLevel::Info),
                .format = format_of(options.format)});
    // NOLINTNEXTLINE(concurrency-mt-unsafe): no thread runs yet
    if (const auto armed = arm_crash_point(std::getenv("POSTLANE_CRASH_AT")); !armed) {
        log_event(LogLevel::Error, "instance.refused", "{}", armed.error().detail);
        return exit_code::kConfig;
    }
    const auto loaded = load_config(options.config);
    return loaded ? run_postlane(loaded->config) : exit_code::kConfig;
}

}  // namespace

void add_run(CLI::App& root, Action& action) {
    const auto options = std::make_shared<Options>();
    CLI::App* const command =
        root.add_subcommand("run", "consume, decide and send until SIGTERM or SIGINT");
    add_config_options(*command, options->config);
    command->add_option("--log-level", options->level, "what is logged on stderr")
        ->check(CLI::IsMember({"debug", "info", "warning", "error"}))
        ->capture_default_str();
    command
        ->add_option("--log-format", options->format,
                     "auto: text on a terminal, one JSON object a line elsewhere")
        ->check(CLI::IsMember({"auto", "json", "text"}))
        ->capture_default_str();
    command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace postlane::cli
