// When to commit. A transaction costs client and broker some milliseconds of CPU whatever its size, so a busy partition
// makes few large ones and an idle one commits at once.
#pragma once

#include <algorithm>

#include "postlane/types.h"

namespace postlane {

class CommitPacer {
public:
    static constexpr std::size_t kRecordsEnough = 2'000;
    static constexpr std::size_t kBytesEnough = std::size_t{4} << 20U;

    struct Load {
        std::size_t records;
        std::size_t bytes;
        bool saturated;                // more input waits than can be dispatched
        std::size_t owned_partitions;  // of this process: they share its CPU
    };

    void committed(BootInstant began) { last_began_ = began; }

    // When a batch of this load should be committed; in the past: now.
    [[nodiscard]] BootInstant due(const Load& load) const {
        if (load.records >= kRecordsEnough || load.bytes >= kBytesEnough) {
            return BootInstant{};
        }
        // About 3 ms of CPU a transaction (librdkafka 2.0.2): with this, transactions take at most about half a
        // core while there is time, and a fifth when throughput matters.
        const auto per_partition = load.saturated ? Millis{15} : Millis{5};
        const auto interval = per_partition * static_cast<Millis::rep>(
                                                  std::max<std::size_t>(load.owned_partitions, 1));
        return last_began_ +
               std::clamp<Millis>(interval, Millis{load.saturated ? 40 : 10}, Millis{250});
    }

private:
    BootInstant last_began_{};
};

}  // namespace postlane
