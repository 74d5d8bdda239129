#include "runtime/freshness_service.h"

#include <algorithm>

namespace postlane {

FreshnessService::FreshnessService(EndOffsets& ends, const Clock& clock, Millis staleness_max,
                                   AddressProof on_addresses, Trouble on_trouble)
    : ends_(ends), clock_(clock), interval_(staleness_max / 3),
      on_addresses_(std::move(on_addresses)), on_trouble_(std::move(on_trouble)) {}

void FreshnessService::add(PartitionId partition, PartitionProof on_proof) {
    const std::lock_guard lock(mutex_);
    partitions_.insert_or_assign(partition, std::move(on_proof));
}

void FreshnessService::remove(PartitionId partition) {
    const std::lock_guard lock(mutex_);
    partitions_.erase(partition);
}

void FreshnessService::ask() {
    {
        const std::lock_guard lock(mutex_);
        asked_ = true;
    }
    bell_.ring();
}

bool FreshnessService::due() const {
    const std::lock_guard lock(mutex_);
    return asked_ || clock_.boot_now() - last_ >= interval_;
}

void FreshnessService::turn(Millis wait_max) {
    if (!due()) {
        bell_.wait(std::min(wait_max, interval_));
        if (!due()) {
            return;
        }
    }
    std::vector<PartitionId> partitions;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [partition, on_proof] : partitions_) {
            partitions.push_back(partition);
        }
        asked_ = false;
        last_ = clock_.boot_now();
    }
    // Taken before the question leaves: everything acknowledged before this moment is below the answer.
    const BootInstant asked_at = clock_.boot_now();
    auto answer = ends_.ask(partitions);
    if (!answer) {
        on_trouble_(answer.error());
        bell_.wait(std::min(wait_max, interval_));
        return;
    }
    on_addresses_(asked_at, answer->address_suppressions);
    const std::lock_guard lock(mutex_);
    for (const auto& [partition, end] : answer->suppressions) {
        if (const auto found = partitions_.find(partition); found != partitions_.end()) {
            found->second(asked_at, end);
        }
    }
}

}  // namespace postlane
