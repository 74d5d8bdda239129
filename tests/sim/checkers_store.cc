// rebuild(ledger) == what a machine has on its disk at its stored offset.
#include <algorithm>

#include "codec/ledger_codec.h"
#include "sim/checkers.h"

namespace postlane::sim {
namespace {

using Rows = std::map<std::string, std::string>;

std::string printable(std::string bytes) {
    std::replace_if(
        bytes.begin(), bytes.end(), [](char byte) { return byte < ' ' || byte > '~'; }, '.');
    return bytes;
}

// The committed records from `from` on, upon what is there already.
void replay(const Broker& broker, PartitionId partition, Offset from, Rows& rows) {
    for (const LogRecord& record : broker.log(Topic::Ledger, partition)) {
        if (record.offset < from || !broker.is_data(record)) {
            continue;
        }
        if (record.value) {
            rows[*record.key] = *record.value;
        } else {
            rows.erase(*record.key);
        }
    }
}

}  // namespace

// The owner's store has everything. Any other has what there was up to its offset, so the rest of the ledger makes it
// whole; unless it is damaged, another ledger's, or so old that it would be thrown away.
void Checkers::check_store(PartitionId partition, const Machine& machine, bool of_owner) {
    const auto disk = machine.disks.find(partition);
    if (disk == machine.disks.end() || disk->second.torn) {
        return;
    }
    const Broker& broker = world_.env().broker;
    const Rows& rows = disk->second.rows;
    const auto stored_position = rows.find(ledger::position_key());
    if (stored_position == rows.end()) {
        return;
    }
    const auto position = ledger::decode_position(stored_position->second);
    const bool too_old = broker.time() - position->applied_at > Partition::kStoreAgeMax;
    if (too_old && !of_owner) {
        return;
    }
    Rows stored(rows.lower_bound(ledger::ledger_keys_begin()),
                rows.lower_bound(ledger::ledger_keys_end()));
    if (!of_owner) {
        replay(broker, partition, position->ledger_next, stored);
    }
    Rows rebuilt;
    replay(broker, partition, 0, rebuilt);
    if (stored == rebuilt) {
        return;
    }
    const auto [here, there] =
        std::mismatch(stored.begin(), stored.end(), rebuilt.begin(), rebuilt.end());
    violated(fmt::format(
        "the store of partition {} on machine {} ({} rows) is not what its ledger says ({}), from "
        "{} / {}",
        partition, machine.number, stored.size(), rebuilt.size(),
        here == stored.end() ? "its end" : printable(here->first),
        there == rebuilt.end() ? "its end" : printable(there->first)));
}

// A crash leaves no more in doubt than there were credits. By partition: what a process has lost is in doubt without
// holding its credits.
void Checkers::check_credits() {
    const std::size_t most = world_.config().dispatch.max_in_flight;
    const Broker& broker = world_.env().broker;
    for (PartitionId partition = 0; partition < world_.options().partitions; ++partition) {
        std::map<std::string, std::uint64_t> intents;  // whose process
        std::map<std::uint64_t, std::size_t> open;
        for (const LogRecord& record : broker.log(Topic::Ledger, partition)) {
            const auto key = broker.is_data(record) ? ledger::parse_key(*record.key)
                                                    : fail(ErrorCode::Malformed, "");
            if (!key || key->kind != ledger::Kind::Message) {
                continue;
            }
            if (const auto before = intents.extract(*record.key)) {
                open[before.mapped()] -= 1;
            }
            const auto row = record.value ? ledger::decode_message(*record.value)
                                          : Result<MessageRow>(MessageRow{});
            if (row->state != MessageState::Sending) {
                continue;
            }
            const std::uint64_t process = row->intent->attempt.process;
            intents[*record.key] = process;
            if (++open[process] > most) {
                violated(fmt::format("p{}@{}: {} intents of one process are open, {} are allowed",
                                     partition, record.offset, open[process], most));
                return;
            }
        }
    }
}

void Checkers::check_stores() {
    for (PartitionId partition = 0; partition < world_.options().partitions; ++partition) {
        const Instance* owner = world_.owner(partition);
        for (int number = 0; number < world_.options().instances; ++number) {
            check_store(partition, world_.machine(number),
                        owner != nullptr && owner == world_.instance(number));
        }
    }
}

// A later step was produced first, waited, and went after the earlier one.
void Checkers::note_filled_gaps() {
    const auto& sends = world_.traffic().sends();
    for (const Execution& later : world_.esp().executions()) {
        for (const Execution& earlier : world_.esp().executions()) {
            const auto late = spec_of_tag(later.tag);
            const auto early = spec_of_tag(earlier.tag);
            if (late && early && sends[*late].sequence && sends[*early].sequence &&
                sends[*late].recipient == sends[*early].recipient &&
                sends[*late].sequence->id == sends[*early].sequence->id &&
                sends[*late].sequence->step == sends[*early].sequence->step + 1 &&
                sends[*late].first_produced + kSecond < sends[*early].first_produced &&
                earlier.executed < later.handed_over) {
                world_.env().sometimes("late_step_filled_gap");
            }
        }
    }
}

}  // namespace postlane::sim
