#include "sim/epilogue.h"

#include <algorithm>
#include <set>

#include "codec/ledger_codec.h"
#include "sim/checkers.h"

namespace postlane::sim {
namespace {

constexpr int kExitConfig = 78;
constexpr Time kQuietWithin = 400 * kSecond;
constexpr Time kHour = 3'600 * kSecond;
constexpr Time kDay = 24 * kHour;
// Of recipients and messages that no traffic has.
constexpr const char* kSequence = "epilogue";

std::string printable(std::string bytes) {
    std::replace_if(
        bytes.begin(), bytes.end(), [](char byte) { return byte < ' ' || byte > '~'; }, '.');
    return bytes;
}

std::size_t send(World& world, const std::string& recipient, const std::string& message_id,
                 const std::string& route = "plain",
                 std::optional<SequenceRef> sequence = std::nullopt,
                 std::optional<Time> send_at = std::nullopt) {
    SendSpec spec;
    spec.recipient = recipient;
    spec.address = recipient + "@example.com";
    spec.message_id = message_id;
    spec.category = "news";
    spec.route = route;
    spec.sequence = std::move(sequence);
    spec.send_at = send_at;
    const std::size_t number = world.traffic().add_send(std::move(spec));
    (void)world.traffic().produce_send(number);
    return number;
}

bool was_executed(World& world, std::size_t spec) {
    const auto& executions = world.esp().executions();
    return std::any_of(executions.begin(), executions.end(), [&](const Execution& execution) {
        return execution.tag == "T" + std::to_string(spec);
    });
}

void kill_all(World& world) {
    for (int number = 0; number < world.options().instances; ++number) {
        world.kill(number, kForever);
    }
    world.run_for(kMillisecond);
}

void start_all(World& world) {
    for (int number = 0; number < world.options().instances; ++number) {
        world.start(number);
    }
}

std::string good_end(World& world) {
    std::string trouble;
    if (!world.run_until_quiet(kQuietWithin)) {
        trouble = "not everything ended: " + world.still_busy() + "\n";
    }
    return trouble + report(world, true);
}

// Whether a request left since then, for a recipient of that partition or for any.
bool something_was_sent(World& world, Time since, std::optional<PartitionId> partition) {
    const auto& requests = world.esp().requests();
    const Traffic& traffic = world.traffic();
    return std::any_of(requests.begin(), requests.end(), [&](const Esp::Request& request) {
        return request.handed_over >= since &&
               (!partition || traffic.home_of(traffic.recipient_of(request.tag)) == *partition);
    });
}

// Whoever starts now must refuse for this reason, and send nothing, though all the input comes again.
std::string expect_refusal(World& world, std::string_view why,
                           std::optional<PartitionId> partition = std::nullopt) {
    const Time since = world.env().now();
    const std::size_t exits = world.exits().size();
    world.traffic().produce_again(0, since);
    world.run_for(20 * kSecond);
    std::string trouble = something_was_sent(world, since, partition) ? "something was sent\n" : "";
    const auto refused = [&](const World::Exit& exit) {
        return exit.code == kExitConfig && exit.why.find(why) != std::string::npos;
    };
    if (std::none_of(world.exits().begin() + static_cast<std::ptrdiff_t>(exits),
                     world.exits().end(), refused)) {
        trouble += "nobody refused\n";
    }
    return trouble;
}

// Only a store that had seen the tail can tell, if the ledger's beginning is still there.
std::optional<std::string> ledger_loses_its_tail(World& world) {
    const auto partition = static_cast<PartitionId>(
        world.env().random.below(static_cast<std::size_t>(world.options().partitions)));
    const int witness = world.owner(partition)->machine().number;
    const auto& rows = world.machine(witness).disks[partition].rows;
    const auto position = rows.find(ledger::position_key());
    const Offset seen =
        position == rows.end() ? 0 : ledger::decode_position(position->second)->ledger_next;
    std::vector<Offset> data;
    for (const LogRecord& record : world.env().broker.log(Topic::Ledger, partition)) {
        if (world.env().broker.is_data(record) && record.offset < seen) {
            data.push_back(record.offset);
        }
    }
    if (data.size() < 2) {
        return std::nullopt;  // it has nothing but its beginning
    }
    const Offset from = data.at(1 + world.env().random.below(data.size() - 1));
    for (int number = 0; number < world.options().instances; ++number) {
        number == witness ? world.kill(number, kForever) : world.abandon(number);
    }
    world.run_for(kMillisecond);
    world.env().broker.lose_tail(Topic::Ledger, partition, from);
    world.start(witness);
    return expect_refusal(world, "ledger_truncated", partition);
}

// The group's offsets tell it from a first start: there must be some.
std::string ledger_made_anew(World& world) {
    const std::size_t mail = send(world, "x1", "before");
    (void)world.run_until(20 * kSecond, [&] { return was_executed(world, mail); });
    world.run_for(kSecond);
    kill_all(world);
    world.env().broker.recreate_ledger();
    start_all(world);
    return expect_refusal(world, "ledger_missing");
}

std::string partitions_added(World& world) {
    kill_all(world);
    world.env().broker.add_partition();
    start_all(world);
    return expect_refusal(world, "partition_count_changed");
}

// Away for longer than the ledger keeps tombstones: what was deleted meanwhile is still in the stores.
std::string store_is_stale(World& world) {
    std::set<std::pair<int, PartitionId>> stale;
    for (int number = 0; number < world.options().instances; ++number) {
        for (const auto& [partition, disk] : world.machine(number).disks) {
            if (disk.rows.contains(ledger::position_key())) {
                stale.emplace(number, partition);
            }
        }
    }
    kill_all(world);
    const std::uint64_t wiped = world.env().probes["store_wiped"];
    world.env().scheduler.skip(8 * kDay);
    for (PartitionId partition = 0; partition < world.options().partitions; ++partition) {
        world.env().broker.compact(partition, world.env().broker.time() - std::chrono::days{7});
    }
    start_all(world);
    std::string trouble = good_end(world);
    std::uint64_t in_use = 0;
    for (PartitionId partition = 0; partition < world.options().partitions; ++partition) {
        Instance* owner = world.owner(partition);
        if (owner != nullptr && stale.contains({owner->machine().number, partition})) {
            in_use += 1;
        }
    }
    if (world.env().probes["store_wiped"] - wiped < in_use) {
        trouble += "a store was not rebuilt\n";
    }
    return trouble;
}

using Rows = std::map<std::string, std::string>;

// Derived rows may outlast what they were derived from, and are then taken no notice of: a step that its sequence has
// passed, a wake that its row does not confirm.
bool counts(const Rows& rows, const std::string& key) {
    if (const auto step = ledger::parse_step_key(key)) {
        const auto row = rows.find(ledger::sequence_key(step->recipient, step->sequence_id));
        return row == rows.end() || ledger::decode_sequence(row->second)->expected <= step->step;
    }
    const auto wake = ledger::parse_wake(key);
    if (!wake) {
        return key != ledger::position_key();
    }
    if (wake->target == ledger::Wake::Target::SequenceHalt) {
        const auto row = rows.find(ledger::sequence_key(wake->recipient, wake->id));
        const auto halt =
            row == rows.end() ? std::nullopt : ledger::decode_sequence(row->second)->halt;
        return halt && halt->until == wake->at;
    }
    const auto row = rows.find(ledger::message_key(wake->recipient, MessageId(wake->id)));
    const auto message = row == rows.end() ? MessageRow{} : *ledger::decode_message(row->second);
    return !has_ended(message.state) && message.wake_at == wake->at;
}

// What the owner of each partition has on its disk.
std::map<PartitionId, Rows> stored_rows(World& world) {
    std::map<PartitionId, Rows> stored;
    for (PartitionId partition = 0; partition < world.options().partitions; ++partition) {
        if (Instance* owner = world.owner(partition)) {
            const Rows& rows = owner->machine().disks[partition].rows;
            for (const auto& [key, value] : rows) {
                if (counts(rows, key)) {
                    stored[partition].emplace(key, value);
                }
            }
        }
    }
    return stored;
}

// The first row that only one has, or that is not the same; empty: there is none.
std::string difference(const Rows& before, const Rows& after) {
    const auto [one, other] =
        std::mismatch(before.begin(), before.end(), after.begin(), after.end());
    if (one == before.end() && other == after.end()) {
        return "";
    }
    const auto row = [](Rows::const_iterator at, const Rows& rows) {
        return at == rows.end() ? std::string("its end")
                                : printable(at->first + " = " + at->second);
    };
    return fmt::format("\"{}\" was, \"{}\" is there", row(one, before), row(other, after));
}

bool all_running(World& world) {
    for (PartitionId partition = 0; partition < world.options().partitions; ++partition) {
        Instance* owner = world.owner(partition);
        if (owner == nullptr || owner->partition(partition) == nullptr || !owner->all_running()) {
            return false;
        }
    }
    return world.group().stable();
}

// What is rebuilt from the ledger is what was there, with every row that is derived: what waits and what it waits for.
std::optional<std::string> stores_are_lost(World& world) {
    const Time later = world.env().now() + kHour;
    for (int number = 0; number < 8; ++number) {
        const std::string name = "x" + std::to_string(number);
        (void)send(world, name, name + "-1", "plain", SequenceRef{kSequence, 1}, later);
        (void)send(world, name, name + "-2", "plain", SequenceRef{kSequence, 2});
        (void)send(world, name, name + "-alone", "keyed", std::nullopt, later);
    }
    const auto written = [&] {
        Offset records = 0;
        for (PartitionId partition = 0; partition < world.options().partitions; ++partition) {
            records += world.env().broker.end_offset(Topic::Sends, partition) +
                       world.env().broker.end_offset(Topic::Suppressions, partition);
        }
        return records;
    };
    Offset known = -1;
    for (int round = 0; round < 8 && known != written(); ++round) {
        known = written();
        world.run_for(25 * kSecond);  // every halt is over, also of what came late
    }
    const auto before = stored_rows(world);
    std::map<PartitionId, std::pair<Offset, Offset>> ends;
    for (const auto& [partition, rows] : before) {
        ends[partition] = {world.env().broker.end_offset(Topic::Sends, partition),
                           world.env().broker.end_offset(Topic::Suppressions, partition)};
    }
    kill_all(world);
    for (int number = 0; number < world.options().instances; ++number) {
        world.wipe_disks(number);
    }
    start_all(world);
    if (!world.run_until(60 * kSecond, [&] { return all_running(world); })) {
        return "not everybody is running again\n";
    }
    world.run_for(2 * kSecond);
    const auto after = stored_rows(world);
    std::size_t compared = 0;
    for (const auto& [partition, rows] : before) {
        if (world.env().broker.end_offset(Topic::Sends, partition) != ends[partition].first ||
            world.env().broker.end_offset(Topic::Suppressions, partition) !=
                ends[partition].second) {
            continue;  // producers were not done yet
        }
        compared += 1;
        const auto rebuilt = after.find(partition);
        const std::string other =
            difference(rows, rebuilt == after.end() ? Rows() : rebuilt->second);
        if (!other.empty()) {
            return fmt::format("partition {} was not rebuilt as it was: {}\n", partition, other);
        }
    }
    const std::string trouble = report(world, false);
    return compared > 0 || !trouble.empty() ? std::optional(trouble) : std::nullopt;
}

// What the ledger has forgotten comes again as it was, from a mirror or a backup. Only its age tells.
std::string old_input_comes_again(World& world) {
    kill_all(world);
    world.env().scheduler.skip(2 * kDay);
    start_all(world);
    world.traffic().produce_again(0, world.env().now(), true);
    return good_end(world);
}

// A step that is throttled holds back its own sequence, and no other mail of its recipient.
std::string lane_backs_off(World& world) {
    // A circuit may still be open from before.
    const std::size_t by_one = send(world, "x1", "first", "plain");
    const std::size_t by_other = send(world, "x1", "second", "keyed");
    (void)world.run_until(
        60 * kSecond, [&] { return was_executed(world, by_one) && was_executed(world, by_other); });
    const std::string slow = "T" + std::to_string(world.traffic().sends().size());
    world.esp().treat = [slow](std::size_t, const std::string& tag) {
        return tag == slow ? Esp::Treatment::Throttle : Esp::Treatment::Accept;
    };
    (void)send(world, "x1", "step", "plain", SequenceRef{kSequence, 1});
    world.run_for(kSecond);
    // By another provider: one that throttles is given time by everybody.
    const std::size_t other = send(world, "x1", "other", "keyed");
    world.run_for(2 * kSecond);
    std::string trouble = was_executed(world, other) ? "" : "another lane had to wait\n";
    world.esp().treat = nullptr;
    return trouble + good_end(world);
}

// The next proof of freshness always lies beyond what is applied so far.
std::string steady_suppressions(World& world) {
    std::vector<std::size_t> mails;
    for (int number = 0; number < 400; ++number) {
        SuppressionSpec spec;
        spec.whom = "y" + std::to_string(number % 50);
        spec.reason = SuppressionReason::Complaint;
        spec.occurred_at = world.env().broker.time();
        (void)world.traffic().produce_suppression(world.traffic().add_suppression(std::move(spec)));
        if (number % 50 == 0) {
            const std::string name = "x" + std::to_string(number);
            mails.push_back(send(world, name, name));
        }
        world.run_for(6 * kMillisecond);
    }
    const auto sent = std::count_if(mails.begin(), mails.end(),
                                    [&](std::size_t mail) { return was_executed(world, mail); });
    std::string trouble = sent > 0 ? "" : "steady suppressions starve sending\n";
    return trouble + good_end(world);
}

// For a minute an account may not send: some requests find that out, a few ask whether it still is so, and the rest
// waits.
std::string account_is_refused(World& world) {
    // By one process: five that open the circuit, its probes, and some to spare.
    constexpr std::size_t kAskedAtMost = 40;
    const std::size_t before = world.esp().requests().size();
    world.env().faults.esp_account = 1;
    for (int number = 0; number < 60; ++number) {
        (void)send(world, "x" + std::to_string(number), "refused");
        world.run_for(kSecond);
    }
    const std::size_t asked = world.esp().requests().size() - before;
    world.env().faults.esp_account = 0;
    std::string trouble = good_end(world);
    if (asked > kAskedAtMost * static_cast<std::size_t>(world.options().instances)) {
        trouble += fmt::format("a provider that refuses was asked {} times\n", asked);
    }
    return trouble;
}

}  // namespace

std::string_view to_string(Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::None:
            break;
        case Epilogue::LedgerLosesItsTail:
            return "the ledger loses its tail";
        case Epilogue::LedgerMadeAnew:
            return "the ledger is made anew";
        case Epilogue::PartitionsAdded:
            return "partitions are added";
        case Epilogue::StoreIsStale:
            return "every store is stale";
        case Epilogue::StoresAreLost:
            return "every store is lost";
        case Epilogue::OldInputComesAgain:
            return "old input comes again";
        case Epilogue::LaneBacksOff:
            return "a lane backs off";
        case Epilogue::SteadySuppressions:
            return "suppressions keep coming";
        case Epilogue::AccountIsRefused:
            return "an account is refused";
    }
    return "none";
}

