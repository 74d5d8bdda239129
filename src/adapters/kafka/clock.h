// Deadlines inside this adapter: CLOCK_BOOTTIME, as everywhere in postlane.
#pragma once

#include <algorithm>

#include "postlane/types.h"

namespace postlane::kafka {

BootInstant boot_now();

inline Millis left_until(BootInstant until) {
    return std::max(std::chrono::duration_cast<Millis>(until - boot_now()), Millis(0));
}

}  // namespace postlane::kafka
