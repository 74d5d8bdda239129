// The commands of the program. Each adds itself to the command line; the one that was given leaves
// what is to be done in `action`, which returns the exit code.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace postlane::cli {

using Action = std::function<int()>;

void add_run(CLI::App& root, Action& action);
void add_validate(CLI::App& root, Action& action);
void add_config(CLI::App& root, Action& action);
void add_topics(CLI::App& root, Action& action);
void add_send(CLI::App& root, Action& action);
void add_explain(CLI::App& root, Action& action);
void add_ledger(CLI::App& root, Action& action);
void add_sandbox(CLI::App& root, Action& action);
void add_simulate(CLI::App& root, Action& action);
void add_version(CLI::App& root, Action& action);

}  // namespace postlane::cli
