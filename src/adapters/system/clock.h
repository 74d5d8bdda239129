// This machine's clocks.
#pragma once

#include "postlane/ports/clock.h"

namespace postlane {

// Any thread. Ends the process if the kernel has no CLOCK_BOOTTIME (Linux before 2.6.39): every
// deadline would be a guess.
class SystemClock final : public Clock {
public:
    [[nodiscard]] BootInstant boot_now() const override;
    [[nodiscard]] Instant wall_now() const override;
};

}  // namespace postlane
