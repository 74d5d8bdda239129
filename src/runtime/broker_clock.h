// Broker time on this machine: what the ledger's LogAppendTime would say now.
//
// Every commit tells a broker time; in between the boot clock carries on. So an instance whose own clock is wrong sends
// neither early nor late. Before the first commit, and with a CreateTime topic, the machine's clock has to do.
#pragma once

#include <algorithm>
#include <atomic>
#include <mutex>

#include "postlane/ports/clock.h"
#include "postlane/ports/ledger_log.h"
#include "postlane/types.h"

namespace postlane {

// Thread-safe; one per process.
class BrokerClock {
public:
    explicit BrokerClock(const Clock& clock) : clock_(clock) {}

    // The broker stamped the commit some time before we hear of it, so each commit tells the offset too low by its own
    // latency: the highest is the best. It sinks slowly, for clocks that drift, and at once if the broker's was set.
    // `took`: that latency. One that took long (the process slept in it) is no broker whose clock was set back; and as
    // the first one it would tell a time so low that what is due and what has expired would be decided wrongly: asked
    // again, unless every commit takes long.
    void learn(const CommitReceipt& receipt, BootClock::duration took) {
        if (!receipt.broker_time) {
            return;
        }
        if (!known_ && took > kFirstWithin && slow_.fetch_add(1) + 1 < kSlowMax) {
            return;
        }
        const Millis boot = boot_millis(clock_.boot_now());
        const Millis told = receipt.broker_time->time_since_epoch() - boot;
        const std::lock_guard lock(mutex_);
        const Millis sunk = Millis{offset_.load()} - (boot - learned_at_) / kSinkPerMilli;
        const Millis at_most = told + std::chrono::ceil<Millis>(took);
        const bool was_set = known_ && at_most < sunk - kClockWasSet;
        offset_.store((known_ && !was_set ? std::max(told, sunk) : told).count());
        learned_at_ = boot;
        known_ = true;
    }
    // False: only this machine's own clock is there to tell the time.
    [[nodiscard]] bool known() const { return known_; }
    // The broker tells its time, but no commit was fast enough yet to believe it.
    [[nodiscard]] bool doubtful() const { return !known_ && slow_ > 0; }
    [[nodiscard]] Instant at(BootInstant boot) const {
        if (!known_) {
            return clock_.wall_now();
        }
        return Instant{boot_millis(boot) + Millis{offset_.load()}};
    }

private:
    static Millis boot_millis(BootInstant boot) {
        return std::chrono::duration_cast<Millis>(boot.time_since_epoch());
    }
    static constexpr Millis::rep kSinkPerMilli = 1'000;
    static constexpr Millis kClockWasSet{10'000};
    static constexpr Millis kFirstWithin{500};
    static constexpr int kSlowMax = 5;

    const Clock& clock_;
    std::mutex mutex_;     // of learn()
    Millis learned_at_{};  // under mutex_
    std::atomic<Millis::rep> offset_{0};
    std::atomic<bool> known_{false};
    std::atomic<int> slow_{0};  // first commits that took too long to believe
};

}  // namespace postlane
