#include "adapters/system/clock.h"

#include <cstdlib>
#include <ctime>

namespace postlane {
namespace {

// Whole microseconds of a kernel clock.
std::chrono::microseconds read_clock(clockid_t id) {
    timespec now{};
    if (clock_gettime(id, &now) != 0) {
        std::abort();
    }
    return std::chrono::seconds{now.tv_sec} + std::chrono::duration_cast<std::chrono::microseconds>(
                                                  std::chrono::nanoseconds{now.tv_nsec});
}

}  // namespace

BootInstant SystemClock::boot_now() const {
    return BootInstant{read_clock(CLOCK_BOOTTIME)};
}

Instant SystemClock::wall_now() const {
    return Instant{std::chrono::duration_cast<Millis>(read_clock(CLOCK_REALTIME))};
}

}  // namespace postlane
