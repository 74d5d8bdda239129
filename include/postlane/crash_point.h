// Named places at which a test has the process kill itself, as a kill -9 from outside would never hit them. Off unless
// the program was started with POSTLANE_CRASH_AT (adapters/system/crash.h); then a pass costs one branch on a pointer
// that is written once, before any thread starts. Built with POSTLANE_CRASH_POINTS=OFF a pass costs nothing.
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace postlane {

enum class CrashPoint : unsigned char {
    AfterPoll,           // sends were read, nothing is decided
    BeforeIntentCommit,  // an open transaction with intents lies in the log
    AfterIntentCommit,   // committed and stored, not yet with the HTTP side
    BeforeFirstByte,     // the last check let the request pass
    MidRequest,          // on the wire, without an answer
    AfterResponse,       // answered, and nobody but the I/O thread knows
    ResultProduced,      // an open transaction with outcomes lies in the log
    CommittedNotStored,  // the ledger has it, RocksDB does not
    Restore,             // while the ledger is replayed
    Revoke,              // the group takes partitions back
    Drain,               // no new intents, requests still in flight
};

inline constexpr std::array<std::string_view, 11> kCrashPointNames{"after_poll",
                                                                   "before_intent_commit",
                                                                   "after_intent_commit",
                                                                   "before_first_byte",
                                                                   "mid_request",
                                                                   "after_response",
                                                                   "result_produced",
                                                                   "committed_not_stored",
                                                                   "restore",
                                                                   "revoke",
                                                                   "drain"};

struct CrashTrap {
    CrashPoint point;
    void (*passed)();  // from whatever thread; does not return the n-th time
};

#if POSTLANE_CRASH_POINTS
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): written once, at the start
inline const CrashTrap* crash_trap = nullptr;

[[nodiscard]] inline bool crash_armed(CrashPoint point) noexcept {
    return crash_trap != nullptr && crash_trap->point == point;
}
inline void crash_point(CrashPoint point) noexcept {
    if (crash_armed(point)) [[unlikely]] {
        crash_trap->passed();
    }
}
#else
[[nodiscard]] constexpr bool crash_armed(CrashPoint /*point*/) noexcept {
    return false;
}
constexpr void crash_point(CrashPoint /*point*/) noexcept {}
#endif

}  // namespace postlane
