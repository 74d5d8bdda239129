// A simulated world: brokers, providers, machines, instances of postlane, traffic, and trouble.
//
//   World world(swarm_options(seed));
//   world.run();                // traffic under faults; violations() must stay empty
//   world.heal();
//   world.run_until_quiet(...)  // liveness: everything ends once nothing is broken any more
//
// One OS thread, one seed, no wall clock: the same options give the same trace.
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/esp.h"
#include "sim/group.h"
#include "sim/instance.h"
#include "sim/traffic.h"

namespace postlane::sim {

// What happens once everything is quiet, and must be answered in one way only (epilogue.cc).
enum class Epilogue : std::uint8_t {
    None,
    LedgerLosesItsTail,
    LedgerMadeAnew,
    PartitionsAdded,
    StoreIsStale,
    StoresAreLost,
    OldInputComesAgain,
    LaneBacksOff,
    SteadySuppressions,
    AccountIsRefused,
};

struct Options {
    std::uint64_t seed = 1;
    std::uint64_t luck = 0;  // of the world, where not the seed decides it
    std::int32_t partitions = 2;
    std::int32_t address_partitions = 2;
    int instances = 2;
    Time session_timeout = 6 * kSecond;
    Time duration = 25 * kSecond;
    bool random_traffic = true;
    bool restart_the_dead = true;  // a supervisor starts them again
    Faults faults;
    bool without_doubt = false;  // no fault can leave open whether a request was executed
    Epilogue epilogue = Epilogue::None;
    TrafficOptions traffic;
    Config config;
    Mutant mutant = Mutant::None;
    TraceOptions trace;
};

// One kind of trouble, and how much of it a swarm makes where it makes any.
struct FaultClass {
    std::string_view name;
    double Faults::* magnitude;
    double low;
    double high;
    bool leaves_doubt = false;  // whether a request was executed
    bool drawn_last = false;    // came later: the seeds that are kept stay what they were
};
[[nodiscard]] std::span<const FaultClass> fault_classes();

// Its policy is to send again what is in doubt: at least once.
inline constexpr const char* kResendRoute = "resend";
// Sensible settings, short times, no faults.
[[nodiscard]] Config sim_config();
[[nodiscard]] Options calm_options(std::uint64_t seed);
// Every fault class is on with probability one half, its magnitude log-uniform; settings vary too.
[[nodiscard]] Options swarm_options(std::uint64_t seed);

class World {
public:
    explicit World(const Options& options);
    ~World();
    World(const World&) = delete;
    World& operator=(const World&) = delete;

    // Until the options' duration is over.
    void run();
    void run_for(Time duration);
    // True once `condition` holds.
    bool run_until(Time at_most, const std::function<bool()>& condition);
    // No more faults; everybody is up.
    void heal();
    // Whether every input has ended within `at_most`.
    [[nodiscard]] bool run_until_quiet(Time at_most);
    // What is not at rest; empty once everything is.
    [[nodiscard]] std::string still_busy() const;
    [[nodiscard]] bool is_quiet() const { return still_busy().empty(); }

    // --- what tests do to it ---
    [[nodiscard]] Env& env() { return env_; }
    [[nodiscard]] Esp& esp() { return esp_; }
    [[nodiscard]] Traffic& traffic() { return traffic_; }
    [[nodiscard]] const Options& options() const { return options_; }
    [[nodiscard]] const Config& config() const { return options_.config; }
    // Only while nobody runs: processes read it whenever they like.
    [[nodiscard]] Config& new_config() { return options_.config; }
    [[nodiscard]] Group& group() { return group_; }
    [[nodiscard]] Machine& machine(int number) {
        return *slots_.at(static_cast<std::size_t>(number)).machine;
    }
    // Null while it is down.
    [[nodiscard]] Instance* instance(int number) {
        return slots_.at(static_cast<std::size_t>(number)).instance.get();
    }
    [[nodiscard]] Instance* owner(PartitionId partition);
    void start(int number);
    void kill(int number, Time down_for);
    // kill -9, and nobody starts it again.
    void abandon(int number);
    void lose_power(int number, Time down_for);
    void pause(int number, Time duration);
    void stop_gracefully(int number, Time down_for);
    void wipe_disks(int number);
    // Everybody is off for that long, from a minute from now on.
    void fall_asleep(Time duration);
    // Codes of processes that ended by themselves, with why.
    struct Exit {
        std::string name;
        int code;
        std::string why;
    };
    [[nodiscard]] const std::vector<Exit>& exits() const { return exits_; }

private:
    struct Slot {
        std::unique_ptr<Machine> machine;
        std::unique_ptr<Instance> instance;
        int incarnation = 0;
        bool leaving = false;
        bool abandoned = false;
        Time down_for = 0;
    };

    [[nodiscard]] Config config_of_start();
    void bury(Slot& slot, Time down_for);
    void exited(Slot& slot, int code, const std::string& why);
    void tick();
    void trouble();
    void tamper_with_disks(Slot& slot);
    void lose_unsynced(DiskStore& disk);
    void delete_old_input();
    void woke(const std::shared_ptr<Process>& process, const std::map<PartitionId, Offset>& ends);
    [[nodiscard]] bool faults_per_tick(double per_second);

    Options options_;
    Env env_;
    Esp esp_;
    Traffic traffic_;
    Group group_;
    std::vector<Slot> slots_;
    std::vector<Exit> exits_;
    bool healed_ = false;
    bool ending_ = false;
    bool asleep_ = false;  // everybody is off
    int rendering_ = 0;    // how often the configuration changed
};

}  // namespace postlane::sim
