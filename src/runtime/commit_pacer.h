// When to commit. A transaction costs client and broker some milliseconds of CPU whatever its size, so a busy partition
// makes few large ones and an idle one commits at once.
#pragma once

#include <algorithm>
#include <atomic>
#include <vector>

#include "postlane/types.h"

namespace postlane {

// Which partitions of a process commit: they share its CPU. One per process; any thread.
class CommitActivity {
public:
    static constexpr Millis kRecently{500};

    explicit CommitActivity(std::int32_t partition_count)
        : last_(static_cast<std::size_t>(partition_count)) {}

    void committed(PartitionId partition, BootInstant began) {
        last_.at(static_cast<std::size_t>(partition)) = began.time_since_epoch().count();
    }
    [[nodiscard]] std::size_t partitions(BootInstant now) const {
        const BootInstant::rep since =
            std::max<BootInstant::rep>(0, (now - kRecently).time_since_epoch().count());
        return static_cast<std::size_t>(std::count_if(
            last_.begin(), last_.end(), [&](const auto& began) { return began.load() > since; }));
    }

private:
    std::vector<std::atomic<BootInstant::rep>> last_;
};

class CommitPacer {
public:
    static constexpr std::size_t kRecordsEnough = 2'000;
    // Fewer than this gain nothing by waiting for more: each message waits for the one before it (a hot recipient), and
    // that one for its commit.
    static constexpr std::size_t kRecordsFew = 64;
    static constexpr std::size_t kBytesEnough = std::size_t{4} << 20U;

    struct Load {
        std::size_t records;
        std::size_t bytes;
        bool busy;                      // throughput matters now, not latency
        std::size_t active_partitions;  // CommitActivity::partitions
        Millis staleness_max;           // suppression.max_staleness
    };

    void committed(BootInstant began, BootClock::duration took) {
        last_began_ = began;
        typical_ = (typical_ * 3 + took) / 4;
    }

    // When a batch of this load should be committed; in the past: now.
    [[nodiscard]] BootInstant due(const Load& load) const {
        const bool enough = load.records >= kRecordsEnough || load.bytes >= kBytesEnough;
        return enough ? BootInstant{} : next(load);
    }
    // When the next one should be that is not large.
    [[nodiscard]] BootInstant next(const Load& load) const {
        // About 2 ms of CPU a transaction (librdkafka 2.0.2), and as much again in the broker: with this, transactions
        // take at most about one core while there is time, and a tenth when throughput matters.
        const auto per_partition = load.busy ? Millis{24} : Millis{2};
        const auto interval = per_partition * static_cast<Millis::rep>(
                                                  std::max<std::size_t>(load.active_partitions, 1));
        // A busy partition publishes how fresh its view is once per transaction; the requests of the one before must
        // not find it too old.
        const Millis most = load.busy ? load.staleness_max * 2 / 3 : Millis{250};
        // Commits that take long wait for each other, in the broker or for a CPU: more of them would only wait longer.
        const int spared = load.active_partitions > 1 ? 4 : 2;
        const Millis least =
            load.busy ? Millis{40}
                      : std::max(Millis{10}, std::chrono::duration_cast<Millis>(spared * typical_));
        return last_began_ +
               std::min(std::max<Millis>(interval, least), std::max(most, Millis{10}));
    }

private:
    BootInstant last_began_{};
    BootClock::duration typical_{};  // of a commit; the latest count most
};

}  // namespace postlane
