// The smaller ports of one process: input streams, end offsets, store, clock, metrics.
#pragma once

#include <memory>

#include "postlane/ports/clock.h"
#include "postlane/ports/end_offsets.h"
#include "postlane/ports/input_stream.h"
#include "postlane/ports/metrics.h"
#include "postlane/ports/store.h"
#include "sim/env.h"

namespace postlane::sim {

// Reads read_committed, a little behind: what was appended arrives after the fetch's delay.
class SimInputStream final : public InputStream {
public:
    SimInputStream(Env& env, std::shared_ptr<Process> process, Topic topic, PartitionId partition);

    Result<void> start(Offset from) override;
    Result<Offset> resolve(Offset which) override;
    Result<void> poll(std::vector<InputRecord>& out, std::size_t max) override;
    std::optional<Offset> end_seen() const override;
    std::optional<Offset> high_watermark() const override;

    // When something that is now in the topic will have arrived.
    [[nodiscard]] Time delay() const noexcept { return delay_; }

private:
    [[nodiscard]] Offset arrived_end() const;

    Env& env_;
    const std::shared_ptr<Process> process_;
    const Topic topic_;
    const PartitionId partition_;
    Time delay_;
    Offset next_ = 0;
    Offset furthest_ = 0;
    bool started_ = false;
    std::optional<Offset> end_seen_;
};

class SimEndOffsets final : public EndOffsets {
public:
    SimEndOffsets(Env& env, std::shared_ptr<Process> process)
        : env_(env), process_(std::move(process)) {}
    Result<Answer> ask(const std::vector<PartitionId>& suppressions) override;

private:
    [[nodiscard]] Offset end_of(Topic topic, PartitionId partition) const;
    Env& env_;
    const std::shared_ptr<Process> process_;
};

// A handle on a machine's disk.
class SimStore final : public Store {
public:
    SimStore(Env& env, std::shared_ptr<Process> process, Machine& machine, PartitionId partition);
    ~SimStore() override;
    Result<std::optional<std::string>> get(std::string_view key) const override;
    Result<std::vector<std::pair<std::string, std::string>>> scan(std::string_view begin,
                                                                  std::string_view end,
                                                                  std::size_t limit) const override;
    Result<void> write(const StoreBatch& batch) override;
    Result<void> wipe() override;
    std::uint64_t size_bytes() const override { return disk_.rows.size() * 100; }

private:
    [[nodiscard]] bool damaged() const;
    Env& env_;
    const std::shared_ptr<Process> process_;
    Machine& machine_;
    const PartitionId partition_;
    DiskStore& disk_;
};

class SimClock final : public Clock {
public:
    SimClock(const Env& env, const Machine& machine) : env_(env), machine_(machine) {}
    BootInstant boot_now() const override;
    Instant wall_now() const override { return env_.broker.time() + machine_.wall_skew; }
    [[nodiscard]] Time sim_time(BootInstant boot) const;

private:
    const Env& env_;
    const Machine& machine_;
};

class SimMetrics final : public Metrics {
public:
    explicit SimMetrics(Env& env) : env_(env) {}
    void consumed(InputTopic, std::uint64_t) override {}
    void address_suppression_rejected(Reason) override {}
    void outcome(Outcome outcome, Reason reason) override;
    void attempt(std::string_view, AnswerClass) override {}
    void send_duration(std::string_view, double) override {}
    void dispatch_latency(double) override {}
    void ambiguous(std::string_view) override {}
    void out_of_order() override { env_.sometimes("out_of_order"); }
    void gap() override { env_.sometimes("gap"); }
    void duplicate() override { env_.sometimes("duplicate"); }
    void payload_conflict() override { env_.sometimes("payload_conflict"); }
    void held(PartitionId, std::int64_t) override {}
    void in_flight(PartitionId, std::int64_t) override {}
    void staleness(PartitionId, double) override {}
    void lag(InputTopic, PartitionId, std::int64_t) override {}
    void ledger_write(double, std::uint64_t) override {}
    void partition_state(PartitionId, PartitionState) override {}
    void restore_progress(PartitionId, std::int64_t) override {}
    void partition_restarted(PartitionId) override { env_.sometimes("partition_restarted"); }
    void rebalanced(std::string_view) override {}
    void circuit(std::string_view, bool) override {}
    void partition_gone(PartitionId) override {}

private:
    Env& env_;
};

}  // namespace postlane::sim
