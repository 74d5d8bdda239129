#include "sim/ports.h"

#include "codec/ledger_codec.h"

#include <algorithm>

namespace postlane::sim {
namespace {

constexpr Time kOldAnswer = 3 * kSecond;
constexpr std::size_t kUnsyncedMax = 64;
constexpr Offset kRewindMax = 30;

}  // namespace

SimInputStream::SimInputStream(Env& env, std::shared_ptr<Process> process, Topic topic,
                               PartitionId partition)
    : env_(env), process_(std::move(process)), topic_(topic), partition_(partition),
      delay_(env.faults.input_delay_us > 0 ? env.faults.input_delay_us
             : env.dice(env.faults.input_delays)
                 ? static_cast<Time>(env.random.log_uniform(10'000, 3'000'000))
                 : env.random.between(500, 30'000)) {}

Result<void> SimInputStream::start(Offset from) {
    if (env_.dice(env_.faults.input_unavailable)) {
        return fail(ErrorCode::Unavailable, "the input cannot be opened");
    }
    next_ = from;
    const bool keeps = env_.mutant == Mutant::AcksInputsEarly ||
                       (env_.mutant == Mutant::AppliedPositionKept && topic_ != Topic::Sends);
    if (keeps) {
        next_ = std::max(from, furthest_);
    } else if (env_.mutant == Mutant::ResumesAtLatest && topic_ == Topic::Sends) {
        next_ = env_.broker.end_offset(topic_, partition_);
    }
    furthest_ = std::max(furthest_, next_);  // a rewind goes back from here, too
    started_ = true;
    end_seen_.reset();
    return {};
}

Result<Offset> SimInputStream::resolve(Offset which) {
    if (env_.dice(env_.faults.input_unavailable)) {
        return fail(ErrorCode::Unavailable, "offsets cannot be asked");
    }
    return which == kEnd ? env_.broker.end_offset(topic_, partition_)
                         : env_.broker.start_offset(topic_, partition_);
}

Result<void> SimInputStream::poll(std::vector<InputRecord>& out, std::size_t max) {
    if (!started_) {
        return {};
    }
    if (env_.dice(env_.faults.slow_polls)) {
        env_.scheduler.sleep(env_.random.between(kMillisecond, 400 * kMillisecond));
    }
    const Offset start = env_.broker.start_offset(topic_, partition_);
    if (next_ < start && furthest_ >= start) {
        next_ = start;  // it was there already, and was rewound
    }
    if (next_ < start) {
        return fail(ErrorCode::Misconfigured, "records were deleted before they were read");
    }
    if (env_.dice(env_.faults.input_rewinds)) {
        const Offset back = env_.random.between(1, kRewindMax);
        next_ = std::max(start, next_ - back);
        env_.sometimes("input_rewound");
    }
    const auto& log = env_.broker.log(topic_, partition_);
    const Offset stable = env_.broker.last_stable_offset(topic_, partition_);
    std::size_t at = env_.broker.position_of(topic_, partition_, next_);
    std::size_t taken = 0;
    for (; at < log.size() && taken < max; ++at) {
        const LogRecord& record = log[at];
        if (record.offset >= stable || record.appended_at + delay_ > env_.now()) {
            break;
        }
        next_ = record.offset + 1;
        if (!env_.broker.is_data(record)) {
            continue;
        }
        if (env_.mutant == Mutant::PoisonStopsPartition && record.value == "{\"to\":") {
            next_ = record.offset;
            return fail(ErrorCode::Malformed, "this record makes no sense");
        }
        taken += 1;
        out.push_back(
            InputRecord{record.offset, record.timestamp, record.key, record.value, record.headers});
    }
    furthest_ = std::max(furthest_, next_);
    if (taken < max) {
        end_seen_ = env_.mutant == Mutant::EndSeenAtHighWatermark
                        ? env_.broker.end_offset(topic_, partition_)
                        : next_;
        if (stable < env_.broker.end_offset(topic_, partition_)) {
            env_.sometimes("input_held_at_stable_offset");
        }
    }
    return {};
}

std::optional<Offset> SimInputStream::end_seen() const {
    return end_seen_;
}

std::optional<Offset> SimInputStream::high_watermark() const {
    return env_.broker.end_offset(topic_, partition_);
}

Offset SimEndOffsets::end_of(Topic topic, PartitionId partition) const {
    if (env_.mutant == Mutant::EndOffsetsStable) {
        return env_.broker.last_stable_offset(topic, partition);
    }
    Offset end = env_.broker.end_offset(topic, partition);
    if (env_.mutant == Mutant::SilenceCalledFresh) {
        return 0;
    }
    if (env_.mutant == Mutant::EndOffsetsOld) {
        const auto& log = env_.broker.log(topic, partition);
        while (!log.empty() && end > 0 &&
               log[static_cast<std::size_t>(end - 1)].appended_at + kOldAnswer > env_.now()) {
            end -= 1;
        }
    }
    return end;
}

Result<EndOffsets::Answer> SimEndOffsets::ask(const std::vector<PartitionId>& suppressions) {
    env_.scheduler.sleep(env_.latency() / 2);
    if (env_.dice(env_.faults.ends_unavailable)) {
        env_.scheduler.sleep(env_.random.between(0, 2 * kSecond));
        env_.sometimes("end_offsets_unavailable");
        return fail(ErrorCode::Unavailable, "end offsets: no answer");
    }
    Answer answer;
    for (const PartitionId partition : suppressions) {
        answer.suppressions[partition] = end_of(Topic::Suppressions, partition);
    }
    for (PartitionId partition = 0; partition < env_.broker.partitions(Topic::AddressSuppressions);
         ++partition) {
        answer.address_suppressions[partition] = end_of(Topic::AddressSuppressions, partition);
    }
    env_.scheduler.sleep(env_.latency() / 2);
    return answer;
}

SimStore::SimStore(Env& env, std::shared_ptr<Process> process, Machine& machine,
                   PartitionId partition)
    : env_(env), process_(std::move(process)), machine_(machine), partition_(partition),
      disk_(machine.disks[partition]) {
    disk_.in_use = true;
}

SimStore::~SimStore() {
    disk_.in_use = false;
}

bool SimStore::damaged() const {
    if (disk_.torn) {
        env_.sometimes("torn_batch_found");
        return true;
    }
    if (!env_.dice(env_.faults.store_corrupt)) {
        return false;
    }
    env_.sometimes("store_corrupt");
    env_.trace(process_->name(), "", "p{} store is corrupt", partition_);
    return true;
}

Result<std::optional<std::string>> SimStore::get(std::string_view key) const {
    if (damaged()) {
        return fail(ErrorCode::Corrupt, "checksum mismatch");
    }
    const auto row = disk_.rows.find(std::string(key));
    if (env_.mutant == Mutant::StoreAgeUnchecked && row != disk_.rows.end() &&
        key == ledger::position_key()) {
        auto position = ledger::decode_position(row->second);
        position->applied_at = env_.broker.time();
        return std::optional(ledger::encode(*position));
    }
    return row == disk_.rows.end() ? std::optional<std::string>() : std::optional(row->second);
}

Result<std::vector<std::pair<std::string, std::string>>> SimStore::scan(std::string_view begin,
                                                                        std::string_view end,
                                                                        std::size_t limit) const {
    if (damaged()) {
        return fail(ErrorCode::Corrupt, "checksum mismatch");
    }
    std::vector<std::pair<std::string, std::string>> found;
    for (auto row = disk_.rows.lower_bound(std::string(begin));
         row != disk_.rows.end() && row->first < end && found.size() < limit; ++row) {
        found.emplace_back(row->first, row->second);
    }
    return found;
}

Result<void> SimStore::write(const StoreBatch& batch) {
    env_.crash_point(process_, "before the store's write");
    if (env_.dice(env_.faults.store_full)) {
        machine_.disk_full_until = env_.now() + env_.random.between(0, 3 * kSecond);
        env_.trace(process_->name(), "", "p{} disk full", partition_);
    }
    if (env_.now() <= machine_.disk_full_until && machine_.disk_full_until > 0) {
        env_.sometimes("disk_full");
        return env_.mutant == Mutant::DiskErrorsIgnored
                   ? Result<void>{}
                   : fail(ErrorCode::NoStorage, "no space left on device");
    }
    DiskStore::Undo undo;
    for (const StoreBatch::Operation& operation : batch.operations) {
        const auto row = disk_.rows.find(operation.key);
        const bool there = row != disk_.rows.end();
        undo.before.emplace_back(operation.key, there ? std::optional(row->second) : std::nullopt);
        if (operation.value) {
            disk_.rows[operation.key] = *operation.value;
        } else if (there) {
            disk_.rows.erase(row);
        }
    }
    disk_.unsynced.push_back(std::move(undo));
    if (disk_.unsynced.size() > kUnsyncedMax) {
        disk_.unsynced.erase(disk_.unsynced.begin(), disk_.unsynced.begin() + kUnsyncedMax / 2);
    }
    if (env_.faults.old_copies > 0 && env_.random.chance(0.02)) {
        disk_.older_copy = disk_.rows;
    }
    env_.crash_point(process_, "after the store's write, before the hand-over");
    return {};
}

Result<void> SimStore::wipe() {
    env_.sometimes(disk_.rows.empty() ? "store_begun" : "store_wiped");
    disk_.torn = false;
    disk_.rows.clear();
    disk_.unsynced.clear();
    env_.trace(process_->name(), "", "p{} store wiped", partition_);
    return {};
}

BootInstant SimClock::boot_now() const {
    const auto drifted = static_cast<Time>(machine_.drift * static_cast<double>(env_.now()));
    return BootInstant{BootClock::duration{env_.now() + drifted + machine_.boot_offset}};
}

// Not before the clock says it.
Time SimClock::sim_time(BootInstant boot) const {
    const auto since = boot.time_since_epoch().count();
    if (since > kForever) {
        return kForever;
    }
    const auto ticks = static_cast<double>(since - machine_.boot_offset);
    return machine_.drift == 0 ? since - machine_.boot_offset
                               : static_cast<Time>(ticks / (1 + machine_.drift)) + 2;
}

void SimMetrics::outcome(Outcome outcome, Reason reason) {
    env_.probes[std::string(to_string(outcome)) + "/" + std::string(to_string(reason))] += 1;
}

}  // namespace postlane::sim
