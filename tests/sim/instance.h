// One running postlane: the production runtime over simulated ports, its threads as fibers.
#pragma once

#include <memory>

#include "runtime/partition.h"
#include "sim/addresses.h"
#include "sim/esp.h"
#include "sim/log_port.h"
#include "sim/ports.h"

namespace postlane::sim {

class Instance {
public:
    // `exited`: the process ends itself with this code; called once, from an event.
    Instance(Env& env, Esp& esp, const Config& config, Machine& machine, std::string name,
             std::function<void(int code, const std::string& why)> exited);
    ~Instance();
    Instance(const Instance&) = delete;
    Instance& operator=(const Instance&) = delete;

    [[nodiscard]] const std::shared_ptr<Process>& process() const { return process_; }
    [[nodiscard]] Machine& machine() { return machine_; }

    // --- told by the group, as events of this process ---
    void assigned(const std::vector<PartitionId>& partitions);
    void revoked(bool lost);
    [[nodiscard]] bool holds_partitions() const {
        return !partitions_.empty() && !kept_after_revoke_;
    }
    [[nodiscard]] std::vector<PartitionId> partitions() const;

    // For the world's questions; not while the process is dead.
    [[nodiscard]] Partition* partition(PartitionId id);
    [[nodiscard]] bool all_running() const;
    [[nodiscard]] std::size_t open_intents() const;
    // Records arrived in a topic that one of its partitions reads.
    void input_changed(Topic topic, PartitionId partition);

private:
    struct Owned {
        std::shared_ptr<Bell> bell;
        std::unique_ptr<Partition> partition;
        std::shared_ptr<Fiber> fiber;
        SimInputStream* sends = nullptr;
        SimInputStream* suppressions = nullptr;
        std::uint64_t restarts = 0;
    };

    void run_partition(PartitionId id);
    void run_freshness();
    void run_addresses();
    void run_progress();
    void show_progress();
    void look_for_rings();
    void look_after_stopped();
    [[nodiscard]] Surroundings surroundings();
    [[nodiscard]] Owned make_partition(PartitionId id);

    Env& env_;
    const Config config_;
    Machine& machine_;
    const std::shared_ptr<Process> process_;
    const std::function<void(int, const std::string&)> exited_;
    SimClock clock_;
    BrokerClock broker_clock_;
    SimMetrics metrics_;
    ProviderFlow flow_;
    AttemptRegistry registry_;
    SimDispatcher dispatcher_;
    SimEndOffsets ends_;
    SimAddresses addresses_;
    FreshnessService freshness_;
    CommitActivity commits_;
    Surroundings surroundings_;
    std::map<PartitionId, Owned> partitions_;
    std::map<PartitionId, Offset> progress_;
    std::set<PartitionId> shown_;
    std::shared_ptr<Fiber> freshness_fiber_;
    bool revoking_ = false;
    bool kept_after_revoke_ = false;  // the mutant StaysAfterRevoke
    bool exited_already_ = false;
};

}  // namespace postlane::sim
