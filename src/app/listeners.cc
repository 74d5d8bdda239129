#include "app/listeners.h"

#include <algorithm>
#include <future>

#include "adapters/kafka/input_reader.h"
#include "adapters/listener/admin.h"
#include "adapters/listener/telemetry.h"
#include "adapters/system/log.h"
#include "app/instance.h"
#include "app/ledger_audit.h"
#include "codec/decode.h"

namespace postlane {
namespace {

constexpr std::chrono::seconds kAnswerWithin{5};
constexpr std::chrono::seconds kMainLimit{60};
// Fencing, a restore's query and an unknown commit may each block for half a minute.
constexpr std::chrono::seconds kPartitionLimit{120};
constexpr std::size_t kMessagesMax = 1'000;
constexpr std::size_t kRowsPerSlice = 5'000;

PartitionState state_of(const Instance::OwnedPartition& owned) {
    switch (owned.stage) {
        case Partition::Stage::Starting:
            return owned.status.restore_remaining > 0 ? PartitionState::Restoring
                                                      : PartitionState::Fencing;
        case Partition::Stage::Running:
            return PartitionState::Running;
        case Partition::Stage::Draining:
            return PartitionState::Draining;
        case Partition::Stage::Stopped:
        case Partition::Stage::Failed:
            return PartitionState::Stopped;
    }
    return PartitionState::Stopped;
}

AdminError restoring() {
    return {AdminError::Kind::Restoring, "the partition is being restored",
            std::chrono::seconds{2}};
}

Millis since(BootInstant then, BootInstant now) {
    return std::chrono::duration_cast<Millis>(now - then);
}

}  // namespace

ListenerSet::~ListenerSet() {
    closing_ = true;
    admin_.reset();  // waits for the threads that answer
    telemetry_.reset();
}

Result<void> ListenerSet::open() {
    const Config& config = instance_.config();
    Router telemetry_routes;
    add_telemetry_routes(telemetry_routes, *this, [this] { return instance_.metrics().render(); });
    HttpServerOptions telemetry;
    telemetry.listen = config.telemetry.listen;
    telemetry.on_failure = [](const std::string& why) {
        log_event(LogLevel::Error, "telemetry.failed", "{}", why);
    };
    auto first = HttpServer::start(std::move(telemetry), std::move(telemetry_routes));
    if (!first) {
        return tl::unexpected<Error>(first.error());
    }
    telemetry_ = *std::move(first);

    Router admin_routes;
    add_admin_routes(admin_routes, *this, *this, config);
    HttpServerOptions admin;
    admin.listen = config.admin.listen;
    admin.token = config.admin.token;
    admin.check_host = true;
    admin.threads = 2;  // a verification takes one of them for as long as it takes
    admin.on_failure = [](const std::string& why) {
        log_event(LogLevel::Error, "admin.failed", "{}", why);
    };
    auto second = HttpServer::start(std::move(admin), std::move(admin_routes));
    if (!second) {
        return tl::unexpected<Error>(second.error());
    }
    admin_ = *std::move(second);
    log_event(LogLevel::Info, "listeners.open", "telemetry on http://{}, admin on http://{}",
              telemetry_->address(), admin_->address());
    return {};
}

std::vector<Heartbeat> ListenerSet::heartbeats() const {
    const BootInstant now = instance_.clock().boot_now();
    std::vector<Heartbeat> beats;
    if (instance_.started()) {
        beats.push_back({"group", since(instance_.main_turned_at(), now), kMainLimit});
    }
    for (const Instance::OwnedPartition& owned : instance_.owned()) {
        if (owned.status.last_turn != BootInstant{}) {
            beats.push_back({"partition " + std::to_string(owned.id),
                             since(owned.status.last_turn, now), kPartitionLimit});
        }
    }
    return beats;
}

bool ListenerSet::started() const {
    return instance_.started();
}
bool ListenerSet::group_joined() const {
    return instance_.group_joined();
}
bool ListenerSet::address_view_loaded() const {
    return instance_.address_view_loaded();
}
bool ListenerSet::draining() const {
    return instance_.draining();
}

std::vector<PartitionStatus> ListenerSet::partitions() const {
    const BootInstant now = instance_.clock().boot_now();
    std::vector<PartitionStatus> all;
    for (const Instance::OwnedPartition& owned : instance_.owned()) {
        PartitionStatus status;
        status.partition = owned.id;
        status.state = state_of(owned);
        if (status.state == PartitionState::Restoring) {
            status.restore_remaining_records = owned.status.restore_remaining;
        }
        if (owned.status.sends_lag >= 0) {
            status.sends_lag_records = owned.status.sends_lag;
        }
        if (owned.status.suppressions_lag >= 0) {
            status.suppressions_lag_records = owned.status.suppressions_lag;
        }
        if (owned.status.fresh_since != BootInstant{}) {
            status.suppression_staleness = since(owned.status.fresh_since, now);
        }
        status.in_flight = static_cast<std::int64_t>(owned.status.in_flight);
        status.held = owned.status.ordering.held;
        all.push_back(status);
    }
    return all;
}

OrderingStatus ListenerSet::ordering() const {
    const auto counted = instance_.metrics().ordering();
    OrderingStatus status;
    status.out_of_order = counted.out_of_order;
    status.gaps = counted.gaps;
    status.duplicates = counted.duplicates;
    status.held = counted.held;
    for (const Instance::OwnedPartition& owned : instance_.owned()) {
        status.recipients += owned.status.recipients;
        status.sequences += owned.status.ordering.sequences;
        status.sequences_enforced += owned.status.ordering.sequences;  // every sequence is
    }
    return status;
}

template <class T>
AdminResult<T> ListenerSet::ask(PartitionId partition,
                                const std::function<AdminResult<T>(Partition&)>& question) const {
    auto promise = std::make_shared<std::promise<AdminResult<T>>>();
    auto answer = promise->get_future();
    const bool ours = instance_.ask(partition, [promise, question](Partition& asked) {
        promise->set_value(asked.runner() == nullptr
                               ? AdminResult<T>(tl::unexpected<AdminError>(restoring()))
                               : question(asked));
    });
    if (!ours) {
        return tl::unexpected<AdminError>(AdminError{
            AdminError::Kind::NotOwned,
            "partition " + std::to_string(partition) + " belongs to another instance: ask there",
            std::nullopt});
    }
    if (answer.wait_for(kAnswerWithin) != std::future_status::ready) {
        return tl::unexpected<AdminError>(restoring());
    }
    return answer.get();
}

AdminResult<RecipientFacts> ListenerSet::recipient(const RecipientId& id,
                                                   const std::optional<MessageId>& message) {
    if (instance_.partition_count() == 0) {
        return tl::unexpected<AdminError>(restoring());
    }
    const PartitionId partition = partition_for(id.value(), instance_.partition_count(),
                                                instance_.config().kafka.partitioner);
    return ask<RecipientFacts>(partition, [this, id, message, partition](Partition& asked) {
        LedgerView& view = asked.runner()->ledger();
        RecipientFacts facts;
        facts.partition = partition;
        facts.as_of = instance_.broker_clock().at(instance_.clock().boot_now());
        facts.ledger_reaches_back = facts.as_of - instance_.config().ledger.retention_days;
        view.focus(id, facts.as_of);
        if (message) {
            if (auto row = view.message(*message)) {
                facts.messages.emplace_back(*message, *std::move(row));
            }
        } else {
            facts.messages = view.messages(kMessagesMax + 1);
            facts.more_messages = facts.messages.size() > kMessagesMax;
            facts.messages.resize(std::min(facts.messages.size(), kMessagesMax));
        }
        facts.sequences = view.sequences(kMessagesMax);
        facts.suppressions = view.suppressions();
        return AdminResult<RecipientFacts>(std::move(facts));
    });
}

AdminResult<SuppressionFacts> ListenerSet::suppressions(const SuppressionQuestion& question) {
    SuppressionFacts facts;
    const BootInstant now = instance_.clock().boot_now();
    facts.as_of = instance_.broker_clock().at(now);
    BootInstant fresh = now;
    if (question.address) {
        if (instance_.addresses() == nullptr) {
            return tl::unexpected<AdminError>(restoring());
        }
        facts.by_address = instance_.addresses()->find(*question.address);
        fresh = std::min(fresh, instance_.addresses()->fresh_since());
    }
    if (question.recipient) {
        if (instance_.partition_count() == 0) {
            return tl::unexpected<AdminError>(restoring());
        }
        const PartitionId partition =
            partition_for(question.recipient->value(), instance_.partition_count(),
                          instance_.config().kafka.partitioner);
        using Found = std::pair<std::optional<SuppressionRow>, BootInstant>;
        // By value: the answer may come when nobody waits for it any more.
        auto found = ask<Found>(
            partition, [as_of = facts.as_of, id = *question.recipient](Partition& asked) {
                asked.runner()->ledger().focus(id, as_of);
                return AdminResult<Found>(
                    Found{asked.runner()->ledger().suppressions(), asked.runner()->fresh_since()});
            });
        if (!found) {
            return tl::unexpected<AdminError>(found.error());
        }
        facts.by_recipient = std::move(found->first);
        fresh = std::min(fresh, found->second);
    }
    facts.proven_fresh = now - fresh <= instance_.config().suppression.max_staleness;
    return facts;
}

AdminResult<InstanceStatus> ListenerSet::status() {
    const Config& config = instance_.config();
    InstanceStatus status;
    status.version = POSTLANE_VERSION;
    status.started_at = instance_.started_at();
    status.group_joined = instance_.group_joined();
    status.partition_count = instance_.partition_count();
    status.in_flight = static_cast<std::int64_t>(instance_.flow().in_flight());
    status.max_in_flight = static_cast<std::int64_t>(config.dispatch.max_in_flight);
    for (std::size_t index = 0; index < config.providers.size(); ++index) {
        const ProviderFlow::Snapshot snapshot = instance_.flow().snapshot(index);
        status.providers.push_back({config.providers[index].name,
                                    snapshot.circuit != ProviderFlow::Circuit::Closed,
                                    static_cast<std::int64_t>(snapshot.in_flight)});
    }
    return status;
}

AdminResult<std::vector<LedgerPartitionStats>> ListenerSet::ledger_stats() {
    std::vector<LedgerPartitionStats> all;
    for (const Instance::OwnedPartition& owned : instance_.owned()) {
        auto stats = count_rows(owned.id);
        if (!stats) {
            return tl::unexpected<AdminError>(stats.error());
        }
        all.push_back(*stats);
    }
    return all;
}

// In slices between the partition's rounds, so that counting millions of rows delays nobody's mail.
AdminResult<LedgerPartitionStats> ListenerSet::count_rows(PartitionId partition) const {
    LedgerPartitionStats stats;
    stats.partition = partition;
    std::string from = ledger::ledger_keys_begin();
    while (!from.empty()) {
        struct Slice {
            std::vector<std::pair<std::string, std::string>> rows;
            Offset ledger_next;
            std::uint64_t store_bytes;
        };
        // By value: the answer may come when nobody waits for it any more.
        auto slice = ask<Slice>(partition, [from](Partition& asked) -> AdminResult<Slice> {
            LedgerView& view = asked.runner()->ledger();
            auto rows = view.store().scan(from, ledger::ledger_keys_end(), kRowsPerSlice);
            const auto position = view.position();
            if (!rows || !position) {
                return tl::unexpected<AdminError>(AdminError{
                    AdminError::Kind::Unavailable, "the local store cannot be read", std::nullopt});
            }
            return Slice{*std::move(rows), *position ? (*position)->ledger_next : 0,
                         view.store().size_bytes()};
        });
        if (!slice) {
            return tl::unexpected<AdminError>(slice.error());
        }
        stats.ledger_next = slice->ledger_next;
        stats.store_bytes = slice->store_bytes;
        for (const auto& [bytes, value] : slice->rows) {
            const auto key = ledger::parse_key(bytes);
            if (key && key->kind == ledger::Kind::Message) {
                const auto state = ledger::peek_message_state(value);
                (state && has_ended(*state) ? stats.messages_ended : stats.messages_live) += 1;
            } else if (key && key->kind == ledger::Kind::Sequence) {
                stats.sequences += 1;
            } else if (key && key->kind == ledger::Kind::Suppressions) {
                stats.suppressions += 1;
            }
        }
        from = slice->rows.size() < kRowsPerSlice ? std::string() : slice->rows.back().first + '\0';
    }
    return stats;
}

// What the partition's thread reads for us, a slice between its rounds, as a Store.
class ListenerSet::AskedStore final : public Store {
public:
    using Row = std::pair<std::string, std::string>;

