// What `postlane run` does.
#pragma once

#include "postlane/config.h"

namespace postlane {

// Serves until SIGTERM or SIGINT. The process's exit code.
int run_postlane(const Config& config);

}  // namespace postlane
