// Arms the crash point that the environment names.
#pragma once

#include "postlane/error.h"

namespace postlane {

// `setting` is POSTLANE_CRASH_AT, "<point>[:n]", or null: from now on the process kills itself with SIGKILL the n-th
// time (the first by default) it passes the point. Call before threads start. Refused: an unknown point, a count that
// is none, a build without crash points.
[[nodiscard]] Result<void> arm_crash_point(const char* setting);

}  // namespace postlane
