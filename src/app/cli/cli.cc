#include "app/cli/cli.h"

#include <CLI/CLI.hpp>
#include <array>
#include <cstdio>
#include <exception>
#include <string>
#include <system_error>
#include <vector>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/exit_code.h"
#include "config/text.h"

namespace postlane::cli {
namespace {

// In the order of --help: what runs, what prepares, what asks, what helps.
constexpr std::array kCommands{add_run,     add_validate, add_config,  add_topics,   add_send,
                               add_explain, add_ledger,   add_sandbox, add_simulate, add_version};

std::vector<std::string> subcommand_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::App* const command :
         app.get_subcommands([](const CLI::App*) { return true; })) {
        names.push_back(command->get_name());
    }
    return names;
}

std::vector<std::string> option_names(const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* const option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) {
            names.push_back("--" + name);
        }
    }
    return names;
}

// The command that parsing reached.
const CLI::App& innermost(const CLI::App& root) {
    const CLI::App* app = &root;
    while (!app->get_subcommands().empty()) {
        app = app->get_subcommands().front();
    }
    return *app;
}

std::string full_name(const CLI::App& app) {
    return app.get_parent() == nullptr ? app.get_name()
                                       : full_name(*app.get_parent()) + " " + app.get_name();
}

std::string did_you_mean(const std::string& word, const std::vector<std::string>& candidates) {
    const auto nearest = config::nearest(word, candidates);
    return nearest ? fmt::format("; did you mean \"{}\"?", *nearest) : "";
}

// What was wrong, in one line that says what to do.
std::string describe(const CLI::App& root, const CLI::ParseError& error) {
    const CLI::App& command = innermost(root);
    const std::vector<std::string> names = subcommand_names(command);
    std::vector<std::string> extras = root.remaining(true);
    if (!extras.empty()) {
        const std::string& word = extras.front();
        if (word.starts_with('-')) {
            return fmt::format("{} has no option \"{}\"{}", full_name(command), printable(word),
                               did_you_mean(word, option_names(command)));
        }
        if (!names.empty()) {
            return fmt::format("{} has no command \"{}\"{}", full_name(command), printable(word),
                               did_you_mean(word, names));
        }
        return fmt::format("{} does not expect \"{}\"", full_name(command), printable(word));
    }
    if (!names.empty() && command.get_subcommands().empty()) {
        return fmt::format("{} needs a command: {}", full_name(command), config::one_of(names));
    }
    return fmt::format("{}: {}", full_name(command), error.what());
}

int parse_failure(CLI::App& root, const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
        return root.exit(error);  // --help
    }
    fmt::print(stderr, "{}\nsee {} --help\n", describe(root, error), full_name(innermost(root)));
    return exit_code::kUsage;
}

int flush_output(int code) {
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
        complain("the output cannot be written");
        return code == exit_code::kOk ? exit_code::kInputOutput : code;
    }
    return code;
}

}  // namespace

int main(int argc, const char* const* argv) {
    try {
        CLI::App root{
            "Hands emails from Kafka to email service providers: in order, once, and never to "
            "someone who unsubscribed.",
            "postlane"};
        root.require_subcommand(1);
        root.set_help_flag("-h,--help", "print this help and exit");
        root.set_version_flag("--version", "postlane " POSTLANE_VERSION,
                              "print the version and exit");
        Action action;
        for (const auto add : kCommands) {
            add(root, action);
        }
        root.get_formatter()->label("SUBCOMMAND", "COMMAND");
        for (CLI::App* const command : root.get_subcommands([](CLI::App*) { return true; })) {
            command->group("Commands");
        }
        try {
            root.parse(argc, argv);
        } catch (const CLI::ParseError& error) {
            return flush_output(parse_failure(root, error));
        }
        return flush_output(action());
    } catch (const std::system_error& error) {
        if (std::ferror(stdout) == 0) {
            complain("internal error: {}", error.what());
            return exit_code::kInternal;
        }
        complain("the output cannot be written: {}", error.code().message());
        return exit_code::kInputOutput;
    } catch (const std::exception& error) {
        complain("internal error: {}", error.what());
        return exit_code::kInternal;
    }
}

}  // namespace postlane::cli
