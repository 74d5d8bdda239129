// The sandbox as a program of its own; `postlane sandbox` is the same.
#include <CLI/CLI.hpp>

#include "sandbox/sandbox.h"

int main(int argc, char** argv) {
    postlane::sandbox::Options options;
    CLI::App app{"A local email service provider for development, demos, tests and benchmarks.",
                 "postlane-sandbox"};
    postlane::sandbox::add_options(app, options);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        const int code = app.exit(error);
        return code == 0 ? 0 : 64;
    }
    return postlane::sandbox::run(options);
}
