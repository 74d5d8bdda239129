// The command line: what was asked for, and the exit code of doing it.
#pragma once

namespace postlane::cli {

// Runs one command. Never throws.
[[nodiscard]] int main(int argc, const char* const* argv);

}  // namespace postlane::cli
