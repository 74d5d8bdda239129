#include "sim/log_port.h"

#include <algorithm>

#include "codec/ledger_codec.h"

namespace postlane::sim {
namespace {

constexpr Time kTransactionTimeout = 15 * kSecond;
constexpr Time kCommitTimeout = 20 * kSecond;
constexpr Time kReplayPatience = 60 * kSecond;
constexpr std::size_t kRecordBytesMax = 1'048'588;
// Also when a kill unwinds the stack.
class InFlight {
public:
    explicit InFlight(int& count) : count_(count) { count_ += 1; }
    ~InFlight() { count_ -= 1; }
    InFlight(const InFlight&) = delete;
    InFlight& operator=(const InFlight&) = delete;

private:
    int& count_;
};

// The text of a member of an outcome; empty if it has none.
std::string member(const std::string& json, const std::string& name) {
    const std::string before = "\"" + name + "\":\"";
    const auto at = json.find(before);
    if (at == std::string::npos) {
        return "";
    }
    const auto begin = at + before.size();
    return json.substr(begin, json.find('"', begin) - begin);
}

// A log that deletes keeps this much under the mutant LedgerDeletes.
constexpr Time kDeletedAfter = 5 * kSecond;

}  // namespace

SimLedgerLog::SimLedgerLog(Env& env, std::shared_ptr<Process> process, Machine& machine,
                           PartitionId partition)
    : env_(env), process_(std::move(process)), machine_(machine), partition_(partition),
      transactional_id_(
          "postlane.ledger." + std::to_string(partition) +
          (env.mutant == Mutant::FencedByGroup ? process_->name().substr(0, 1) : "")) {}

SimLedgerLog::~SimLedgerLog() = default;

Result<void> SimLedgerLog::question(const char* what) {
    env_.scheduler.sleep(env_.latency());
    env_.crash_point(process_, what);
    if (env_.dice(env_.faults.log_unavailable)) {
        return fail(ErrorCode::Unavailable, std::string("no answer: ") + what);
    }
    return {};
}

bool SimLedgerLog::fenced() const {
    return env_.mutant != Mutant::NoFence && !env_.broker.is_current(transactional_id_, epoch_);
}

tl::unexpected<Error> SimLedgerLog::finish(ErrorCode code, const char* why) {
    finished_ = true;
    env_.trace(process_->name(), "", "p{} commit: {}", partition_, why);
    return fail(code, why);
}

Result<void> SimLedgerLog::fence() {
    if (env_.mutant == Mutant::RestoreBeforeFence) {
        end_before_fence_ = env_.broker.end_offset(Topic::Ledger, partition_);
        env_.scheduler.sleep(2 * kSecond);
    }
    if (auto asked = question("fence"); !asked) {
        return asked;
    }
    if (env_.mutant == Mutant::NoFence) {
        epoch_ = 0;
        return {};
    }
    epoch_ = env_.broker.init_producer(transactional_id_);
    env_.trace(process_->name(), "", "p{} fenced, epoch {}", partition_, epoch_);
    if (const auto doubt = env_.unknown_commits.extract(transactional_id_); !doubt.empty()) {
        env_.sometimes(env_.broker.state_of(doubt.mapped()) == TransactionState::Committed
                           ? "commit_unknown_resolved_as_committed"
                           : "commit_unknown_resolved_as_aborted");
    }
    env_.scheduler.sleep(env_.latency());
    env_.crash_point(process_, "fenced");
    return {};
}

Result<LedgerLog::Range> SimLedgerLog::range() {
    if (auto asked = question("range"); !asked) {
        return tl::unexpected<Error>(asked.error());
    }
    Offset end = env_.broker.end_offset(Topic::Ledger, partition_);
    if (env_.mutant == Mutant::LedgerEndUnchecked) {
        const auto& rows = machine_.disks[partition_].rows;
        if (const auto row = rows.find(ledger::position_key()); row != rows.end()) {
            end = std::max(end, ledger::decode_position(row->second)->ledger_next);
        }
    }
    return Range{env_.broker.start_offset(Topic::Ledger, partition_),
                 end_before_fence_.value_or(end)};
}

Result<void> SimLedgerLog::replay(Offset from, Offset end,
                                  const std::function<bool(const Record&)>& each) {
    if (auto asked = question("replay"); !asked) {
        return asked;
    }
    // A reader of committed data waits at an open transaction, a successor's for one, until it is decided.
    if (env_.mutant != Mutant::ReadsUncommitted) {
        const Time until = env_.now() + kReplayPatience;
        while (env_.broker.last_stable_offset(Topic::Ledger, partition_) <
               std::min(end, env_.broker.end_offset(Topic::Ledger, partition_))) {
            if (env_.now() >= until) {
                return fail(ErrorCode::Unavailable, "an open transaction is never decided");
            }
            env_.scheduler.sleep(env_.latency());
        }
    }
    const auto& log = env_.broker.log(Topic::Ledger, partition_);
    for (std::size_t at = env_.broker.position_of(Topic::Ledger, partition_, from); at < log.size();
         ++at) {
        const LogRecord& record = log[at];
        if (record.offset >= end) {
            break;
        }
        const bool shown = env_.mutant == Mutant::ReadsUncommitted
                               ? record.kind == LogRecord::Kind::Data
                               : env_.broker.is_data(record);
        const bool deleted =
            env_.mutant == Mutant::LedgerDeletes && record.key != ledger::genesis_key() &&
            record.key != ledger::offsets_key() && record.appended_at + kDeletedAfter < env_.now();
        if (!shown || deleted) {
            continue;
        }
        Record seen;
        seen.offset = record.offset;
        seen.timestamp = record.timestamp;
        seen.key = *record.key;
        if (record.value) {
            seen.value = *record.value;
        }
        std::string genesis;
        if (env_.mutant == Mutant::PartitionCountUnchecked && record.key == ledger::genesis_key()) {
            auto row = ledger::decode_genesis(*record.value);
            row->partition_count = env_.broker.partitions(Topic::Sends);
            genesis = ledger::encode(*row);
            seen.value = genesis;
        }
        if (!each(seen)) {
            return fail(ErrorCode::Corrupt, "stopped by the reader");
        }
    }
    return {};
}

Result<bool> SimLedgerLog::group_offset_exists() {
    if (auto asked = question("group_offset_exists"); !asked) {
        return tl::unexpected<Error>(asked.error());
    }
    return env_.mutant != Mutant::GroupOffsetsIgnored &&
           env_.broker.group_offsets.contains(partition_);
}

CommitReceipt SimLedgerLog::produce(const Transaction& transaction, TransactionId id) {
    CommitReceipt receipt;
    receipt.ledger_next = ledger_next_;
    for (const OutRecord& out : transaction.records) {
        LogRecord record;
        record.transaction = id;
        record.key = out.key;
        record.value = out.value;
        record.headers = out.headers;
        record.timestamp = out.timestamp.value_or(Instant{});
        const Offset offset =
            env_.broker.append(topic_of(out.destination), out.partition, std::move(record));
        if (out.destination == Destination::Ledger) {
            receipt.ledger_offsets.push_back(offset);
            receipt.ledger_next = std::max(receipt.ledger_next, offset + 1);
            if (env_.mutant != Mutant::OwnClockTrusted) {
                receipt.broker_time = env_.broker.time();
            }
        }
    }
    return receipt;
}

Result<CommitReceipt> SimLedgerLog::commit(const Transaction& transaction) {
    if (finished_) {
        return fail(ErrorCode::Unavailable, "this producer is finished");
    }
    const InFlight in_flight(env_.commits_in_flight);
    env_.scheduler.sleep(env_.latency());
    env_.crash_point(process_, "before the transaction");
    if (fenced()) {
        env_.sometimes("commit_fenced");
        return finish(ErrorCode::Fenced, "fenced before the transaction");
    }
    for (const OutRecord& out : transaction.records) {
        if (out.value && out.value->size() > kRecordBytesMax) {
            return finish(ErrorCode::Rejected, "a record is too large");
        }
    }
    const TransactionId id = env_.broker.begin(transactional_id_, kTransactionTimeout);
    const CommitReceipt receipt = produce(transaction, id);
    if (env_.mutant == Mutant::StoreBeforeCommit) {
        write_store_early(transaction, receipt.ledger_next);
    }
    env_.crash_point(process_, "records produced, commit not asked for");
    if (env_.dice(env_.faults.commit_aborted)) {
        env_.broker.end(id, false);
        env_.sometimes("commit_aborted");
        return finish(ErrorCode::Unavailable, "aborted");
    }
    env_.scheduler.sleep(env_.latency());
    if (fenced() || env_.broker.state_of(id) != TransactionState::Open) {
        env_.sometimes("commit_fenced");
        return finish(ErrorCode::Fenced, "fenced during the transaction");
    }
    if (env_.dice(env_.faults.commit_unknown)) {
        auto unknown = end_unknown(id);
        if (env_.mutant == Mutant::UnknownTakenForDone) {
            finished_ = false;
            return receipt;
        }
        return unknown;
    }
    env_.broker.end(id, true);
    env_.crash_point(process_, "committed, answer on its way");
    env_.scheduler.sleep(env_.latency());
    env_.crash_point(process_, "commit known");
    ledger_next_ = receipt.ledger_next;
    env_.trace(process_->name(), "", "p{} committed {} records to {}", partition_,
               transaction.records.size(), receipt.ledger_next);
    describe(transaction);
    return receipt;
}

// What the transaction says, row by row, for readers of the trace.
void SimLedgerLog::describe(const Transaction& transaction) const {
    if (!env_.trace.is_read()) {
        return;
    }
    for (const OutRecord& out : transaction.records) {
        if (out.destination == Destination::Ledger && out.value) {
            const auto key = ledger::parse_key(*out.key);
            const auto state = key && key->kind == ledger::Kind::Message
                                   ? ledger::peek_message_state(*out.value)
                                   : Result<MessageState>(fail(ErrorCode::Corrupt, ""));
            if (state) {
                env_.trace.detail(
                    process_->name(), key->recipient.value(),
                    fmt::format("p{}   {} is {}", partition_, key->id, to_string(*state)));
            }
        } else if (out.destination == Destination::Outcomes && out.value) {
            const std::string reason = member(*out.value, "reason");
            env_.trace.detail(
                process_->name(), out.key.value_or(""),
                fmt::format("p{}   {} {} {}{}", partition_, member(*out.value, "type"),
                            member(*out.value, "message_id"),
                            member(*out.value, "outcome") + member(*out.value, "result"),
                            reason.empty() ? "" : "/" + reason));
        }
    }
}

// The answer never comes. The broker committed, or will, or never heard of it.
Result<CommitReceipt> SimLedgerLog::end_unknown(TransactionId id) {
    switch (env_.random.below(3)) {
        case 0:
            env_.broker.end(id, true);
            env_.sometimes("commit_unknown_but_committed");
            break;
        case 1: {
            env_.sometimes("commit_unknown_and_late");
            const Time when = env_.now() + env_.random.between(0, 2 * kSecond);
            env_.scheduler.at(
                when, [this_env = &env_, id, transactional_id = transactional_id_, epoch = epoch_] {
                    if (this_env->broker.is_current(transactional_id, epoch)) {
                        this_env->broker.end(id, true);
                    }
                });
            break;
        }
        default:
            env_.sometimes("commit_unknown_and_lost");
            break;
    }
    env_.unknown_commits.insert_or_assign(transactional_id_, id);
    const auto longest = static_cast<double>(kCommitTimeout);
    env_.scheduler.sleep(static_cast<Time>(env_.random.log_uniform(1'000, longest)));
    return finish(ErrorCode::OutcomeUnknown, "nobody knows whether it is committed");
}

// The mutant: what a naive implementation does, which writes its database first.
void SimLedgerLog::write_store_early(const Transaction& transaction, Offset next) {
    DiskStore& disk = machine_.disks[partition_];
    for (const OutRecord& out : transaction.records) {
        if (out.destination == Destination::Ledger && out.value) {
            disk.rows[*out.key] = *out.value;
        }
    }
    if (const auto position = disk.rows.find(ledger::position_key()); position != disk.rows.end()) {
        auto row = ledger::decode_position(position->second);
        row->ledger_next = next;
        position->second = ledger::encode(*row);
    }
}

}  // namespace postlane::sim
