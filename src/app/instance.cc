#include "app/instance.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <random>
#include <utility>
#include <vector>

#include "adapters/kafka/topology.h"
#include "adapters/kafka/transaction_log.h"
#include "adapters/system/log.h"
#include "app/cli/exit_code.h"
#include "app/listeners.h"
#include "postlane/crash_point.h"

namespace postlane {
namespace {

constexpr Millis kGroupPoll{100};
constexpr std::chrono::seconds kBrokerPatience{60};
constexpr Millis kBrokerAnswer{5'000};  // of these; a stop is noticed between two questions
constexpr Millis kBrokerPause{200};
constexpr std::chrono::seconds kProgressInterval{5};
constexpr std::chrono::minutes kTopologyInterval{5};
constexpr std::chrono::seconds kExitGrace{5};

// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables): a signal has nothing else
volatile std::sig_atomic_t stop_signals = 0;
void on_stop_signal(int /*signal*/) {
    stop_signals = stop_signals + 1;
}

void catch_stop_signals() {
    struct sigaction action{};
    action.sa_handler = on_stop_signal;
    sigaction(SIGTERM, &action, nullptr);
    sigaction(SIGINT, &action, nullptr);
    struct sigaction ignore{};
    ignore.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &ignore, nullptr);
    sigaction(SIGXFSZ, &ignore, nullptr);  // then it reads as "no space"
}

// At most 15 characters; what `top -H` and perf show.
void name_this_thread(const std::string& name) {
    pthread_setname_np(pthread_self(), name.c_str());
}

template <class T>
T random_bytes() {
    std::random_device device;
    T value{};
    auto* bytes = reinterpret_cast<unsigned char*>(&value);
    for (std::size_t at = 0; at < sizeof(T); ++at) {
        bytes[at] = static_cast<unsigned char>(device());
    }
    return value;
}

// A running instance needs some 14 file descriptors a partition and one a request; the usual soft limit is 1,024.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

kafka::LogSink kafka_log() {
    return [](int level, std::string_view text) {
        // Also said when brokers close the last idle connection; what fails for it is told on its own.
        const bool idle = text.find("brokers are down") != std::string_view::npos;
        const LogLevel severity = idle         ? LogLevel::Debug
                                  : level <= 3 ? LogLevel::Error
                                  : level <= 5 ? LogLevel::Warning
                                               : LogLevel::Debug;
        log_event(severity, "kafka.client", "{}", text);
    };
}

LogLevel level_of(Severity severity) {
    switch (severity) {
        case Severity::Info:
            return LogLevel::Info;
        case Severity::Warning:
            return LogLevel::Warning;
        case Severity::Error:
            return LogLevel::Error;
    }
    return LogLevel::Error;
}

}  // namespace

struct Instance::Listeners {
    explicit Listeners(Instance& instance) : set(instance) {}
    ListenerSet set;
};

Instance::Owned::~Owned() {
    ended = true;
    bell->ring();
    if (thread.joinable()) {
        thread.join();
    }
}

Instance::Instance(const Config& config)
    : config_(config), metrics_(config, POSTLANE_VERSION), flow_(config),
      registry_(
          random_bytes<std::uint64_t>(), config, flow_,
          [this](PartitionId partition) { wake(partition); },
          [this] { return clock_.boot_now(); }) {}

Instance::~Instance() = default;

// Waits for the brokers for a while; refuses topics with which a promise would break.
Result<void> Instance::check_topics() {
    const BootInstant patience = clock_.boot_now() + kBrokerPatience;
    for (;;) {
        auto topology = read_topology(config_, kafka_log(), kBrokerAnswer);
        if (topology) {
            std::string refused;
            for (const Finding& finding : check_topology(config_, *topology)) {
                if (finding.severity == Finding::Severity::Warn) {
                    log_event(LogLevel::Warning, "topology.warning", "{}: {}", finding.topic,
                              finding.text);
                } else {
                    log_event(LogLevel::Error, "topology.refused", "{}: {}", finding.topic,
                              finding.text);
                    refused += (refused.empty() ? "" : "; ") + finding.topic + ": " + finding.text;
                }
            }
            if (!refused.empty()) {
                return fail(ErrorCode::Misconfigured, refused);
            }
            partition_count_ = topology->find(config_.topics.sends)->partitions;
            metrics_.partitions(partition_count_);
            address_partitions_ = topology->find(config_.topics.address_suppressions)->partitions;
            const TopicFacts& dead_letters = *topology->find(config_.topics.dead_letters);
            dead_letter_partitions_ = dead_letters.partitions;
            const auto limit = dead_letters.settings.find("max.message.bytes");
            max_record_bytes_ =
                limit == dead_letters.settings.end() ? 1'000'000 : std::stoul(limit->second);
            return {};
        }
        if (topology.error().code != ErrorCode::Unavailable || clock_.boot_now() >= patience ||
            stop_signals > 0) {
            return tl::unexpected<Error>(topology.error());
        }
        log_event(LogLevel::Warning, "kafka.unavailable", "waiting for the brokers: {}",
                  topology.error().detail);
    }
}

Result<void> Instance::open() {
    std::error_code failed;
    std::filesystem::create_directories(config_.ledger.directory, failed);
    if (failed) {
        return fail(ErrorCode::Misconfigured, "ledger.directory " + config_.ledger.directory +
                                                  " cannot be made: " + failed.message());
    }
    stores_ = std::make_unique<SharedResources>();
    auto addresses = AddressStore::open(*stores_, config_.ledger.directory);
    if (!addresses) {
        return tl::unexpected<Error>(addresses.error());
    }
    addresses_ = *std::move(addresses);
    if (!addresses_->set_aside().empty()) {
        log_event(LogLevel::Warning, "store.set_aside",
                  "the address store was damaged; it is kept as {} and read again",
                  addresses_->set_aside().string());
    }
    auto ends = KafkaEndOffsets::create(config_, address_partitions_, kafka_log());
    const auto count = static_cast<std::size_t>(partition_count_.load());
    auto sends = KafkaInput::create(config_, KafkaInputOptions::sends(count), kafka_log());
    auto suppressions = KafkaInput::create(
        config_,
        KafkaInputOptions::suppressions(count + static_cast<std::size_t>(address_partitions_)),
        kafka_log());
    for (const Error* error : {ends ? nullptr : &ends.error(), sends ? nullptr : &sends.error(),
                               suppressions ? nullptr : &suppressions.error()}) {
        if (error != nullptr) {
            return tl::unexpected<Error>(*error);
        }
    }
    ends_ = *std::move(ends);
    sends_ = *std::move(sends);
    suppressions_ = *std::move(suppressions);
    auto address_ends = ends_->ask({});
    // Topics that were just made may have no leader yet.
    const BootInstant patience = clock_.boot_now() + kBrokerPatience;
    for (Bell pause; !address_ends && clock_.boot_now() < patience && stop_signals == 0;) {
        pause.wait(kBrokerPause);
        address_ends = ends_->ask({});
    }
    if (!address_ends) {
        return tl::unexpected<Error>(address_ends.error());
    }
    address_service_ = std::make_unique<AddressService>(
        config_, *addresses_, *suppressions_, address_partitions_, metrics_,
        [this] { return broker_clock_.at(clock_.boot_now()) + Decoder::kClockAhead; },
        [this] { wake_all(); });
    return address_service_->start(address_ends->address_suppressions);
}

void Instance::start_threads() {
    dispatcher_ = std::make_unique<CurlDispatcher>(config_, clock_, registry_);
    freshness_ = std::make_unique<FreshnessService>(
        *ends_, clock_, config_.suppression.max_staleness,
        [this](BootInstant asked_at, const std::map<PartitionId, Offset>& ends) {
            address_service_->on_proof(asked_at, ends);
        },
        [](const Error& error) {
            log_event(LogLevel::Warning, "freshness.unproven",
                      "cannot ask where the suppression topics end, so nothing is sent: {}",
                      error.detail);
        });
    commits_ = std::make_unique<CommitActivity>(partition_count_);
    surroundings_ = std::make_unique<Surroundings>(Surroundings{
        .config = config_,
        .partition_count = partition_count_,
        .max_record_bytes = max_record_bytes_,
        .clock = clock_,
        .broker_clock = broker_clock_,
        .addresses = *addresses_,
        .flow = flow_,
        .registry = registry_,
        .dispatcher = *dispatcher_,
        .freshness = *freshness_,
        .metrics = metrics_,
        .commits = *commits_,
        .show_progress =
            [this](PartitionId partition, Offset next) {
                const std::lock_guard lock(mutex_);
                progress_[partition] = next;
            },
        .new_uuid = [] { return random_bytes<Hash128>(); },
        .log = [](Severity severity, std::string_view event,
                  const std::string& text) { log_event(level_of(severity), event, "{}", text); },
    });
    helpers_.emplace_back([this] {
        name_this_thread("freshness");
        while (!helpers_stop_) {
            freshness_->turn(Millis{100});
        }
    });
    helpers_.emplace_back([this] {
        name_this_thread("addresses");
        while (!helpers_stop_) {
            if (auto turned = address_service_->turn(Millis{100}); !turned) {
                end_with(exit_code::of(turned.error().code), "addresses.failed",
                         turned.error().detail);
                return;
            }
        }
    });
    topology_watch_ = std::make_unique<TopologyWatch>(
        config_, partition_count_, kTopologyInterval, kafka_log(),
        [this](const std::string& why) { end_with(exit_code::kConfig, "topology.refused", why); });
}

int Instance::run() {
    catch_stop_signals();
    raise_descriptor_limit();
    log_event(LogLevel::Info, "instance.starting", "postlane {} starts, group {}", POSTLANE_VERSION,
              config_.kafka.group_id);
    listeners_ = std::make_unique<Listeners>(*this);
    auto opened = listeners_->set.open();
    if (opened) {
        opened = check_topics();
    }
    if (opened) {
        opened = open();
    }
    if (opened) {
        start_threads();
        auto group = GroupConsumer::create(config_, *this, kafka_log());
        if (group) {
            group_ = *std::move(group);
        } else {
            opened = tl::unexpected<Error>(group.error());
        }
    }
    if (!opened && stop_signals > 0 && opened.error().code == ErrorCode::Unavailable) {
        log_event(LogLevel::Info, "instance.stopped_before_start",
                  "stopped before it had begun: {}", opened.error().detail);
    } else if (!opened) {
        end_with(exit_code::of(opened.error().code), "instance.refused", opened.error().detail);
    } else {
        started_ = true;
        main_loop();
    }
    const int code = [&] {
        const std::lock_guard lock(mutex_);
        return exit_code_.value_or(0);
    }();
    log_event(LogLevel::Info, "instance.stopped", "postlane stops with exit code {}", code);
    if (code != 0) {
        // Whatever hangs in a library's close must not keep a supervisor waiting; the ledger needs no goodbye.
        std::fflush(nullptr);
        _exit(code);
    }
    forget_partitions();
    if (dispatcher_) {
        dispatcher_->stop(clock_.boot_now());
    }
    helpers_stop_ = true;
    topology_watch_.reset();
    for (std::thread& helper : helpers_) {
        helper.join();
    }
    listeners_.reset();
    std::fflush(nullptr);
    _exit(0);
}

void Instance::end_with(int code, const std::string& event, const std::string& why) {
    {
        const std::lock_guard lock(mutex_);
        if (exit_code_) {
            return;
        }
        exit_code_ = code;
    }
    log_event(LogLevel::Error, event, "{}", why);
}

void Instance::main_loop() {
    for (;;) {
        main_turned_ = clock_.boot_now().time_since_epoch().count();
        group_->poll(kGroupPoll);
        look_after_partitions();
        look_after_progress();
        look_after_providers();
        {
            const std::lock_guard lock(mutex_);
            if (exit_code_) {
                return;
            }
        }
        if (stop_signals > 0 && !stopping_) {
            begin_stop();
        }
        if (stop_signals > 1) {
            end_with(exit_code::kInternal, "instance.stopped_fast",
                     "a second signal: leaving without waiting for requests in flight");
        }
        if (closing_ && group_->closed()) {
            return;
        }
        if (closing_ && clock_.boot_now() > stop_deadline_) {
            log_event(LogLevel::Warning, "group.close_hangs",
                      "leaving the group took too long; going without");
            return;
        }
    }
}

void Instance::begin_stop() {
    stopping_ = true;
    closing_ = true;
    stop_deadline_ = clock_.boot_now() + config_.dispatch.drain_timeout + kExitGrace;
    log_event(LogLevel::Info, "instance.draining",
              "no new attempts; waiting for requests in flight");
    group_->start_close();
}

std::unique_ptr<Instance::Owned> Instance::make_partition(PartitionId id) {
    auto owned = std::make_unique<Owned>();
    owned->bell = std::make_shared<Bell>();
    const auto ring = [bell = owned->bell] { bell->ring(); };
    PartitionPorts ports;
    ports.open_log = [this, id]() -> Result<std::unique_ptr<LedgerLog>> {
        LedgerLogOptions options;
        options.dead_letter_partitions = dead_letter_partitions_;
        auto log = KafkaLedgerLog::create(config_, id, kafka_log(), options);
        if (!log) {
            return tl::unexpected<Error>(log.error());
        }
        return std::unique_ptr<LedgerLog>(*std::move(log));
    };
    ports.open_store = [this, id]() -> Result<std::unique_ptr<Store>> {
        auto store = RocksDbStore::open(
            *stores_, RocksDbStore::partition_directory(config_.ledger.directory, id));
        if (!store) {
            return tl::unexpected<Error>(store.error());
        }
        if (!(*store)->set_aside().empty()) {
            log_event(LogLevel::Warning, "store.set_aside",
                      "the store of partition {} was damaged; it is kept as {} and rebuilt from "
                      "the ledger",
                      id, (*store)->set_aside().string());
        }
        return std::unique_ptr<Store>(*std::move(store));
    };
    ports.sends = sends_->open(config_.topics.sends, id, ring);
    ports.suppressions = suppressions_->open(config_.topics.suppressions, id, ring);
    owned->partition =
        std::make_unique<Partition>(*surroundings_, id, std::move(ports), owned->bell);
    owned->thread = std::thread([this, id, owned = owned.get()] {
        name_this_thread(fmt::format("partition {}", id));
        while (!owned->ended) {
            const BootInstant next = owned->partition->turn();
            const BootInstant now = clock_.boot_now();
            if (next > now) {
                owned->bell->wait(
                    std::min<BootClock::duration>(next - now, std::chrono::seconds{1}),
                    std::min(owned->partition->quiet_until(), next) - now);
            }
        }
    });
    return owned;
}

void Instance::on_assigned(const std::vector<PartitionId>& partitions) {
    metrics_.rebalanced("assigned");
    flow_.set_share(partitions.size(), static_cast<std::size_t>(partition_count_.load()),
                    clock_.boot_now());
    log_event(LogLevel::Info, "group.assigned", "{} of {} partitions are ours", partitions.size(),
              partition_count_.load());
    std::vector<std::pair<PartitionId, std::unique_ptr<Owned>>> made;
    for (const PartitionId id : partitions) {
        made.emplace_back(id, make_partition(id));
    }
    // Together: nobody is called ready while some of them have not even begun to restore.
    const std::lock_guard lock(mutex_);
    for (auto& [id, owned] : made) {
        partitions_.insert_or_assign(id, std::move(owned));
    }
    joined_ = true;
}

void Instance::on_revoked(const std::vector<PartitionId>& partitions, bool lost) {
    metrics_.rebalanced(lost ? "lost" : "revoked");
    log_event(lost ? LogLevel::Warning : LogLevel::Info, lost ? "group.lost" : "group.revoked",
              "{} partitions {}", partitions.size(),
              lost ? "may belong to others already: dropping them" : "leave: draining them");
    crash_point(CrashPoint::Revoke);
    if (lost && !stopping_) {
        joined_ = false;  // but not by a revocation: a member stays one until the next assignment
    }
    revoking_ = true;
    const BootInstant deadline = clock_.boot_now() + config_.dispatch.drain_timeout;
    {
        const std::lock_guard lock(mutex_);
        for (auto& [id, owned] : partitions_) {
            if (lost) {
                owned->partition->discard();
            } else {
                owned->partition->drain(deadline);
            }
        }
    }
    look_after_partitions();
}

void Instance::on_fatal(const Error& error) {
    end_with(exit_code::of(error.code), "group.fatal", error.detail);
}

void Instance::look_after_partitions() {
    bool all_stopped = true;
    {
        const std::lock_guard lock(mutex_);
        for (const auto& [id, owned] : partitions_) {
            const Partition::Stage stage = owned->partition->stage();
            all_stopped = all_stopped && stage == Partition::Stage::Stopped;
            if (stage == Partition::Stage::Failed && !exit_code_) {
                const auto failure = owned->partition->failure();
                // Three restarts, a drain without an end: 70, whatever was behind it.
                const bool named = failure && (is_for_a_person(failure->code) ||
                                               failure->code == ErrorCode::NoStorage);
                exit_code_ = named ? exit_code::of(failure->code) : exit_code::kInternal;
            }
        }
    }
    if (revoking_ && all_stopped) {
        revoking_ = false;
        if (stopping_) {
            // Nobody may be there to tell the group later. Of a partition that was lost it does not listen.
            show_progress();
        }
        forget_partitions();
        group_->finish_revoke();
    }
}

void Instance::forget_partitions() {
    std::map<PartitionId, std::unique_ptr<Owned>> leaving;
    {
        const std::lock_guard lock(mutex_);
        leaving.swap(partitions_);
        progress_.clear();
    }
    shown_.clear();
    for (const auto& [id, owned] : leaving) {
        metrics_.partition_gone(id);
    }
    leaving.clear();  // joins their threads; without the lock, which they may want
}

void Instance::show_progress() {
    std::map<PartitionId, Offset> progress;
    {
        const std::lock_guard lock(mutex_);
        progress.swap(progress_);
    }
    for (const auto& [id, next] : progress) {
        shown_.insert_or_assign(id, next);
    }
    group_->commit_async(progress);
}

void Instance::look_after_progress() {
    // Of a partition that was never shown, at once: by the group's offsets a lost ledger is told from a first start.
    const auto is_new = [&](const auto& each) { return !shown_.contains(each.first); };
    bool any_new = false;
    {
        const std::lock_guard lock(mutex_);
        any_new = std::any_of(progress_.begin(), progress_.end(), is_new);
    }
    if (revoking_ || (!any_new && clock_.boot_now() < next_progress_)) {
        return;
    }
    next_progress_ = clock_.boot_now() + kProgressInterval;
    if (group_->take_commit_failure()) {
        const std::lock_guard lock(mutex_);
        progress_.insert(shown_.begin(), shown_.end());  // what is newer stays
    }
    show_progress();
}

void Instance::look_after_providers() {
    for (std::size_t index = 0; index < config_.providers.size(); ++index) {
        const std::string& name = config_.providers[index].name;
        const ProviderFlow::Snapshot flow = flow_.snapshot(index);
        const bool open = flow.circuit != ProviderFlow::Circuit::Closed;
        metrics_.circuit(name, open);
        if (open && open_circuits_.insert(name).second) {
            log_event(LogLevel::Warning, "provider.circuit_open",
                      "provider {} gets single messages only, which try whether it takes mail "
                      "again: it answered {}",
                      name, flow.trouble);
        } else if (!open && open_circuits_.erase(name) > 0) {
            log_event(LogLevel::Info, "provider.circuit_closed", "provider {} takes mail again",
                      name);
        }
    }
}

void Instance::wake(PartitionId partition) {
    const std::lock_guard lock(mutex_);
    if (const auto found = partitions_.find(partition); found != partitions_.end()) {
        found->second->bell->ring();
    }
}

void Instance::wake_all() {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, owned] : partitions_) {
        owned->bell->ring();
    }
}

std::vector<Instance::OwnedPartition> Instance::owned() const {
    const std::lock_guard lock(mutex_);
    std::vector<OwnedPartition> all;
    for (const auto& [id, owned] : partitions_) {
        all.push_back({id, owned->partition->stage(), owned->partition->status()});
    }
    return all;
}

bool Instance::ask(PartitionId partition, std::function<void(Partition&)> question) const {
    const std::lock_guard lock(mutex_);
    const auto found = partitions_.find(partition);
    if (found == partitions_.end()) {
        return false;
    }
    found->second->partition->post(std::move(question));
    return true;
}

}  // namespace postlane
