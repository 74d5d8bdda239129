#include "sim/addresses.h"

#include <algorithm>

#include "postlane/suppression_gate.h"

namespace postlane::sim {
namespace {

constexpr std::size_t kPollMax = 100;

}  // namespace

SimAddresses::SimAddresses(Env& env, const Config& config, const std::shared_ptr<Process>& process,
                           std::function<Instant()> latest, std::function<void()> fresher)
    : env_(env), decoder_(config, env.broker.partitions(Topic::Sends)), latest_(std::move(latest)),
      fresher_(std::move(fresher)) {
    for (PartitionId partition = 0; partition < env.broker.partitions(Topic::AddressSuppressions);
         ++partition) {
        Source source;
        source.stream =
            std::make_unique<SimInputStream>(env, process, Topic::AddressSuppressions, partition);
        while (!source.stream->start(0)) {
        }
        sources_.push_back(std::move(source));
    }
}

std::optional<SuppressionRow> SimAddresses::find(const AddressKey& key) const {
    const auto row = rows_.find(key.value());
    return row == rows_.end() ? std::nullopt : std::optional(row->second);
}

BootInstant SimAddresses::fresh_since() const noexcept {
    return env_.mutant == Mutant::AddressViewAlwaysFresh ? BootInstant::max() : fresh_since_;
}

const std::atomic<std::uint64_t>& SimAddresses::changes(const AddressKey& key) const noexcept {
    return changes_[std::hash<std::string>{}(key.value()) % kStripes];
}

void SimAddresses::on_proof(BootInstant asked_at, const std::map<PartitionId, Offset>& ends) {
    for (const auto& [partition, end] : ends) {
        sources_.at(static_cast<std::size_t>(partition)).proofs.add(asked_at, end);
    }
    turn();
}

void SimAddresses::turn() {
    BootInstant fresh = BootInstant::max();
    const Instant latest = latest_();
    for (Source& source : sources_) {
        std::vector<InputRecord> records;
        (void)source.stream->poll(records, kPollMax);
        for (const InputRecord& record : records) {
            const Decoder::Suppression decoded = decoder_.address_suppression(record, latest);
            if (decoded.address && decoded.event) {
                fold(rows_[decoded.address->value()], *decoded.event);
                changes_[std::hash<std::string>{}(decoded.address->value()) % kStripes].fetch_add(
                    1);
            }
            source.proofs.applied_through(record.offset + 1);
        }
        if (const auto end = source.stream->end_seen()) {
            source.proofs.applied_through(*end);
        }
        fresh = std::min(fresh, source.proofs.fresh_since());
    }
    if (fresh > fresh_since_) {
        fresh_since_ = fresh;
        fresher_();
    }
}

}  // namespace postlane::sim
