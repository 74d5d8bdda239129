// What the telemetry listener asks of the running program. No personal data in any answer.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "postlane/ports/metrics.h"
#include "postlane/types.h"

namespace postlane {

// One thread that must make progress, or be replaced by a restart of the process.
struct Heartbeat {
    std::string thread;               // "group", "partition 3"
    std::chrono::milliseconds age{};  // since it last went round its loop
    std::chrono::milliseconds limit{};
};

struct PartitionStatus {
    PartitionId partition = 0;
    PartitionState state = PartitionState::Fencing;
    std::optional<std::int64_t> restore_remaining_records;  // while restoring
    std::optional<std::int64_t> sends_lag_records;
    std::optional<std::int64_t> suppressions_lag_records;
    std::optional<Millis> suppression_staleness;  // absent: never proven fresh
    std::int64_t in_flight = 0;
    std::int64_t held = 0;
};

struct OrderingStatus {
    std::uint64_t out_of_order = 0;
    std::uint64_t gaps = 0;
    std::uint64_t duplicates = 0;
    std::int64_t held = 0;
    std::uint64_t recipients = 0;          // whose sends were read; beyond 1,024 within some 2 %
    std::uint64_t sequences = 0;           // seen by this instance since it started
    std::uint64_t sequences_enforced = 0;  // of these, under enforced order
};

// Thread-safe: listener threads call it at any time between the construction of the listeners and
// their destruction. Must answer at once, also while partitions restore.
class StatusSource {
public:
    virtual ~StatusSource() = default;
    [[nodiscard]] virtual std::vector<Heartbeat> heartbeats() const = 0;
    // Configuration accepted, stores opened, group consumer created.
    [[nodiscard]] virtual bool started() const = 0;
    [[nodiscard]] virtual bool group_joined() const = 0;
    // The suppressions by address are read to their end.
    [[nodiscard]] virtual bool address_view_loaded() const = 0;
    [[nodiscard]] virtual bool draining() const = 0;
    // The assigned ones.
    [[nodiscard]] virtual std::vector<PartitionStatus> partitions() const = 0;
    [[nodiscard]] virtual OrderingStatus ordering() const = 0;
};

}  // namespace postlane
