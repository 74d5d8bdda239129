// Asks where the suppression partitions end, and hands every partition its proof (protocol section 5).
//
// At once while work waits for it, else every F/3, so that the last check before each attempt finds a fresh view. One
// question covers everything. Errors prove nothing, so sending stops by itself (fail closed).
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "postlane/ports/clock.h"
#include "postlane/ports/end_offsets.h"
#include "runtime/bell.h"

namespace postlane {

class FreshnessService {
public:
    using PartitionProof = std::function<void(BootInstant asked_at, Offset end)>;
    using AddressProof =
        std::function<void(BootInstant asked_at, const std::map<PartitionId, Offset>& ends)>;
    using Trouble = std::function<void(const Error&)>;

    FreshnessService(EndOffsets& ends, const Clock& clock, Millis staleness_max,
                     AddressProof on_addresses, Trouble on_trouble);

    // Any thread. `on_proof` is called by the freshness thread, until remove() has returned.
    void add(PartitionId partition, PartitionProof on_proof);
    void remove(PartitionId partition);
    // Work waits for a proof asked after now.
    void ask();

    // The freshness thread: one question, or a wait for at most `wait_max`. Call it for ever.
    void turn(Millis wait_max);

private:
    [[nodiscard]] bool due() const;

    EndOffsets& ends_;
    const Clock& clock_;
    const Millis interval_;
    const AddressProof on_addresses_;
    const Trouble on_trouble_;
    Bell bell_;
    mutable std::mutex mutex_;
    // Below: under mutex_.
    std::map<PartitionId, PartitionProof> partitions_;
    bool asked_ = false;
    BootInstant last_{};
};

}  // namespace postlane
