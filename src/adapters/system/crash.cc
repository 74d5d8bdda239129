#include "adapters/system/crash.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <csignal>
#include <cstdint>
#include <string>

#include "postlane/crash_point.h"

namespace postlane {

#if POSTLANE_CRASH_POINTS
namespace {

// NOLINTBEGIN(cppcoreguidelines-avoid-non-const-global-variables): the trap is a plain function
std::atomic<std::int64_t> passes_left{0};
CrashTrap trap{};
// NOLINTEND(cppcoreguidelines-avoid-non-const-global-variables)

void passed() {
    if (passes_left.fetch_sub(1) != 1) {
        return;
    }
    const std::string_view name = kCrashPointNames.at(static_cast<std::size_t>(trap.point));
    const std::string line = fmt::format("crash point {}\n", name);
    [[maybe_unused]] const ssize_t told = ::write(STDERR_FILENO, line.data(), line.size());
    ::kill(::getpid(), SIGKILL);
    while (true) {
        ::pause();  // the signal is on its way; this thread must not go on meanwhile
    }
}

}  // namespace

Result<void> arm_crash_point(const char* setting) {
    if (setting == nullptr || *setting == '\0') {
        return {};
    }
    const std::string_view text(setting);
    const auto colon = text.find(':');
    const auto* const found =
        std::find(kCrashPointNames.begin(), kCrashPointNames.end(), text.substr(0, colon));
    if (found == kCrashPointNames.end()) {
        return fail(ErrorCode::Misconfigured,
                    fmt::format("POSTLANE_CRASH_AT: there is no point \"{}\"; there are {}",
                                text.substr(0, colon), fmt::join(kCrashPointNames, ", ")));
    }
    std::int64_t count = 1;
    if (colon != std::string_view::npos) {
        const std::string_view number = text.substr(colon + 1);
        const char* const end = number.data() + number.size();
        const auto parsed = std::from_chars(number.data(), end, count);
        if (parsed.ec != std::errc{} || parsed.ptr != end || count < 1) {
            return fail(ErrorCode::Misconfigured,
                        fmt::format("POSTLANE_CRASH_AT: \"{}\" is no count; give <point>:<n> with "
                                    "n from 1",
                                    number));
        }
    }
    passes_left = count;
    trap = CrashTrap{static_cast<CrashPoint>(found - kCrashPointNames.begin()), &passed};
    crash_trap = &trap;
    return {};
}
#else
Result<void> arm_crash_point(const char* setting) {
    if (setting == nullptr || *setting == '\0') {
        return {};
    }
    return fail(ErrorCode::Misconfigured,
                "POSTLANE_CRASH_AT is set, but this program was built without crash points "
                "(POSTLANE_CRASH_POINTS=OFF): unset it");
}
#endif

}  // namespace postlane
