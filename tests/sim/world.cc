#include "sim/world.h"

#include <algorithm>

namespace postlane::sim {
namespace {

constexpr Time kTick = 100 * kMillisecond;
constexpr int kExitConfig = 78;
constexpr int kExitInputOutput = 74;
// What was on its way when everybody went off has arrived or timed out by then.
constexpr Time kFallsAsleepWithin = 20 * kSecond;
constexpr Time kAfterNight = 5 * kSecond;
constexpr Time kHour = 3'600 * kSecond;
// The ledger's delete.retention.ms.
constexpr std::chrono::hours kTombstonesKept{7 * 24};

}  // namespace

World::World(const Options& options)
    : options_(options), env_(options.luck != 0 ? options.luck : options.seed, options.partitions,
                              options.address_partitions, options.trace),
      esp_(env_, options_.config), traffic_(env_, options_.config),
      group_(env_, options.partitions, options.session_timeout) {
    env_.faults = options.faults;
    env_.trace.whose = [this](const std::string& tag) { return traffic_.recipient_of(tag); };
    env_.mutant = options.mutant;
    mutant_at_work = options.mutant;
    slots_.resize(static_cast<std::size_t>(options.instances));
    int number = 0;
    for (Slot& slot : slots_) {
        slot.machine = std::make_unique<Machine>();
        slot.machine->number = number++;
        slot.machine->boot_offset = env_.random.between(
            kSecond, env_.random.chance(0.5) ? 100 * kSecond : 100'000 * kSecond);
        if (env_.faults.clock_drifts > 0) {
            slot.machine->drift = (2 * env_.random.unit() - 1) * env_.faults.clock_drifts;
        }
        if (env_.dice(env_.faults.clock_jumps)) {
            slot.machine->wall_skew = Millis{env_.random.between(-600'000, 600'000)};
        }
    }
    env_.kill = [this](const std::shared_ptr<Process>& process) {
        for (Slot& slot : slots_) {
            if (slot.instance && slot.instance->process() == process) {
                bury(slot, env_.random.between(0, 3 * kSecond));
            }
        }
    };
    env_.is_owner = [this](const Process& process, PartitionId partition) {
        const Instance* owner = group_.owner(partition);
        return owner != nullptr && owner->process().get() == &process;
    };
    env_.broker.on_change = [this](Topic topic, PartitionId partition) {
        for (Slot& slot : slots_) {
            if (slot.instance && slot.instance->process()->alive()) {
                slot.instance->input_changed(topic, partition);
            }
        }
    };
    if (options_.random_traffic) {
        traffic_.offer(options_.traffic);
    }
    for (int each = 0; each < options.instances; ++each) {
        env_.scheduler.at(env_.random.between(0, kSecond), [this, each] { start(each); });
    }
    env_.scheduler.at(kTick, [this] { tick(); });
}

World::~World() {
    ending_ = true;
    env_.faults = Faults{};
    for (Slot& slot : slots_) {
        if (slot.instance) {
            bury(slot, kForever);
        }
    }
    while (std::any_of(slots_.begin(), slots_.end(),
                       [](const Slot& slot) { return slot.instance != nullptr; }) &&
           env_.scheduler.step(env_.now())) {
    }
}

void World::start(int number) {
    Slot& slot = slots_.at(static_cast<std::size_t>(number));
    if (slot.instance || slot.abandoned || ending_ || asleep_) {
        return;
    }
    tamper_with_disks(slot);
    const std::string name =
        fmt::format("{}{}", static_cast<char>('A' + number), ++slot.incarnation);
    slot.leaving = false;
    slot.instance = std::make_unique<Instance>(
        env_, esp_, config_of_start(), *slot.machine, name,
        [this, &slot](int code, const std::string& why) { exited(slot, code, why); });
    group_.join(slot.instance.get());
}

// Somebody may have edited it while the process was down; those that run keep theirs.
Config World::config_of_start() {
    if (env_.dice(env_.faults.config_changes)) {
        rendering_ += 1;
        env_.sometimes("config_changed");
    }
    Config config = options_.config;
    if (rendering_ > 0) {
        for (config::Route& route : config.routes) {
            route.from->name = "News " + std::to_string(rendering_);
        }
    }
    return config;
}

// Whatever may have happened to a disk while nobody used it.
void World::tamper_with_disks(Slot& slot) {
    for (auto& [partition, disk] : slot.machine->disks) {
        if (env_.dice(env_.faults.wipes)) {
            disk.rows.clear();
            disk.torn = false;
            env_.sometimes("started_without_store");
        } else if (!disk.older_copy.empty() && env_.dice(env_.faults.old_copies)) {
            disk.rows = disk.older_copy;
            disk.torn = false;
            env_.sometimes("started_with_older_store");
        }
        disk.unsynced.clear();
    }
}

void World::bury(Slot& slot, Time down_for) {
    Instance* instance = slot.instance.get();
    if (instance == nullptr || !instance->process()->alive()) {
        return;
    }
    if (!ending_) {
        env_.trace(instance->process()->name(), "", "is gone");
    }
    group_.died(instance);
    slot.down_for = down_for;
    env_.scheduler.kill(instance->process(), [this, &slot] {
        slot.instance.reset();
        const int number = slot.machine->number;
        if (!ending_ && (options_.restart_the_dead || healed_)) {
            env_.scheduler.at(env_.now() + slot.down_for, [this, number] { start(number); });
        }
    });
}

void World::kill(int number, Time down_for) {
    env_.trace("chaos", "", "kill -9 on machine {}", number);
    bury(slots_.at(static_cast<std::size_t>(number)), down_for);
}

void World::abandon(int number) {
    slots_.at(static_cast<std::size_t>(number)).abandoned = true;
    kill(number, kForever);
}

// The latest writes first. What was being written may be half there.
void World::lose_unsynced(DiskStore& disk) {
    std::size_t lost = disk.unsynced.empty() ? 0 : env_.random.below(disk.unsynced.size() + 1);
    if (lost > 0 && env_.dice(env_.faults.torn_batches)) {
        disk.torn = true;
        env_.sometimes("torn_batch");
    }
    for (; lost > 0; --lost) {
        const auto& before = disk.unsynced.back().before;
        for (auto change = before.rbegin(); change != before.rend(); ++change) {
            if (change->second) {
                disk.rows[change->first] = *change->second;
            } else {
                disk.rows.erase(change->first);
            }
        }
        disk.unsynced.pop_back();
        env_.sometimes("unsynced_tail_lost");
    }
}

void World::lose_power(int number, Time down_for) {
    Slot& slot = slots_.at(static_cast<std::size_t>(number));
    env_.trace("chaos", "", "machine {} loses power", number);
    bury(slot, down_for);
    for (auto& [partition, disk] : slot.machine->disks) {
        lose_unsynced(disk);
    }
}

void World::fall_asleep(Time duration) {
    env_.trace("chaos", "", "a night of {} hours", duration / kHour);
    asleep_ = true;
    for (int number = 0; number < options_.instances; ++number) {
        lose_power(number, kSecond);
    }
    env_.scheduler.at(env_.now() + kFallsAsleepWithin, [this, duration] {
        if (!asleep_) {
            return;
        }
        env_.scheduler.skip(duration);
        env_.sometimes("night");
        for (PartitionId partition = 0; partition < options_.partitions; ++partition) {
            env_.broker.compact(partition, env_.broker.time() - kTombstonesKept);
        }
        asleep_ = false;
        for (int number = 0; number < options_.instances; ++number) {
            env_.scheduler.at(env_.now() + env_.random.between(0, 2 * kSecond),
                              [this, number] { start(number); });
        }
    });
}

void World::woke(const std::shared_ptr<Process>& process,
                 const std::map<PartitionId, Offset>& ends) {
    for (const auto& [partition, end] : ends) {
        if (!env_.is_owner(*process, partition) &&
            env_.broker.end_offset(Topic::Outcomes, partition) > end) {
            env_.sometimes("zombie_woke_after_new_owners_outcome");
        }
    }
}

void World::pause(int number, Time duration) {
    Slot& slot = slots_.at(static_cast<std::size_t>(number));
    if (!slot.instance || !slot.instance->process()->alive() ||
        slot.instance->process()->paused()) {
        return;
    }
    const auto process = slot.instance->process();
    env_.trace(process->name(), "", "is paused for {} ms", duration / kMillisecond);
    if (duration > options_.session_timeout) {
        env_.sometimes("paused_beyond_session");
    }
    std::map<PartitionId, Offset> ends;
    for (const PartitionId partition : slot.instance->partitions()) {
        ends[partition] = env_.broker.end_offset(Topic::Outcomes, partition);
    }
    env_.scheduler.pause(process);
    env_.scheduler.at(env_.now() + duration, [this, process, ends] {
        if (process->alive() && process->paused()) {
            woke(process, ends);
            env_.trace(process->name(), "", "wakes up");
            env_.scheduler.resume(process);
        }
    });
}

void World::stop_gracefully(int number, Time down_for) {
    Slot& slot = slots_.at(static_cast<std::size_t>(number));
    if (!slot.instance || !slot.instance->process()->alive() || slot.leaving) {
        return;
    }
    slot.leaving = true;
    slot.down_for = down_for;
    env_.sometimes("graceful_stop");
    env_.trace(slot.instance->process()->name(), "", "stops gracefully");
    env_.scheduler.at(env_.now(), slot.instance->process(),
                      [instance = slot.instance.get()] { instance->revoked(false); });
}

void World::wipe_disks(int number) {
    for (auto& [partition, disk] : machine(number).disks) {
        disk.rows.clear();
        disk.unsynced.clear();
        disk.torn = false;
    }
}

void World::exited(Slot& slot, int code, const std::string& why) {
    exits_.push_back({slot.instance->process()->name(), code, why});
    env_.trace(slot.instance->process()->name(), "", "exits with {}: {}", code, why);
    env_.sometimes(code == kExitConfig        ? "exit_78"
                   : code == kExitInputOutput ? "exit_74"
                                              : "exit_70");
    bury(slot, env_.random.between(kMillisecond, 3 * kSecond));
}

bool World::faults_per_tick(double per_second) {
    return env_.dice(per_second * static_cast<double>(kTick) / static_cast<double>(kSecond));
}

void World::tick() {
    if (ending_) {
        return;
    }
    group_.tick();
    for (Slot& slot : slots_) {
        if (slot.leaving && slot.instance && slot.instance->process()->alive() &&
            !slot.instance->holds_partitions()) {
            group_.leave(slot.instance.get());
            bury(slot, slot.down_for);
        }
    }
    if (!healed_ && !asleep_) {
        trouble();
    }
    env_.scheduler.at(env_.now() + kTick, [this] { tick(); });
}

void World::trouble() {
    const Faults& faults = env_.faults;
    const auto someone = [&] { return static_cast<int>(env_.random.below(slots_.size())); };
    const auto down = [&] { return static_cast<Time>(env_.random.log_uniform(1'000, 20'000'000)); };
    if (faults_per_tick(faults.kills)) {
        kill(someone(), down());
    }
    if (faults_per_tick(faults.power_losses)) {
        lose_power(someone(), down());
    }
    if (faults_per_tick(faults.pauses)) {
        pause(someone(), static_cast<Time>(env_.random.log_uniform(10'000, 40'000'000)));
    }
    if (faults_per_tick(faults.rebalances)) {
        group_.force_rebalance();
    }
    if (faults_per_tick(faults.graceful_stops)) {
        stop_gracefully(someone(), down());
    }
    if (faults_per_tick(faults.clock_jumps)) {
        machine(someone()).wall_skew = Millis{env_.random.between(-600'000, 600'000)};
    }
    if (faults_per_tick(faults.compactions)) {
        env_.broker.compact(static_cast<PartitionId>(
                                env_.random.below(static_cast<std::size_t>(options_.partitions))),
                            env_.broker.time() - kTombstonesKept);
        env_.sometimes("ledger_compacted");
    }
    if (faults_per_tick(faults.retentions)) {
        delete_old_input();
    }
    if (faults_per_tick(faults.nights)) {
        fall_asleep(static_cast<Time>(env_.random.log_uniform(0.5, 240) * kHour));
    }
}

// What the ledger has accounted for; the group's offsets never run ahead of it. Retention is longer than any pause, so
// nobody who sleeps has still to read it.
void World::delete_old_input() {
    for (const Slot& slot : slots_) {
        if (slot.instance && slot.instance->process()->paused()) {
            return;
        }
    }
    for (const auto& [partition, next] : env_.broker.group_offsets) {
        env_.broker.delete_before(Topic::Sends, partition, next);
        env_.sometimes("input_deleted");
    }
}

void World::run() {
    run_for(options_.duration);
    if (asleep_) {
        run_until(2 * kFallsAsleepWithin, [this] { return !asleep_; });
        run_for(kAfterNight);
    }
}

void World::run_for(Time duration) {
    const Time until = env_.now() + duration;
    while (env_.scheduler.step(until)) {
    }
}

bool World::run_until(Time at_most, const std::function<bool()>& condition) {
    const Time until = env_.now() + at_most;
    while (!condition()) {
        if (!env_.scheduler.step(until)) {
            return condition();
        }
    }
    return true;
}

void World::heal() {
    env_.trace("chaos", "", "everything is healed");
    env_.faults = Faults{};
    healed_ = true;
    asleep_ = false;
    for (int number = 0; number < options_.instances; ++number) {
        Slot& slot = slots_[static_cast<std::size_t>(number)];
        slot.machine->disk_full_until = 0;
        if (!slot.instance) {
            start(number);
        } else if (slot.instance->process()->paused()) {
            env_.scheduler.resume(slot.instance->process());
        }
    }
    if (options_.config.ordering.on_gap == config::OnGap::Wait) {
        traffic_.produce_missing_steps();
    }
}

Instance* World::owner(PartitionId partition) {
    for (Slot& slot : slots_) {
        if (slot.instance && slot.instance->process()->alive() &&
            slot.instance.get() == group_.owner(partition)) {
            return slot.instance.get();
        }
    }
    return nullptr;
}

std::string World::still_busy() const {
    if (!group_.stable()) {
        return "the group is rebalancing";
    }
    if (env_.broker.any_transaction_open()) {
        return "a transaction is open";
    }
    if (env_.commits_in_flight > 0) {
        return "a commit is in flight";
    }
    std::size_t inputs = 0;
    std::size_t answers = 0;
    for (PartitionId partition = 0; partition < options_.partitions; ++partition) {
        const auto count = [&](Topic topic) {
            const auto& log = env_.broker.log(topic, partition);
            return static_cast<std::size_t>(std::count_if(
                log.begin(), log.end(),
                [&](const LogRecord& record) { return env_.broker.is_data(record); }));
        };
        inputs += count(Topic::Sends) + count(Topic::Suppressions);
        answers += count(Topic::Outcomes);
    }
    if (answers < inputs) {
        return fmt::format("{} inputs, {} outcomes and receipts", inputs, answers);
    }
    std::size_t owned = 0;
    for (const Slot& slot : slots_) {
        if (!slot.instance || slot.instance->process()->paused() || !slot.instance->all_running() ||
            slot.instance->open_intents() > 0) {
            return fmt::format("machine {} is not at rest", slot.machine->number);
        }
        owned += slot.instance->partitions().size();
    }
    return owned == static_cast<std::size_t>(options_.partitions)
               ? std::string()
               : fmt::format("{} of {} partitions owned", owned, options_.partitions);
}

bool World::run_until_quiet(Time at_most) {
    const Time until = env_.now() + at_most;
    while (env_.now() < until) {
        run_for(250 * kMillisecond);
        if (is_quiet()) {
            run_for(2 * kSecond);  // what is committed also gets into the stores
            if (is_quiet()) {
                return true;
            }
        }
    }
    return false;
}

}  // namespace postlane::sim
