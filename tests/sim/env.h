// What every simulated part of one world shares: time, chance, faults, the trace and the probes.
#pragma once

#include <fmt/format.h>

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "sim/broker.h"
#include "sim/mutants.h"
#include "sim/random.h"
#include "sim/scheduler.h"

namespace postlane::sim {

// How likely each trouble is, whenever its moment comes. All zero: a good day.
struct Faults {
    double commit_aborted = 0;
    double commit_unknown = 0;
    double crash_point = 0;  // kill -9 at a port call
    double log_unavailable = 0;
    double ends_unavailable = 0;
    double input_unavailable = 0;
    double store_corrupt = 0;
    double store_full = 0;
    double esp_reject = 0;
    double esp_throttle = 0;
    double esp_error = 0;        // 5xx, executed or not
    double esp_lose_answer = 0;  // accepted, and the connection dies
    double esp_hang = 0;         // until the time-out; executed now, late, or never
    double esp_refuse_connection = 0;
    double esp_account = 0;     // 401 for everybody, for a while
    double slow_hand_over = 0;  // a queue before the wire
    double slow_polls = 0;      // the thread stops while it takes input; not in the swarm itself
    // Per second of the world.
    double kills = 0;
    double power_losses = 0;
    double pauses = 0;
    double rebalances = 0;
    double graceful_stops = 0;
    double wipes = 0;       // at a restart: the store is gone
    double old_copies = 0;  // at a restart: an older copy of the store is put back
    double clock_jumps = 0;
    double hung_transactions = 0;
    double compactions = 0;
    double input_delays = 0;
    double torn_batches = 0;         // at a power loss: the store's last batch is damaged
    double input_rewinds = 0;        // a client reads some records again
    double clock_drifts = 0;         // a machine's clock is this much too fast or too slow
    double nights = 0;               // everything is off for hours or days
    double retentions = 0;           // the broker deletes input that was accounted for
    double config_changes = 0;       // at a start: with it requests look different
    double transactional_input = 0;  // sends in transactions of their producer, some aborted first
    Time latency_us = 2'000;         // of a broker request, about
    Time input_delay_us = 0;         // of every stream; 0: some
};

struct TraceOptions {
    bool print = false;
    std::string recipient;  // print what concerns nobody or this one; empty: everything
};

// Rare things that must happen somewhere in a swarm, else it proves nothing.
using Probes = std::map<std::string, std::uint64_t>;

// What happened, when, who did it, and to which recipient; an empty name means nobody. Its hash is a world's identity.
class Trace {
public:
    Trace(const Scheduler& scheduler, const TraceOptions& options)
        : scheduler_(scheduler), options_(options) {}

    template <class... Args>
    void operator()(std::string_view who, std::string_view whom, fmt::format_string<Args...> format,
                    Args&&... args) {
        what_.clear();
        fmt::format_to(std::back_inserter(what_), format, std::forward<Args>(args)...);
        add(who, whom);
    }
    // For readers only: not part of the hash, and worth making only if somebody reads.
    [[nodiscard]] bool is_read() const noexcept { return options_.print; }
    void detail(std::string_view who, std::string_view whom, std::string_view what) const {
        print(who, whom, what);
    }
    // The recipient of the message whose request carries this tag.
    std::function<std::string(const std::string& tag)> whose;

    [[nodiscard]] std::uint64_t hash() const noexcept { return hash_; }
    [[nodiscard]] std::uint64_t lines() const noexcept { return lines_; }

private:
    void add(std::string_view who, std::string_view whom);
    void hash_in(std::string_view text);
    void print(std::string_view who, std::string_view whom, std::string_view what) const;

    const Scheduler& scheduler_;
    const TraceOptions options_;
    std::string what_;
    std::uint64_t hash_ = 0xcbf29ce484222325U;
    std::uint64_t lines_ = 0;
};

// A machine outlives the processes on it: its disks and its clocks.
struct DiskStore {
    std::map<std::string, std::string> rows;
    // What a power loss takes back: the rows before each write that was not synced, latest last.
    struct Undo {
        std::vector<std::pair<std::string, std::optional<std::string>>> before;
    };
    std::vector<Undo> unsynced;
    std::map<std::string, std::string> older_copy;
    bool in_use = false;
    bool torn = false;  // its last batch is half there; whoever reads it notices
};
struct Machine {
    int number = 0;
    Time boot_offset = 0;
    Millis wall_skew{0};
    double drift = 0;  // how much faster its clock goes
    std::map<PartitionId, DiskStore> disks;
    Time disk_full_until = 0;
};

struct Env {
    Env(std::uint64_t seed, std::int32_t partitions, std::int32_t address_partitions,
        const TraceOptions& trace_options)
        : random(seed), broker(scheduler, partitions, address_partitions),
          trace(scheduler, trace_options) {}

    Scheduler scheduler;
    Random random;
    Broker broker;
    Faults faults;
    Mutant mutant = Mutant::None;
    Trace trace;
    Probes probes;
    std::function<void(const std::shared_ptr<Process>&)> kill;
    // Whether the group holds the partition to be this process's.
    std::function<bool(const Process&, PartitionId)> is_owner;
    int commits_in_flight = 0;                             // their stores are behind their ledgers
    std::map<std::string, TransactionId> unknown_commits;  // by transactional id, until a fence

    [[nodiscard]] Time now() const { return scheduler.now(); }
    [[nodiscard]] bool dice(double probability) {
        return probability > 0 && random.chance(probability);
    }
    void sometimes(const char* what) { probes[what] += 1; }
    // A request to a broker and back takes this long.
    [[nodiscard]] Time latency() {
        return random.chance(0.02) ? random.between(faults.latency_us, 20 * faults.latency_us)
                                   : random.between(faults.latency_us / 2, 2 * faults.latency_us);
    }
    // A place where kill -9 may strike. Inside a fiber of that process only.
    void crash_point(const std::shared_ptr<Process>& process, const char* where);
};

}  // namespace postlane::sim
