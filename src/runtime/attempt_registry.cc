#include "runtime/attempt_registry.h"

#include <utility>

namespace postlane {

AttemptRegistry::AttemptRegistry(std::uint64_t process, const Config& config, ProviderFlow& flow,
                                 std::function<void(PartitionId)> wake,
                                 std::function<BootInstant()> now)
    : process_(process), config_(config), flow_(flow), wake_(std::move(wake)),
      now_(std::move(now)) {}

AttemptId AttemptRegistry::next() {
    const std::lock_guard lock(mutex_);
    return AttemptId{process_, ++last_number_};
}

void AttemptRegistry::submitted(const AttemptId& attempt, PartitionId partition,
                                const Grant& grant) {
    const std::lock_guard lock(mutex_);
    Entry entry;
    entry.partition = partition;
    entry.grant = grant;
    entries_.emplace(attempt, std::move(entry));
}

bool AttemptRegistry::knows(const AttemptId& attempt) const {
    const std::lock_guard lock(mutex_);
    return entries_.contains(attempt);
}

void AttemptRegistry::handed_over(const AttemptId& attempt) {
    const std::lock_guard lock(mutex_);
    if (const auto entry = entries_.find(attempt); entry != entries_.end()) {
        entry->second.handed_over = true;
    }
}

void AttemptRegistry::move_credit(Entry& entry, std::vector<Grant>& to) {
    if (std::exchange(entry.holds_credit, false)) {
        to.push_back(entry.grant);
    }
}

void AttemptRegistry::finished(const AttemptId& attempt, PartitionId partition,
                               AttemptResult result) {
    Grant grant;
    {
        const std::lock_guard lock(mutex_);
        const auto entry = entries_.find(attempt);
        if (entry == entries_.end() || entry->second.result) {
            return;
        }
        grant = entry->second.grant;
    }
    // Before the partition hears of it: what this answer says about the provider holds for its next decision.
    flow_.answered(grant, classify(config_.providers.at(grant.provider), result), result, now_());
    std::vector<Grant> credits;
    {
        const std::lock_guard lock(mutex_);
        const auto entry =
            entries_.find(attempt);  // still there: nothing forgets one without a result
        entry->second.result = std::move(result);
        finished_[partition].push_back(attempt);
        if (!open_.contains(partition)) {
            move_credit(entry->second, credits);
        }
    }
    flow_.settled(credits);
    wake_(partition);
}

std::vector<AttemptRegistry::Finished> AttemptRegistry::take(PartitionId partition) {
    const std::lock_guard lock(mutex_);
    std::vector<Finished> taken;
    for (const AttemptId& attempt : std::exchange(finished_[partition], {})) {
        if (const auto entry = entries_.find(attempt); entry != entries_.end()) {
            entry->second.taken = true;
            taken.push_back({attempt, *entry->second.result});
        }
    }
    return taken;
}

void AttemptRegistry::settled(const std::vector<AttemptId>& attempts) {
    std::vector<Grant> credits;
    {
        const std::lock_guard lock(mutex_);
        for (const AttemptId& attempt : attempts) {
            if (const auto entry = entries_.find(attempt); entry != entries_.end()) {
                move_credit(entry->second, credits);
                entries_.erase(entry);
            }
        }
    }
    flow_.settled(credits);
}

void AttemptRegistry::opened(PartitionId partition) {
    const std::lock_guard lock(mutex_);
    open_.insert(partition);
    std::vector<AttemptId>& finished = finished_[partition];
    for (auto& [attempt, entry] : entries_) {
        if (entry.partition == partition && std::exchange(entry.taken, false)) {
            finished.push_back(attempt);
        }
    }
}

void AttemptRegistry::keep_only(PartitionId partition, const std::set<AttemptId>& open) {
    std::vector<Grant> credits;
    {
        const std::lock_guard lock(mutex_);
        for (auto entry = entries_.begin(); entry != entries_.end();) {
            // One still on its way keeps its entry: its result gives the credit back.
            if (entry->second.partition == partition && entry->second.result &&
                !open.contains(entry->first)) {
                move_credit(entry->second, credits);
                entry = entries_.erase(entry);
            } else {
                ++entry;
            }
        }
    }
    flow_.settled(credits);
}

void AttemptRegistry::closed(PartitionId partition) {
    std::vector<Grant> credits;
    {
        const std::lock_guard lock(mutex_);
        open_.erase(partition);
        for (auto& [attempt, entry] : entries_) {
            if (entry.partition == partition && entry.result) {
                move_credit(entry, credits);
            }
        }
    }
    flow_.settled(credits);
}

std::size_t AttemptRegistry::on_the_wire() const {
    const std::lock_guard lock(mutex_);
    std::size_t count = 0;
    for (const auto& [attempt, entry] : entries_) {
        count += entry.handed_over && !entry.result ? 1U : 0U;
    }
    return count;
}

}  // namespace postlane
