// Time. Only the runtime asks; the core is told.
#pragma once

#include "postlane/types.h"

namespace postlane {

// Any thread.
class Clock {
public:
    virtual ~Clock() = default;
    // CLOCK_BOOTTIME: goes on while the machine sleeps.
    [[nodiscard]] virtual BootInstant boot_now() const = 0;
    // This machine's idea of the time of day. Used only until the broker's is known.
    [[nodiscard]] virtual Instant wall_now() const = 0;
};

}  // namespace postlane
