#include <CLI/CLI.hpp>
#include <memory>

#include "app/cli/commands.h"
#include "sandbox/sandbox.h"

namespace postlane::cli {

void add_sandbox(CLI::App& root, Action& action) {
    CLI::App* const command = root.add_subcommand(
        "sandbox", "run a local email service provider for development and tests");
    const auto options = std::make_shared<sandbox::Options>();
    sandbox::add_options(*command, *options);
    command->callback(
        [options, &action] { action = [options] { return sandbox::run(*options); }; });
}

}  // namespace postlane::cli
