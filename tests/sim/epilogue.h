// What happens to a world at rest: a disaster that must be refused, or a trouble that must not spread. Random faults
// meet these too seldom, and a world that refuses to run cannot go on.
#pragma once

#include <string>

#include "sim/world.h"

namespace postlane::sim {

// The world is healed and quiet, and stays usable only for the judge. What is wrong; empty: nothing.
[[nodiscard]] std::string run_epilogue(World& world, Epilogue epilogue);

[[nodiscard]] std::string_view to_string(Epilogue epilogue);

}  // namespace postlane::sim
