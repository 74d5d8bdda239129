// Checks that concern more than one setting. Each leaves out settings that are wrong already, so
// that one mistake is reported once.
#pragma once

#include "config/draft.h"
#include "config/load.h"

namespace postlane::config {

void check_together(Draft& draft, const LoadOptions& options);

}  // namespace postlane::config
