// What this process knows about the attempts it has submitted.
//
// It outlives partitions and their restarts, because only the process can tell its own attempts from
// those of a dead one: an attempt known here is awaited, an own attempt unknown here was never
// submitted, and only an attempt of another process is in doubt (protocol section 3,
// restart_partition). An entry stays until its partition has committed what became of it.
//
// Thread-safe. I/O threads report, partition threads take.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "postlane/ports/dispatcher.h"
#include "runtime/provider_flow.h"

namespace postlane {

class AttemptRegistry final : public AttemptSink {
public:
    // `process` names this process for ever; random. `wake(p)` tells partition p's thread that results wait.
    AttemptRegistry(std::uint64_t process, const Config& config, ProviderFlow& flow,
                    std::function<void(PartitionId)> wake, std::function<BootInstant()> now);

    [[nodiscard]] std::uint64_t process() const noexcept { return process_; }
    [[nodiscard]] AttemptId next();

    // Before the request is submitted. Takes over the grant.
    void submitted(const AttemptId& attempt, PartitionId partition, const Grant& grant);
    [[nodiscard]] bool knows(const AttemptId& attempt) const;

    void handed_over(const AttemptId& attempt) override;
    void finished(const AttemptId& attempt, PartitionId partition, AttemptResult result) override;

    struct Finished {
        AttemptId attempt;
        AttemptResult result;
    };
    // Finished attempts of the partition that were not taken since it was last opened.
    [[nodiscard]] std::vector<Finished> take(PartitionId partition);
    // What became of them is committed: forget them, give their credits back.
    void settled(const std::vector<AttemptId>& attempts);

    // The partition starts (again): results taken but never committed are offered once more.
    void opened(PartitionId partition);
    // After its restore: entries that match no open intent of the ledger concern nobody.
    void keep_only(PartitionId partition, const std::set<AttemptId>& open);
    // The partition left: credits of its finished attempts are given back at once, the results kept in
    // case it returns.
    void closed(PartitionId partition);

    [[nodiscard]] std::size_t on_the_wire() const;

private:
    struct Entry {
        PartitionId partition = 0;
        Grant grant;
        bool holds_credit = true;
        bool handed_over = false;
        bool taken = false;
        std::optional<AttemptResult> result;
    };

    static void move_credit(Entry& entry, std::vector<Grant>& to);

    const std::uint64_t process_;
    const Config& config_;
    ProviderFlow& flow_;
    const std::function<void(PartitionId)> wake_;
    const std::function<BootInstant()> now_;
    mutable std::mutex mutex_;
    // Below: under mutex_.
    std::uint64_t last_number_ = 0;
    std::map<AttemptId, Entry> entries_;
    std::map<PartitionId, std::vector<AttemptId>> finished_;
    std::set<PartitionId> open_;
};

}  // namespace postlane
