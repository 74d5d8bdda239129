#include "sim/broker.h"

#include <algorithm>

namespace postlane::sim {
namespace {

// 2026-11-01T00:00:00Z; any moment would do.
constexpr Millis kBrokerStart{1'793'491'200'000};

}  // namespace

std::string_view to_string(Topic topic) {
    switch (topic) {
        case Topic::Sends:
            return "sends";
        case Topic::Suppressions:
            return "suppressions";
        case Topic::AddressSuppressions:
            return "address_suppressions";
        case Topic::Ledger:
            return "ledger";
        case Topic::Outcomes:
            return "outcomes";
        case Topic::DeadLetters:
            return "dead_letters";
    }
    return "unknown";
}

Topic topic_of(Destination destination) {
    switch (destination) {
        case Destination::Ledger:
            return Topic::Ledger;
        case Destination::Outcomes:
            return Topic::Outcomes;
        case Destination::DeadLetters:
            return Topic::DeadLetters;
        case Destination::Suppressions:
            return Topic::Suppressions;
    }
    return Topic::Ledger;
}

Broker::Broker(Scheduler& scheduler, std::int32_t partitions, std::int32_t address_partitions)
    : scheduler_(scheduler), topics_(static_cast<std::size_t>(Topic::DeadLetters) + 1),
      transactions_(1) {
    for (auto& topic : topics_) {
        topic.resize(static_cast<std::size_t>(partitions));
    }
    topics_[static_cast<std::size_t>(Topic::AddressSuppressions)].resize(
        static_cast<std::size_t>(address_partitions));
}

Instant Broker::time_at(Time when) const {
    return Instant{kBrokerStart + Millis{when / kMillisecond}};
}

std::int32_t Broker::partitions(Topic topic) const {
    return static_cast<std::int32_t>(topics_[static_cast<std::size_t>(topic)].size());
}

Broker::Partition& Broker::at(Topic topic, PartitionId partition) {
    return topics_.at(static_cast<std::size_t>(topic)).at(static_cast<std::size_t>(partition));
}

const Broker::Partition& Broker::at(Topic topic, PartitionId partition) const {
    return topics_.at(static_cast<std::size_t>(topic)).at(static_cast<std::size_t>(partition));
}

Offset Broker::append(Topic topic, PartitionId partition, LogRecord record) {
    Partition& log = at(topic, partition);
    record.offset = log.end++;
    record.appended_at = scheduler_.now();
    if (topic == Topic::Ledger || record.timestamp == Instant{}) {
        record.timestamp = time();
    }
    if (record.transaction != 0 && record.kind == LogRecord::Kind::Data) {
        if (log.open.emplace(record.transaction, record.offset).second) {
            transactions_[record.transaction].touched.emplace_back(topic, partition);
        }
    }
    const Offset offset = record.offset;
    log.records.push_back(std::move(record));
    if (on_change) {
        on_change(topic, partition);
    }
    return offset;
}

std::int64_t Broker::init_producer(const std::string& transactional_id) {
    Producer& producer = producers_[transactional_id];
    if (producer.open != 0) {
        end(producer.open, false);
    }
    producer.epoch += 1;
    return producer.epoch;
}

bool Broker::is_current(const std::string& transactional_id, std::int64_t epoch) const {
    const auto producer = producers_.find(transactional_id);
    return producer != producers_.end() && producer->second.epoch == epoch;
}

TransactionId Broker::begin(const std::string& transactional_id, Time timeout) {
    Transaction transaction;
    transaction.producer = transactional_id;
    transactions_.push_back(std::move(transaction));
    const TransactionId id = transactions_.size() - 1;
    producers_[transactional_id].open = id;
    scheduler_.at(scheduler_.now() + timeout, [this, id, transactional_id] {
        if (state_of(id) == TransactionState::Open) {
            producers_[transactional_id].epoch += 1;
            end(id, false);
        }
    });
    return id;
}

void Broker::end(TransactionId transaction, bool commit) {
    Transaction& ended = transactions_.at(transaction);
    if (ended.state != TransactionState::Open) {
        return;
    }
    ended.state = commit ? TransactionState::Committed : TransactionState::Aborted;
    ended.ended_at = scheduler_.now();
    Producer& producer = producers_[ended.producer];
    if (producer.open == transaction) {
        producer.open = 0;
    }
    const auto touched = ended.touched;
    for (const auto& [topic, partition] : touched) {
        at(topic, partition).open.erase(transaction);
        LogRecord marker;
        marker.kind = LogRecord::Kind::Marker;
        marker.transaction = transaction;
        append(topic, partition, std::move(marker));
    }
}

TransactionState Broker::state_of(TransactionId transaction) const {
    return transactions_.at(transaction).state;
}

std::optional<Time> Broker::visible_since(const LogRecord& record) const {
    if (!is_data(record)) {
        return std::nullopt;
    }
    return record.transaction == 0 ? record.appended_at
                                   : transactions_[record.transaction].ended_at;
}

const std::vector<LogRecord>& Broker::log(Topic topic, PartitionId partition) const {
    return at(topic, partition).records;
}

Offset Broker::start_offset(Topic topic, PartitionId partition) const {
    return at(topic, partition).start;
}

Offset Broker::end_offset(Topic topic, PartitionId partition) const {
    return at(topic, partition).end;
}

Offset Broker::last_stable_offset(Topic topic, PartitionId partition) const {
    const Partition& log = at(topic, partition);
    Offset stable = log.end;
    for (const auto& [transaction, first] : log.open) {
        stable = std::min(stable, first);
    }
    return stable;
}

std::size_t Broker::position_of(Topic topic, PartitionId partition, Offset offset) const {
    const auto& records = log(topic, partition);
    const auto found = std::lower_bound(
        records.begin(), records.end(), offset,
        [](const LogRecord& record, Offset wanted) { return record.offset < wanted; });
    return static_cast<std::size_t>(found - records.begin());
}

bool Broker::is_data(const LogRecord& record) const {
    return record.kind == LogRecord::Kind::Data &&
           (record.transaction == 0 ||
            transactions_[record.transaction].state == TransactionState::Committed);
}

bool Broker::any_transaction_open() const {
    return std::any_of(producers_.begin(), producers_.end(),
                       [](const auto& producer) { return producer.second.open != 0; });
}

void Broker::compact(PartitionId ledger_partition, Instant tombstones_older_than) {
    Partition& log = at(Topic::Ledger, ledger_partition);
    const Offset stable = last_stable_offset(Topic::Ledger, ledger_partition);
    std::map<std::string, Offset> last;
    for (const LogRecord& record : log.records) {
        if (record.offset < stable && is_data(record)) {
            last[record.key.value_or("")] = record.offset;
        }
    }
    std::erase_if(log.records, [&](const LogRecord& record) {
        if (record.offset >= stable || record.kind == LogRecord::Kind::Marker) {
            return false;
        }
        if (!is_data(record) || last.at(record.key.value_or("")) != record.offset) {
            return true;
        }
        return !record.value && record.timestamp < tombstones_older_than;
    });
}

void Broker::delete_before(Topic topic, PartitionId partition, Offset offset) {
    Partition& log = at(topic, partition);
    log.start = std::max(log.start, std::min(offset, log.end));
}

void Broker::lose_tail(Topic topic, PartitionId partition, Offset from) {
    Partition& log = at(topic, partition);
    log.end = std::min(log.end, from);
    std::erase_if(log.records, [&](const LogRecord& record) { return record.offset >= log.end; });
}

void Broker::add_partition() {
    for (auto& topic : topics_) {
        topic.emplace_back();
    }
}

void Broker::recreate_ledger() {
    for (Partition& log : topics_[static_cast<std::size_t>(Topic::Ledger)]) {
        log = Partition{};
    }
}

}  // namespace postlane::sim
