#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "adapters/kafka/client.h"
#include "app/cli/broker_report.h"
#include "app/cli/commands.h"
#include "app/cli/config_file.h"
#include "app/cli/console.h"
#include "app/cli/exit_code.h"
#include "app/cli/guarantee_sheet.h"

namespace postlane::cli {
namespace {

struct Options {
    std::string file;
    bool no_environment = false;
    bool deny_warnings = false;
    bool as_json = false;
};

// A cluster that answers does so at once; a laptop without one should not wait long to hear of a typing mistake.
constexpr Millis kBrokerPatience{3'000};

// {"diagnostics": …} with one more member.
std::string with_member(std::string report, std::string_view name, const std::string& value) {
    const auto brace = report.rfind('}');
    return report.insert(brace, fmt::format(",\"{}\":{}", name, value));
}

int validate(const Options& options) {
    config::LoadOptions load{.needs_routes = true,
                             .read_files = !options.no_environment,
                             .refuse_property = kafka::refused_property};
    // Of the text alone it cannot be told: a variable may add what is missing, and files decide the rest.
    if (!options.no_environment) {
        load.refuse_settings = kafka::refused_settings;
    }
    const auto loaded = config::load_file(
        options.file,
        options.no_environment ? config::Environment{} : config::process_environment(), {}, load);
    const config::Diagnostics& diagnostics = loaded ? loaded->warnings : loaded.error();
    const bool refused = !loaded || (options.deny_warnings && !diagnostics.empty());
    const int code = refused ? exit_code::kConfig : exit_code::kOk;
    const bool asks = loaded && !options.no_environment;
    if (options.as_json) {
        std::string report = config::format_json(diagnostics);
        if (loaded) {
            report = with_member(std::move(report), "guarantees",
                                 to_json(guarantee_sheet(loaded->config)));
        }
        if (asks) {
            report = with_member(std::move(report), "brokers",
                                 to_json(ask_brokers(loaded->config, kBrokerPatience)));
        }
        print("{}", report);
        return code;
    }
    if (!diagnostics.empty()) {
        fmt::print(stderr, "{}", config::format(diagnostics, code));
    }
    if (loaded) {
        print("{}: {}\n\n{}", printable(options.file), refused ? "refused" : "ok",
              to_text(guarantee_sheet(loaded->config)));
    }
    if (asks) {
        print("{}", to_text(ask_brokers(loaded->config, kBrokerPatience)));
    }
    return code;
}

}  // namespace

void add_validate(CLI::App& root, Action& action) {
    const auto options = std::make_shared<Options>();
    CLI::App* const command = root.add_subcommand(
        "validate", "say what is wrong with a configuration, and what a right one guarantees");
    command->add_option("FILE", options->file, "configuration file (TOML)")
        ->type_name("")
        ->required();
    command->add_flag("--no-environment", options->no_environment,
                      "judge the text alone: no POSTLANE__ variables, no files that it names, no "
                      "question to the brokers");
    command->add_flag("--deny-warnings", options->deny_warnings, "refuse what is only doubtful");
    command->add_flag("--json", options->as_json, "print JSON");
    command->callback([options, &action] { action = [options] { return validate(*options); }; });
}

}  // namespace postlane::cli
