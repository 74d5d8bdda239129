#include "adapters/kafka/clock.h"

#include <ctime>

namespace postlane::kafka {

BootInstant boot_now() {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return BootInstant(std::chrono::duration_cast<BootClock::duration>(
        std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec)));
}

}  // namespace postlane::kafka