    AskedStore(const ListenerSet& set, PartitionId partition) : set_(set), partition_(partition) {}

    [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key) const override {
        return read<std::optional<std::string>>(
            [key = std::string(key)](const Store& store) { return store.get(key); });
    }
    [[nodiscard]] Result<std::vector<Row>> scan(std::string_view begin, std::string_view end,
                                                std::size_t limit) const override {
        return read<std::vector<Row>>(
            [begin = std::string(begin), end = std::string(end), limit](const Store& store) {
                return store.scan(begin, end, limit);
            });
    }
    [[nodiscard]] Result<void> write(const StoreBatch& /*batch*/) override { return read_only(); }
    [[nodiscard]] Result<void> wipe() override { return read_only(); }
    [[nodiscard]] std::uint64_t size_bytes() const override { return 0; }

    // Why the partition's thread did not answer, if it was that.
    [[nodiscard]] const std::optional<AdminError>& refusal() const { return refusal_; }

private:
    static Result<void> read_only() {
        return fail(ErrorCode::Rejected, "this view of a store is for reading");
    }
    template <class T>
    Result<T> read(const std::function<Result<T>(const Store&)>& question) const {
        auto answer =
            set_.ask<Result<T>>(partition_, [question](Partition& asked) -> AdminResult<Result<T>> {
                return question(asked.runner()->ledger().store());
            });
        if (!answer) {
            refusal_ = answer.error();
            return fail(ErrorCode::Unavailable, answer.error().detail);
        }
        return *std::move(answer);
    }

