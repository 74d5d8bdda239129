#include "app/address_service.h"

#include <algorithm>

#include "adapters/system/log.h"

namespace postlane {
namespace {

constexpr std::size_t kPollMax = 2'000;

}  // namespace

AddressService::AddressService(const Config& config, AddressStore& store, KafkaInput& input,
                               PartitionId partitions, Metrics& metrics,
                               std::function<Instant()> latest, std::function<void()> fresher)
    : store_(store), metrics_(metrics), latest_(std::move(latest)), fresher_(std::move(fresher)),
      decoder_(config, partitions),
      log_(input, config.topics.address_suppressions, partitions, [this] { bell_.ring(); }) {}

Result<void> AddressService::start(const std::map<PartitionId, Offset>& ends) {
    if (auto attached = store_.attach(ends); !attached) {
        return attached;
    }
    return read_again();
}

// From the stored offsets, trusting no proof from before.
Result<void> AddressService::read_again() {
    store_.set_unproven();
    proofs_.clear();
    for (PartitionId partition = 0; partition < log_.partitions(); ++partition) {
        const auto next = store_.next_offsets().find(partition);
        proofs_[partition].applied_through(next == store_.next_offsets().end() ? 0 : next->second);
    }
    return log_.start(store_.next_offsets());
}

void AddressService::on_proof(BootInstant asked_at, const std::map<PartitionId, Offset>& ends) {
    {
        const std::lock_guard lock(mutex_);
        arrived_.push_back({asked_at, ends});
    }
    bell_.ring();
}

Result<void> AddressService::turn(Millis wait_max) {
    if (store_.failed()) {
        log_event(
            LogLevel::Error, "addresses.store_failed",
            "the store of suppressions by address failed; nothing is sent until it is open again");
        auto recovered = store_.recover();
        if (recovered) {
            recovered = read_again();
        }
        if (!recovered) {
            bell_.wait(wait_max);
            return {};
        }
    }
    std::vector<PartitionRecord> records;
    if (auto polled = log_.poll(records, kPollMax); !polled) {
        return polled;
    }
    const bool idle = records.empty();
    if (!idle) {
        if (auto applied = apply(records); !applied) {
            return {};  // the store says failed() now
        }
    }
    std::vector<Proof> proofs;
    {
        const std::lock_guard lock(mutex_);
        proofs.swap(arrived_);
    }
    for (const Proof& proof : proofs) {
        for (const auto& [partition, end] : proof.ends) {
            proofs_[partition].add(proof.asked_at, end);
        }
    }
    settle();
    if (idle && proofs.empty()) {
        bell_.wait(wait_max);
        return {};
    }
    for (const auto& [partition, view] : proofs_) {
        metrics_.lag(InputTopic::AddressSuppressions, partition, view.lag());
    }
    return {};
}

Result<void> AddressService::apply(const std::vector<PartitionRecord>& records) {
    std::vector<AddressSuppression> events;
    std::map<PartitionId, Offset> next;
    std::vector<Reason> rejected;
    const Instant latest = latest_();
    for (const PartitionRecord& read : records) {
        next[read.partition] = read.record.offset + 1;
        Decoder::Suppression decoded = decoder_.address_suppression(read.record, latest);
        if (decoded.address && decoded.event) {
            events.push_back({*std::move(decoded.address), *std::move(decoded.event)});
        } else {
            // Every instance reads the whole topic, so a dead letter from each would say the same many times over. None
            // is needed to keep the bytes: the topic is checked to keep its records for ever.
            rejected.push_back(decoded.event ? Reason::InvalidField : decoded.event.error().reason);
            log_event(LogLevel::Warning, "addresses.record_rejected",
                      "address suppression {}@{} is unusable and suppresses nobody: {}",
                      read.partition, read.record.offset,
                      decoded.event ? "no usable address" : decoded.event.error().detail);
        }
    }
    auto applied = store_.apply(events, next);
    if (applied) {
        metrics_.consumed(InputTopic::AddressSuppressions, records.size());
        for (const Reason why : rejected) {
            metrics_.address_suppression_rejected(why);
        }
        for (const auto& [partition, offset] : next) {
            proofs_[partition].applied_through(offset);
        }
    }
    return applied;
}

// Fresh when all partitions are.
void AddressService::settle() {
    BootInstant fresh = BootInstant::max();
    for (auto& [partition, proofs] : proofs_) {
        if (const auto end = log_.end_seen(partition)) {
            proofs.applied_through(*end);
        }
        fresh = std::min(fresh, proofs.fresh_since());
    }
    if (fresh > told_ && fresh != BootInstant::max()) {
        told_ = fresh;
        store_.set_fresh_since(fresh);
        loaded_ = true;
        fresher_();
    }
}

}  // namespace postlane
