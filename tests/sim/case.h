// One run of the swarm as a person can read and keep it: a seed, and what is left out of what the seed would do.
//
//   # G3: r0 m2 (T5) executed 2 times, by A1 and B1
//   seed 4711
//   luck 3
//   without kills pauses
//   messages 4
//
// Failing seeds become such files in tests/sim/seeds and are replayed for ever.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "postlane/error.h"
#include "sim/world.h"

namespace postlane::sim {

inline constexpr const char* kEpilogueWord = "epilogue";

struct Case {
    std::uint64_t seed = 1;
    std::uint64_t luck =
        0;  // another stream of chance under the seed's settings; 0: the seed's own
    std::set<std::string> without;  // fault classes that are off; kEpilogueWord: no epilogue
    // Fewer than the seed says.
    std::optional<std::int64_t> messages;
    std::optional<std::int64_t> suppressions;
    std::optional<std::int64_t> recipients;
    std::optional<std::int64_t> instances;
    std::optional<std::int64_t> partitions;
    std::optional<std::int64_t> duration_ms;
    std::string note;  // what was wrong
};

[[nodiscard]] Options options_of(const Case& one);
[[nodiscard]] std::string to_text(const Case& one);
[[nodiscard]] Result<Case> parse_case(const std::string& text);

struct NamedCase {
    std::string name;
    Case what;
};
// Every *.seed file of the folder, by name. Malformed names the file.
[[nodiscard]] Result<std::vector<NamedCase>> load_cases(const std::string& directory);
// Gives the file's path.
[[nodiscard]] Result<std::string> save_case(const std::string& directory, const Case& one);

}  // namespace postlane::sim