    const ListenerSet& set_;
    PartitionId partition_;
    mutable std::optional<AdminError> refusal_;
};

AdminResult<std::vector<LedgerPartitionVerdict>> ListenerSet::ledger_verify() {
    const std::unique_lock one_at_a_time(verifying_, std::try_to_lock);
    if (!one_at_a_time) {
        return tl::unexpected<AdminError>(
            AdminError{AdminError::Kind::Busy, "a verification is under way: ask when it has ended",
                       std::chrono::seconds{10}});
    }
    const auto unavailable = [](const Error& error) {
        return tl::unexpected<AdminError>(
            AdminError{AdminError::Kind::Unavailable, error.detail, std::nullopt});
    };
    // A reader of its own: those of the instance have better to do.
    const auto input =
        KafkaInput::create(instance_.config(), {}, [](int /*level*/, std::string_view /*text*/) {});
    if (!input) {
        return unavailable(input.error());
    }
    std::vector<LedgerPartitionVerdict> all;
    for (const Instance::OwnedPartition& owned : instance_.owned()) {
        const AskedStore store(*this, owned.id);
        auto verdict = audit_ledger(owned.id, store, **input, instance_.config(),
                                    [this] { return closing_.load(); });
        if (!verdict) {
            return store.refusal() ? tl::unexpected<AdminError>(*store.refusal())
                                   : unavailable(verdict.error());
        }
        all.push_back(*verdict);
    }
    return all;
}

}  // namespace postlane
