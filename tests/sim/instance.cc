#include "sim/instance.h"

#include <algorithm>

namespace postlane::sim {
namespace {

constexpr int kExitInternal = 70;
constexpr int kExitInputOutput = 74;
constexpr int kExitConfig = 78;
constexpr Time kTurnCost = 50;
constexpr Time kProgressInterval = 5 * kSecond;
constexpr Time kAddressInterval = 100 * kMillisecond;
constexpr std::size_t kMaxRecordBytes = 1'000'000;

int exit_code_of(const std::optional<Error>& failure) {
    switch (failure ? failure->code : ErrorCode::Unavailable) {
        case ErrorCode::Misconfigured:
            return kExitConfig;
        case ErrorCode::NoStorage:
            return kExitInputOutput;
        case ErrorCode::Malformed:
        case ErrorCode::Unavailable:
        case ErrorCode::Rejected:
        case ErrorCode::OutcomeUnknown:
        case ErrorCode::Fenced:
        case ErrorCode::Corrupt:
        case ErrorCode::Denied:
            break;
    }
    return kExitInternal;
}

}  // namespace

namespace {

Config with_mutant(Config config, Mutant mutant) {
    if (mutant == Mutant::SizeUnchecked) {
        config.dispatch.max_payload_bytes = std::size_t{16} << 20U;
    }
    return config;
}

Config of_flow(Config config, Mutant mutant) {
    if (mutant == Mutant::CreditsUnlimited) {
        config.dispatch.max_in_flight = 100'000;
        for (config::Provider& provider : config.providers) {
            provider.max_in_flight = 100'000;
        }
    }
    return config;
}

}  // namespace

Instance::Instance(Env& env, Esp& esp, const Config& config, Machine& machine, std::string name,
                   std::function<void(int, const std::string&)> exited)
    : env_(env), config_(with_mutant(config, env.mutant)), machine_(machine),
      process_(std::make_shared<Process>(std::move(name))), exited_(std::move(exited)),
      clock_(env, machine), broker_clock_(clock_), metrics_(env),
      flow_(of_flow(config_, env.mutant)),
      registry_(
          env.mutant == Mutant::SharedProcessId ? 1 : env.random.next(), config_, flow_,
          [this](PartitionId partition) {
              if (const auto owned = partitions_.find(partition); owned != partitions_.end()) {
                  owned->second.bell->ring();
              }
          },
          [this] { return clock_.boot_now(); }),
      dispatcher_(env, esp, config_, process_, clock_, registry_), ends_(env, process_),
      addresses_(
          env, config_, process_,
          [this] { return broker_clock_.at(clock_.boot_now()) + Decoder::kClockAhead; },
          [this] {
              for (const auto& [id, owned] : partitions_) {
                  owned.bell->ring();
              }
          }),
      freshness_(
          ends_, clock_, config_.suppression.max_staleness,
          [this](BootInstant asked_at, const std::map<PartitionId, Offset>& ends) {
              addresses_.on_proof(asked_at, ends);
          },
          [](const Error&) {}),
      commits_(env_.broker.partitions(Topic::Sends)), surroundings_(surroundings()) {
    process_->after_event = [this] { look_for_rings(); };
    dispatcher_.forget_result = [this](const AttemptId& attempt) { registry_.settled({attempt}); };
    freshness_fiber_ = env_.scheduler.spawn(process_, [this] { run_freshness(); });
    env_.scheduler.spawn(process_, [this] { run_addresses(); });
    env_.scheduler.spawn(process_, [this] { run_progress(); });
    env_.trace(process_->name(), "", "starts on machine {}", machine.number);
}

Instance::~Instance() {
    process_->after_event = nullptr;
}

Surroundings Instance::surroundings() {
    return Surroundings{
        .config = config_,
        .partition_count = env_.broker.partitions(Topic::Sends),
        .max_record_bytes = kMaxRecordBytes,
        .clock = clock_,
        .broker_clock = broker_clock_,
        .addresses = addresses_,
        .flow = flow_,
        .registry = registry_,
        .dispatcher = dispatcher_,
        .freshness = freshness_,
        .metrics = metrics_,
        .commits = commits_,
        .show_progress =
            [this](PartitionId partition, Offset next) {
                progress_[partition] = next;
                if (shown_.insert(partition).second) {
                    show_progress();
                }
            },
        .new_uuid =
            [this] {
                Hash128 uuid{};
                for (auto& byte : uuid) {
                    byte = static_cast<std::uint8_t>(env_.random.next());
                }
                return uuid;
            },
        .log =
            [this](Severity, std::string_view event, const std::string& text) {
                env_.trace(process_->name(), "", "{}: {}", event, text);
            },
    };
}

Instance::Owned Instance::make_partition(PartitionId id) {
    Owned owned;
    owned.bell = std::make_shared<Bell>();
    auto sends = std::make_unique<SimInputStream>(env_, process_, Topic::Sends, id);
    auto suppressions = std::make_unique<SimInputStream>(env_, process_, Topic::Suppressions, id);
    owned.sends = sends.get();
    owned.suppressions = suppressions.get();
    PartitionPorts ports;
    ports.open_log = [this, id]() -> Result<std::unique_ptr<LedgerLog>> {
        return std::unique_ptr<LedgerLog>(
            std::make_unique<SimLedgerLog>(env_, process_, machine_, id));
    };
    ports.open_store = [this, id]() -> Result<std::unique_ptr<Store>> {
        return std::unique_ptr<Store>(std::make_unique<SimStore>(env_, process_, machine_, id));
    };
    ports.sends = std::move(sends);
    ports.suppressions = std::move(suppressions);
    owned.partition = std::make_unique<Partition>(surroundings_, id, std::move(ports), owned.bell);
    return owned;
}

void Instance::assigned(const std::vector<PartitionId>& partitions) {
    flow_.set_share(partitions.size(),
                    static_cast<std::size_t>(env_.broker.partitions(Topic::Sends)),
                    clock_.boot_now());
    kept_after_revoke_ = false;
    for (const PartitionId id : partitions) {
        if (partitions_.contains(id)) {
            continue;
        }
        Owned& owned = partitions_.emplace(id, make_partition(id)).first->second;
        owned.fiber = env_.scheduler.spawn(process_, [this, id] { run_partition(id); });
    }
}

void Instance::revoked(bool lost) {
    if (env_.mutant == Mutant::StaysAfterRevoke && !lost) {
        kept_after_revoke_ = true;
        return;
    }
    const Millis patience =
        env_.mutant == Mutant::DrainsTooShort ? Millis{0} : config_.dispatch.drain_timeout;
    const BootInstant deadline = clock_.boot_now() + patience;
    for (auto& [id, owned] : partitions_) {
        if (lost || env_.mutant == Mutant::RevokeDropsResults) {
            owned.partition->discard();
        } else {
            owned.partition->drain(deadline);
        }
    }
    revoking_ = true;
}

std::vector<PartitionId> Instance::partitions() const {
    std::vector<PartitionId> ids;
    for (const auto& [id, owned] : partitions_) {
        ids.push_back(id);
    }
    return ids;
}

void Instance::run_partition(PartitionId id) {
    Partition& partition = *partitions_.at(id).partition;
    Partition::Stage before = Partition::Stage::Starting;
    bool restarted = false;
    for (;;) {
        const BootInstant next = partition.turn();
        const Partition::Stage stage = partition.stage();
        restarted = restarted ||
                    (before == Partition::Stage::Running && stage == Partition::Stage::Starting);
        if (restarted && stage == Partition::Stage::Running) {
            restarted = false;
            if (partition.runner()->open_intents() > 0) {
                env_.sometimes("own_restart_kept_attempt_on_wire");
            }
        }
        before = stage;
        if (stage == Partition::Stage::Stopped || stage == Partition::Stage::Failed) {
            return;
        }
        const PartitionRunner* runner = partition.runner();
        if (runner != nullptr && runner->wants_fresh_since() > runner->fresh_since()) {
            freshness_fiber_->wake(env_.now());
            if (clock_.boot_now() - runner->fresh_since() > config_.suppression.max_staleness) {
                env_.sometimes("stale_view_held_send");
            }
        }
        env_.scheduler.sleep(kTurnCost + env_.random.between(0, kTurnCost));
        if (!partitions_.at(id).bell->take()) {
            env_.scheduler.wait_until(std::min(clock_.sim_time(next), env_.now() + kSecond));
        }
    }
}

void Instance::run_freshness() {
    const Time interval = std::chrono::microseconds(config_.suppression.max_staleness).count() / 3;
    for (;;) {
        freshness_.turn(Millis{0});
        env_.scheduler.wait_until(env_.now() + interval);
    }
}

void Instance::run_addresses() {
    for (;;) {
        addresses_.turn();
        env_.scheduler.wait_until(env_.now() + kAddressInterval);
    }
}

// Consumer-group offsets: for lag monitoring, and for telling a lost ledger from a first start.
void Instance::run_progress() {
    for (;;) {
        env_.scheduler.wait_until(env_.now() + kProgressInterval);
        show_progress();
    }
}

void Instance::show_progress() {
    for (const auto& [partition, next] : std::exchange(progress_, {})) {
        if (env_.is_owner(*process_, partition)) {
            env_.broker.group_offsets[partition] = next;
        } else {
            env_.sometimes("offsets_of_old_generation_refused");
        }
    }
}

void Instance::look_for_rings() {
    for (auto& [id, owned] : partitions_) {
        if (owned.fiber->waiting() && owned.bell->take()) {
            owned.fiber->wake(env_.now() + env_.random.between(1, kTurnCost));
        }
    }
    look_after_stopped();
}

void Instance::look_after_stopped() {
    for (const auto& [id, owned] : partitions_) {
        if (owned.partition->stage() == Partition::Stage::Failed && !exited_already_) {
            exited_already_ = true;
            const auto failure = owned.partition->failure();
            env_.scheduler.at(env_.now(), process_,
                              [this, code = exit_code_of(failure), why = failure->detail] {
                                  exited_(code, why);
                              });
            return;
        }
    }
    const bool all_stopped =
        std::all_of(partitions_.begin(), partitions_.end(), [](const auto& entry) {
            return entry.second.partition->stage() == Partition::Stage::Stopped &&
                   entry.second.fiber->finished();
        });
    if (revoking_ && all_stopped) {
        revoking_ = false;
        progress_.clear();
        shown_.clear();
        partitions_.clear();
    }
}

Partition* Instance::partition(PartitionId id) {
    const auto owned = partitions_.find(id);
    return owned == partitions_.end() ? nullptr : owned->second.partition.get();
}

bool Instance::all_running() const {
    return std::all_of(partitions_.begin(), partitions_.end(), [](const auto& entry) {
        return entry.second.partition->stage() == Partition::Stage::Running;
    });
}

std::size_t Instance::open_intents() const {
    std::size_t open = 0;
    for (const auto& [id, owned] : partitions_) {
        const PartitionRunner* runner = owned.partition->runner();
        open += runner == nullptr ? 0 : runner->open_intents();
    }
    return open;
}

void Instance::input_changed(Topic topic, PartitionId partition) {
    const auto owned = partitions_.find(partition);
    if (owned == partitions_.end() || (topic != Topic::Sends && topic != Topic::Suppressions)) {
        return;
    }
    const SimInputStream* stream =
        topic == Topic::Sends ? owned->second.sends : owned->second.suppressions;
    env_.scheduler.at(env_.now() + stream->delay() + 1, process_,
                      [bell = owned->second.bell] { bell->ring(); });
}

}  // namespace postlane::sim
