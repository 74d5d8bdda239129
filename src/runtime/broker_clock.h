// Broker time on this machine: what the ledger's LogAppendTime would say now.
//
// Every commit tells a broker time; in between the boot clock carries on. So an instance whose own clock is wrong sends
// neither early nor late. Before the first commit, and with a CreateTime topic, the machine's clock has to do.
#pragma once

#include <atomic>

#include "postlane/ports/clock.h"
#include "postlane/ports/ledger_log.h"
#include "postlane/types.h"

namespace postlane {

// Thread-safe; one per process.
class BrokerClock {
public:
    explicit BrokerClock(const Clock& clock) : clock_(clock) {}

    void learn(const CommitReceipt& receipt) {
        if (receipt.broker_time) {
            // The broker stamped it a moment before now, so this runs a little late, never early.
            offset_.store((receipt.broker_time->time_since_epoch() - boot_millis(clock_.boot_now())).count());
            known_.store(true);
        }
    }
    [[nodiscard]] Instant at(BootInstant boot) const {
        if (!known_.load()) {
            return clock_.wall_now();
        }
        return Instant{boot_millis(boot) + Millis{offset_.load()}};
    }

private:
    static Millis boot_millis(BootInstant boot) {
        return std::chrono::duration_cast<Millis>(boot.time_since_epoch());
    }
    const Clock& clock_;
    std::atomic<Millis::rep> offset_{0};
    std::atomic<bool> known_{false};
};

}  // namespace postlane