namespace {

// Nothing: this world gave nothing to judge.
std::optional<std::string> judged(World& world, Epilogue epilogue) {
    switch (epilogue) {
        case Epilogue::None:
            break;
        case Epilogue::LedgerLosesItsTail:
            return ledger_loses_its_tail(world);
        case Epilogue::LedgerMadeAnew:
            return ledger_made_anew(world);
        case Epilogue::PartitionsAdded:
            return partitions_added(world);
        case Epilogue::StoreIsStale:
            return store_is_stale(world);
        case Epilogue::StoresAreLost:
            return stores_are_lost(world);
        case Epilogue::OldInputComesAgain:
            return old_input_comes_again(world);
        case Epilogue::LaneBacksOff:
            return lane_backs_off(world);
        case Epilogue::SteadySuppressions:
            return steady_suppressions(world);
        case Epilogue::AccountIsRefused:
            return account_is_refused(world);
    }
    return std::nullopt;
}

}  // namespace

std::string run_epilogue(World& world, Epilogue epilogue) {
    world.env().trace("chaos", "", "epilogue: {}", to_string(epilogue));
    const auto trouble = judged(world, epilogue);
    if (trouble) {
        world.env().sometimes(to_string(epilogue).data());
    }
    return trouble.value_or("");
}

}  // namespace postlane::sim
