#include <CLI/CLI.hpp>
#include <memory>

#include "app/cli/commands.h"
#include "app/cli/config_file.h"
#include "app/cli/console.h"
#include "app/cli/exit_code.h"
#include "config/reference.h"

namespace postlane::cli {
namespace {

struct ShowOptions {
    ConfigOptions config;
    bool as_json = false;
};

int show(const ShowOptions& options) {
    const auto loaded = load_config(options.config, {.needs_routes = false, .read_files = false});
    if (!loaded) {
        return exit_code::kConfig;
    }
    print("{}", config::show(*loaded, options.as_json));
    return exit_code::kOk;
}

void add_printer(CLI::App& group, Action& action, const std::string& name, const std::string& help,
                 std::string (*text)()) {
    group.add_subcommand(name, help)->callback([text, &action] {
        action = [text] {
            print("{}", text());
            return exit_code::kOk;
        };
    });
}

}  // namespace

void add_config(CLI::App& root, Action& action) {
    CLI::App* const group =
        root.add_subcommand("config", "show settings, defaults and their schema");
    group->require_subcommand(1);

    const auto options = std::make_shared<ShowOptions>();
    CLI::App* const command = group->add_subcommand(
        "show", "print every setting in force and where it came from; secrets are not read");
    add_config_options(*command, options->config);
    command->add_flag("--json", options->as_json, "print JSON");
    command->callback([options, &action] { action = [options] { return show(*options); }; });

    add_printer(*group, action, "default", "print a file with every setting, explained",
                config::default_toml);
    add_printer(*group, action, "schema", "print the JSON Schema of the file", config::json_schema);
}

}  // namespace postlane::cli
