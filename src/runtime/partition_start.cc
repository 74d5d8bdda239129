// How a partition begins an epoch: fence, then restore, in this order always.
#include <algorithm>

#include "postlane/crash_point.h"
#include "runtime/partition.h"

namespace postlane {
namespace {

constexpr Millis kBackoffMin{200};
constexpr Millis kBackoffMax{10'000};
constexpr std::uint64_t kProgressEvery = 50'000;

std::string_view word(config::Partitioner partitioner) {
    return partitioner == config::Partitioner::Murmur2 ? "murmur2" : "crc32";
}

// The store was applied after the commit was known, so the topic had these records: an unclean election or a restored
// backup has lost them. What they said was sent would be sent again.
tl::unexpected<Error> ledger_truncated(PartitionId partition, Offset stored, Offset end) {
    return fail(ErrorCode::Misconfigured,
                "ledger_truncated: the local store of partition " + std::to_string(partition) +
                    " has seen its ledger up to offset " + std::to_string(stored) +
                    ", the topic ends at " + std::to_string(end) +
                    ": acknowledged records are gone. Going on would send again what they say was "
                    "sent. Restore the topic; or, if mail may be repeated, delete this partition's "
                    "folder in ledger.directory.");
}

// An instance whose own clock is wrong must not trust a store that is too old: the topic may have forgotten deletions
// that the store never saw. The broker tells its time with a commit, so one is made that says nothing: the deletion of
// a message that nobody can have, because its ids are empty.
Result<void> ask_broker_time(LedgerLog& log, PartitionId partition, const Clock& clock,
                             BrokerClock& broker_clock) {
    Transaction question;
    OutRecord& record = question.records.emplace_back();
    record.destination = Destination::Ledger;
    record.partition = partition;
    record.key = ledger::message_key(RecipientId(), MessageId());
    do {
        const BootInstant asked_at = clock.boot_now();
        auto receipt = log.commit(question);
        if (!receipt) {
            return tl::unexpected<Error>(receipt.error());
        }
        broker_clock.learn(*receipt, clock.boot_now() - asked_at);
    } while (broker_clock.doubtful());
    return {};
}

}  // namespace

BootInstant Partition::start() {
    if (around_.clock.boot_now() < next_start_) {
        return next_start_;  // the bell rang for something else
    }
    epoch_ += 1;
    around_.metrics.partition_state(id_, PartitionState::Fencing);
    const auto begin = [&]() -> Result<void> {
        auto log = ports_.open_log();
        if (!log) {
            return tl::unexpected<Error>(log.error());
        }
        log_ = *std::move(log);
        if (auto fenced = log_->fence(); !fenced) {
            return fenced;
        }
        return restore(around_.clock.boot_now());
    };
    const auto begun = begin();
    if (!begun && (draining_ || discarded_)) {
        stop();
        return around_.clock.boot_now();  // turn() says that it has stopped
    }
    if (!begun) {
        start_failed(begun.error());
        next_start_ = around_.clock.boot_now() + start_backoff_;
        return next_start_;
    }
    start_backoff_ = Millis{0};
    next_status_ = {};
    stale_since_.reset();  // a restore takes its time, and that is not what is to be told
    enter(Stage::Running, PartitionState::Running);
    // Whoever had it before may have died without telling the group; and there may be no more input. What is not
    // committed yet (a ledger that this start begins) is shown by its commit.
    if (const Offset next = runner_->next_offsets().sends; next > 0 && !runner_->has_batch()) {
        around_.show_progress(id_, next);
    }
    around_.log(Severity::Info, "partition.running",
                "partition " + std::to_string(id_) + " is running, sends from offset " +
                    std::to_string(runner_->next_offsets().sends));
    return around_.clock.boot_now();
}

void Partition::start_failed(const Error& why) {
    runner_.reset();
    log_.reset();
    if (is_for_a_person(why.code)) {
        give_up(why);
        return;
    }
    if (why.code == ErrorCode::Corrupt || why.code == ErrorCode::NoStorage) {
        if (store_ && why.code == ErrorCode::Corrupt) {
            (void)store_->wipe();
        }
        if (restarted_too_often()) {
            give_up(why);
            return;
        }
    }
    store_.reset();
    start_backoff_ = std::clamp(start_backoff_ * 2, kBackoffMin, kBackoffMax);
    around_.log(
        Severity::Warning, "partition.start_failed",
        "partition " + std::to_string(id_) + " cannot start yet, trying again: " + why.detail);
}

Result<void> Partition::restore(BootInstant fenced_at) {
    around_.metrics.partition_state(id_, PartitionState::Restoring);
    // After the fence: whatever the predecessor committed lies below this end, and it cannot commit more.
    auto range = log_->range();
    if (!range) {
        return tl::unexpected<Error>(range.error());
    }
    auto genesis = read_genesis(*range);
    if (!genesis) {
        return tl::unexpected<Error>(genesis.error());
    }
    auto store = ports_.open_store();
    if (!store) {
        return tl::unexpected<Error>(store.error());
    }
    store_ = *std::move(store);
    runner_ = std::make_unique<PartitionRunner>(
        RunnerPorts{around_.config, id_, around_.partition_count, *store_, around_.addresses,
                    around_.flow, waiter_, around_.registry, around_.dispatcher, around_.metrics,
                    guard_, around_.max_record_bytes},
        Epoch(epoch_));
    // Before the store is touched: it may be the last that remembers what was sent.
    if (auto checked = *genesis ? check_genesis(**genesis) : check_first_start(*range); !checked) {
        return checked;
    }
    auto from = trust_store(*range, *genesis);
    if (!from) {
        return tl::unexpected<Error>(from.error());
    }
    if (auto replayed = replay(*from, range->end); !replayed) {
        return replayed;
    }
    if (!*genesis) {
        if (auto begun = begin_ledger(); !begun) {
            return begun;
        }
    }
    if (!around_.broker_clock.known()) {
        // One commit tells the broker's time, before anything is decided by this machine's own clock.
        do {
            runner_->ledger().put_offsets(runner_->ledger().offsets());
            if (auto told = commit(now()); !told) {
                return told;
            }
        } while (around_.broker_clock.doubtful());
    }
    runner_->begin(fenced_at, now());
    if (runner_->failure()) {
        return tl::unexpected<Error>(*runner_->failure());
    }
    if (auto started = ports_.suppressions->start(runner_->next_offsets().suppressions); !started) {
        return started;
    }
    return ports_.sends->start(runner_->next_offsets().sends);
}

// Where the replay has to begin: at the position of the store, or, if that is not trusted, at the start, into an empty
// one.
Result<Offset> Partition::trust_store(const LedgerLog::Range& range,
                                      const std::optional<GenesisRow>& genesis) {
    auto position = runner_->ledger().position();
    if (!position) {
        return tl::unexpected<Error>(position.error());
    }
    const bool same_ledger = *position && genesis && (*position)->genesis == genesis->uuid;
    if (same_ledger && (*position)->ledger_next > range.end) {
        return ledger_truncated(id_, (*position)->ledger_next, range.end);
    }
    if (same_ledger && !around_.broker_clock.known()) {
        if (auto told = ask_broker_time(*log_, id_, around_.clock, around_.broker_clock); !told) {
            return tl::unexpected<Error>(told.error());
        }
    }
    const bool fresh_enough = *position && now().broker - (*position)->applied_at <
                                               std::chrono::duration_cast<Millis>(kStoreAgeMax);
    if (fresh_enough && same_ledger && (*position)->ledger_next >= range.start) {
        return (*position)->ledger_next;
    }
    if (auto wiped = store_->wipe(); !wiped) {
        return tl::unexpected<Error>(wiped.error());
    }
    return range.start;
}

// The first committed record; nothing if there is none.
Result<std::optional<GenesisRow>> Partition::read_genesis(const LedgerLog::Range& range) {
    std::optional<GenesisRow> genesis;
    bool any = false;
    auto read = log_->replay(range.start, range.end, [&](const LedgerLog::Record& record) {
        any = true;
        const auto key = ledger::parse_key(record.key);
        if (key && key->kind == ledger::Kind::Genesis && record.value) {
            if (auto row = ledger::decode_genesis(*record.value)) {
                genesis = *std::move(row);
            }
        }
        return false;  // one is enough
    });
    if (any && !genesis) {
        return fail(ErrorCode::Misconfigured,
                    "ledger partition " + std::to_string(id_) +
                        " does not begin with a genesis record this program can read: it is "
                        "not a postlane ledger, or a newer program wrote it");
    }
    if (!any && !read) {
        return tl::unexpected<Error>(read.error());
    }
    return genesis;
}

Result<void> Partition::check_genesis(const GenesisRow& genesis) const {
    if (genesis.partition_count != around_.partition_count) {
        return fail(ErrorCode::Misconfigured,
                    "partition_count_changed: the ledger was begun with " +
                        std::to_string(genesis.partition_count) + " partitions, the topics have " +
                        std::to_string(around_.partition_count) +
                        " now. Recipients would move to partitions that know nothing of them: go "
                        "back to the old "
                        "count, or begin with new topics.");
    }
    if (genesis.partitioner != word(around_.config.kafka.partitioner)) {
        return fail(ErrorCode::Misconfigured,
                    "partitioner_changed: the ledger was begun with kafka.partitioner = \"" +
                        genesis.partitioner + "\"; set it back");
    }
    return {};
}

// The ledger was empty as of `range`: it was never begun, or it was lost.
Result<void> Partition::check_first_start(const LedgerLog::Range& range) {
    auto committed = log_->group_offset_exists();
    if (!committed) {
        return tl::unexpected<Error>(committed.error());
    }
    if (*committed) {
        // Unless somebody who took over meanwhile has begun it, while we slept.
        auto again = log_->range();
        if (!again) {
            return tl::unexpected<Error>(again.error());
        }
        if (again->end > range.end) {
            return fail(ErrorCode::Unavailable, "the ledger was begun by somebody else meanwhile");
        }
        return fail(ErrorCode::Misconfigured,
                    "ledger_missing: the consumer group has committed offsets for partition " +
                        std::to_string(id_) +
                        ", but its ledger is empty: the ledger topic was deleted or truncated. "
                        "Going on would send "
                        "everything again. Restore the topic; or, if mail may be repeated or there "
                        "was none, delete "
                        "the group's offsets and start anew.");
    }
    return {};
}

Result<void> Partition::begin_ledger() {
    const auto& kafka = around_.config.kafka;
    const bool latest = kafka.initial_offset == config::InitialOffset::Latest;
    auto sends = ports_.sends->resolve(latest ? InputStream::kEnd : InputStream::kBeginning);
    auto suppressions = ports_.suppressions->resolve(InputStream::kBeginning);
    if (!sends || !suppressions) {
        return tl::unexpected<Error>((sends ? suppressions : sends).error());
    }
    GenesisRow genesis;
    genesis.uuid = around_.new_uuid();
    genesis.partition_count = around_.partition_count;
    genesis.partitioner = word(kafka.partitioner);
    runner_->ledger().put_genesis(genesis);
    runner_->ledger().put_offsets(OffsetsRow{*sends, *suppressions});
    return {};
}

Result<void> Partition::replay(Offset from, Offset end) {
    std::uint64_t replayed = 0;
    std::optional<Error> failed;
    auto& view = runner_->ledger();
    if (auto loaded = view.load_cursors(); !loaded) {
        return loaded;
    }
    around_.metrics.restore_progress(id_, end - from);
    auto read = log_->replay(from, end, [&](const LedgerLog::Record& record) {
        if (draining_ || discarded_) {
            failed = Error{ErrorCode::Unavailable, "asked to stop while it was restored"};
            return false;
        }
        if (auto taken = view.replay(record); !taken) {
            failed = taken.error();
            return false;
        }
        replayed += 1;
        crash_point(CrashPoint::Restore);
        if (replayed % kProgressEvery == 0) {
            around_.metrics.restore_progress(id_, end - record.offset);
            around_.log(Severity::Info, "partition.restoring",
                        "partition " + std::to_string(id_) + ": " +
                            std::to_string(end - record.offset) + " ledger records to go");
            const std::lock_guard lock(mutex_);
            status_.restore_remaining = end - record.offset;
            status_.last_turn = around_.clock.boot_now();
        }
        return true;
    });
    if (failed) {
        return tl::unexpected<Error>(*failed);
    }
    if (!read) {
        return read;
    }
    {
        const std::lock_guard lock(mutex_);
        status_.restore_remaining = 0;
    }
    around_.metrics.restore_progress(id_, 0);
    around_.log(Severity::Info, "partition.restored",
                "partition " + std::to_string(id_) + ": " + std::to_string(replayed) +
                    " ledger records replayed");
    // Too old, if the process dies before a commit tells the broker's time: better than young by a clock that is wrong.
    return view.replayed(end, around_.broker_clock.known() ? now().broker : Instant{});
}

}  // namespace postlane
