#include "sim/checkers.h"

#include <simdjson.h>

#include <algorithm>

namespace postlane::sim {
namespace {

// Which table row a record came from, by its header.
std::optional<std::size_t> spec_of(const std::vector<Header>& headers) {
    for (const Header& header : headers) {
        if (header.name == kSpecHeader && header.value) {
            return std::stoul(*header.value);
        }
    }
    return std::nullopt;
}

// A quiet partition learns the broker's time from its next commit.
constexpr Time kLongestQuiet = 400 * kSecond;

// Broker time is known to the millisecond, and an instance's idea of it lags by the fastest commit it has seen. What it
// timed while it knew only slow ones seems over that much too soon.
Time clock_tolerance(const World& world) {
    const auto drifted =
        static_cast<Time>(world.options().faults.clock_drifts * static_cast<double>(kLongestQuiet));
    return 3 * kMillisecond + 40 * world.options().faults.latency_us + drifted;
}

std::string header(const LogRecord& record, std::string_view name) {
    for (const Header& candidate : record.headers) {
        if (candidate.name == name) {
            return candidate.value.value_or("");
        }
    }
    return "";
}

}  // namespace

Checkers::Checkers(World& world) : world_(world) {}

std::string Checkers::logical_id(std::size_t spec) const {
    const SendSpec& send = world_.traffic().sends().at(spec);
    return send.recipient + " " + send.message_id;
}

std::optional<std::size_t> Checkers::spec_of_tag(const std::string& tag) const {
    if (tag.size() < 2 || tag.front() != 'T') {
        return std::nullopt;
    }
    return std::stoul(tag.substr(1));
}

void Checkers::read_outcomes() {
    simdjson::dom::parser parser;
    const Broker& broker = world_.env().broker;
    for (PartitionId partition = 0; partition < world_.options().partitions; ++partition) {
        for (const LogRecord& record : broker.log(Topic::Outcomes, partition)) {
            const auto visible = broker.visible_since(record);
            if (!visible) {
                continue;
            }
            const simdjson::dom::element json = parser.parse(*record.value);
            const Offset input = json["input"]["offset"].get_int64();
            const std::string_view type = json["type"].get_string();
            if (type != "outcome") {
                receipts_.push_back({partition, input});
                continue;
            }
            Seen seen;
            seen.partition = partition;
            seen.input = input;
            seen.outcome = *outcome_from(json["outcome"].get_string());
            std::string_view reason;
            if (json["reason"].get(reason) == simdjson::SUCCESS) {
                seen.reason = *reason_from(reason);
            }
            seen.visible = *visible;
            const auto& inputs = broker.log(Topic::Sends, partition);
            const std::size_t at = broker.position_of(Topic::Sends, partition, input);
            if (at >= inputs.size() || inputs[at].offset != input || !broker.is_data(inputs[at])) {
                violated(fmt::format("G4: an outcome names input p{}@{}, which does not exist",
                                     partition, input));
                continue;
            }
            seen.spec = *spec_of(inputs[at].headers);
            outcomes_.push_back(seen);
        }
    }
    for (const Seen& seen : outcomes_) {
        by_logical_[logical_id(seen.spec)].push_back(&seen);
    }
}

void Checkers::check_one_outcome_per_input(bool ended) {
    std::map<std::pair<PartitionId, Offset>, int> count;
    std::map<std::pair<PartitionId, Offset>, Time> answered;
    for (const Seen& seen : outcomes_) {
        count[{seen.partition, seen.input}] += 1;
        answered[{seen.partition, seen.input}] = seen.visible;
    }
    const Broker& broker = world_.env().broker;
    for (PartitionId partition = 0; partition < world_.options().partitions; ++partition) {
        for (const LogRecord& record : broker.log(Topic::Sends, partition)) {
            if (!broker.is_data(record)) {
                continue;
            }
            const auto found = count.find({partition, record.offset});
            const int times = found == count.end() ? 0 : found->second;
            if (const auto spec = spec_of(record.headers)) {
                const auto answer = answered.find({partition, record.offset});
                inputs_[logical_id(*spec)].push_back(
                    {record.appended_at, record.timestamp,
                     answer == answered.end() ? std::nullopt : std::optional(answer->second)});
            }
            if (times > 1 || (ended && times == 0)) {
                violated(fmt::format("G4: input p{}@{} (T{}) has {} outcomes", partition,
                                     record.offset, spec_of(record.headers).value_or(0), times));
            }
        }
    }
}

// A duplicate is one of something: not every input of a message can be one.
void Checkers::check_duplicates() {
    std::map<std::string, std::size_t> inputs;
    const Broker& broker = world_.env().broker;
    for (PartitionId partition = 0; partition < world_.options().partitions; ++partition) {
        for (const LogRecord& record : broker.log(Topic::Sends, partition)) {
            if (const auto spec = spec_of(record.headers); spec && broker.is_data(record)) {
                inputs[logical_id(*spec)] += 1;
            }
        }
    }
    for (const auto& [id, seen] : by_logical_) {
        const auto duplicates =
            static_cast<std::size_t>(std::count_if(seen.begin(), seen.end(), [](const Seen* one) {
                return one->outcome == Outcome::Duplicate;
            }));
        if (duplicates >= inputs[id] && duplicates > 0) {
            violated(fmt::format("G4: all {} inputs of {} are called duplicates", duplicates, id));
        }
    }
}

// Whoever was suppressed under the wrong key is suppressed where that key lives.
void Checkers::check_forwards() {
    const Broker& broker = world_.env().broker;
    std::set<std::string> at_home;
    std::set<std::string> astray;
    for (PartitionId partition = 0; partition < world_.options().partitions; ++partition) {
        for (const LogRecord& record : broker.log(Topic::Suppressions, partition)) {
            if (broker.is_data(record)) {
                const bool home = world_.traffic().home_of(*record.key) == partition;
                (home ? at_home : astray).insert(header(record, kSpecHeader));
            }
        }
    }
    for (const std::string& spec : astray) {
        if (!at_home.contains(spec)) {
            violated("G2: suppression " + spec + " had the wrong key and was not forwarded");
        }
    }
}

void Checkers::check_receipts(bool ended) {
    std::map<std::pair<PartitionId, Offset>, int> count;
    for (const Receipt& receipt : receipts_) {
        count[{receipt.partition, receipt.input}] += 1;
    }
    const Broker& broker = world_.env().broker;
    for (PartitionId partition = 0; partition < world_.options().partitions; ++partition) {
        for (const LogRecord& record : broker.log(Topic::Suppressions, partition)) {
            const int times = count[{partition, record.offset}];
            const bool real = broker.is_data(record);
            if (times > 1 || (times == 1 && !real) || (ended && real && times == 0)) {
                violated(fmt::format("G4: suppression p{}@{} has {} receipts", partition,
                                     record.offset, times));
            }
        }
    }
}

void Checkers::check_dead_letters() {
    std::map<std::pair<PartitionId, Offset>, int> balance;
    for (const Seen& seen : outcomes_) {
        balance[{seen.partition, seen.input}] += seen.outcome == Outcome::DeadLettered ? 1 : 0;
    }
    const Broker& broker = world_.env().broker;
    for (PartitionId partition = 0; partition < world_.options().partitions; ++partition) {
        for (const LogRecord& record : broker.log(Topic::DeadLetters, partition)) {
            if (broker.is_data(record) && header(record, "__connect.errors.topic") == "sends") {
                balance[{partition, std::stol(header(record, "__connect.errors.offset"))}] -= 1;
            }
        }
    }
    for (const auto& [input, difference] : balance) {
        if (difference != 0) {
            violated(fmt::format(
                "G4: input p{}@{}: dead letters and dead_lettered outcomes differ by {}",
                input.first, input.second, difference));
        }
    }
}

void Checkers::check_executed_once() {
    std::map<std::string, const Execution*> by_key;
    for (const Execution& execution : world_.esp().executions()) {
        const auto spec = spec_of_tag(execution.tag);
        if (!spec || world_.traffic().sends().at(*spec).poison) {
            violated(fmt::format("a record that is no message was executed: {}", execution.tag));
            continue;
        }
        executed_[logical_id(*spec)].push_back(&execution);
        // The route's policy may be to send again.
        const auto& send = world_.traffic().sends().at(*spec);
        const Execution*& last =
            send.route == kResendRoute
                ? by_key["resend " + execution.tag]
                : by_key[fmt::format("{} {}", execution.provider, execution.key)];
        if (last != nullptr && send.route != kResendRoute && !may_execute_again(*last, execution)) {
            violated(fmt::format("G3: key {} executed twice ({})", execution.key, execution.tag));
        }
        last = &execution;
    }
    for (const auto& [id, executions] : executed_) {
        const auto spec = spec_of_tag(executions.front()->tag);
        for (std::size_t at = 1; at < executions.size(); ++at) {
            if (world_.traffic().sends().at(*spec).route != kResendRoute &&
                !may_execute_again(*executions[at - 1], *executions[at])) {
                violated(fmt::format("G3: {} ({}) executed {} times, by {} and {}", id,
                                     executions.front()->tag, executions.size(),
                                     executions[at - 1]->instance, executions[at]->instance));
            }
        }
    }
}

// The ledger remembers for so long, and no longer; but what is older than it remembers is refused. So a second
// execution needs a record that was answered after the first one was forgotten, and was young enough then.
bool Checkers::may_execute_again(const Execution& first, const Execution& second) const {
    const Time kept =
        std::chrono::duration_cast<std::chrono::microseconds>(world_.config().ledger.retention_days)
            .count();
    const Time forgotten = first.executed + kept;
    if (second.executed < forgotten) {
        return false;
    }
    const auto found = inputs_.find(logical_id(*spec_of_tag(first.tag)));
    if (found == inputs_.end()) {
        return false;
    }
    const Time tolerance = clock_tolerance(world_);
    return std::any_of(found->second.begin(), found->second.end(), [&](const Input& input) {
        const Time admitted = std::max(input.appended, forgotten);
        const bool old = input.timestamp + Millis{kept / kMillisecond} <
                         world_.env().broker.time_at(admitted - tolerance);
        return !old && (!input.answered || *input.answered + tolerance >= forgotten);
    });
}

void Checkers::check_agreement(bool ended) {
    for (const Seen& seen : outcomes_) {
        const auto found = executed_.find(logical_id(seen.spec));
        const bool executed = found != executed_.end() &&
                              std::any_of(found->second.begin(), found->second.end(),
                                          [&](const Execution* execution) {
                                              return spec_of_tag(execution->tag) == seen.spec;
                                          });
        if (seen.outcome == Outcome::Sent && !executed) {
            violated(fmt::format("outcome sent for T{}, and nobody executed it", seen.spec));
        }
    }
    if (!ended) {
        return;
    }
    for (const auto& [id, executions] : executed_) {
        const auto& seen = by_logical_[id];
        const bool said = std::any_of(seen.begin(), seen.end(), [](const Seen* one) {
            return one->outcome == Outcome::Sent || one->outcome == Outcome::Ambiguous;
        });
        if (!said) {
            violated(fmt::format("{} ({}) was executed, and no outcome says so", id,
                                 executions.front()->tag));
        }
    }
}

// `steps`: one specification for each logical message of the sequence, by step.
void Checkers::check_order_of(const std::vector<std::size_t>& steps, bool strict) {
    const auto& sends = world_.traffic().sends();
    for (const std::size_t later : steps) {
        const auto found = executed_.find(logical_id(later));
        if (found == executed_.end()) {
            continue;
        }
        const Execution& went = *found->second.front();
        for (const std::size_t earlier : steps) {
            if (sends[earlier].sequence->step >= sends[later].sequence->step) {
                continue;
            }
            bool ended_before = false;
            bool ambiguous = false;
            for (const Seen* seen : by_logical_[logical_id(earlier)]) {
                if (seen->outcome == Outcome::Duplicate || seen->outcome == Outcome::DeadLettered) {
                    continue;
                }
                ended_before = ended_before || seen->visible <= went.handed_over;
                ambiguous = ambiguous || seen->outcome == Outcome::Ambiguous;
                // Too old, it may come when its sequence has long gone on without it.
                if (seen->visible > went.handed_over && seen->reason != Reason::OlderThanLedger) {
                    violated(
                        fmt::format("G1: {} handed over before T{} had ended", went.tag, earlier));
                }
            }
            if (strict && !ended_before) {
                violated(fmt::format("G1: {} handed over, and step {} before it has not ended",
                                     went.tag, sends[earlier].sequence->step));
            }
            const auto before = executed_.find(logical_id(earlier));
            if (before != executed_.end() && !ambiguous &&
                before->second.front()->executed > went.handed_over) {
                violated(
                    fmt::format("G1: {} handed over before T{} was accepted", went.tag, earlier));
            }
        }
    }
}

void Checkers::check_order() {
    const auto& ordering = world_.config().ordering;
    const bool strict =
        ordering.on_gap != config::OnGap::Skip && ordering.first_step == config::FirstStep::One;
    std::map<std::string, std::map<std::string, std::size_t>> sequences;
    const auto& sends = world_.traffic().sends();
    for (std::size_t spec = 0; spec < sends.size(); ++spec) {
        if (sends[spec].sequence) {
            sequences[sends[spec].recipient + " " + sends[spec].sequence->id].emplace(
                logical_id(spec), spec);
        }
    }
    for (const auto& [name, logical] : sequences) {
        std::vector<std::size_t> steps;
        for (const auto& [id, spec] : logical) {
            steps.push_back(spec);
        }
        check_order_of(steps, strict);
    }
}

void Checkers::check_spacing_and_times() {
    const Time rounding = clock_tolerance(world_);
    const auto& sends = world_.traffic().sends();
    const Time spacing = world_.config().ordering.min_spacing.count() * kMillisecond;
    std::map<std::string, std::vector<const Execution*>> sequences;
    for (const Execution& execution : world_.esp().executions()) {
        const auto spec = spec_of_tag(execution.tag);
        if (!spec) {
            continue;
        }
        const SendSpec& send = sends.at(*spec);
        if (send.send_at && execution.handed_over + rounding < *send.send_at) {
            violated(fmt::format("{} handed over {} ms before its send_at", execution.tag,
                                 (*send.send_at - execution.handed_over) / kMillisecond));
        }
        if (send.sequence) {
            sequences[send.recipient + " " + send.sequence->id].push_back(&execution);
        }
    }
    for (const auto& [name, executions] : sequences) {
        for (std::size_t at = 1; at < executions.size(); ++at) {
            const Time passed = executions[at]->handed_over - executions[at - 1]->executed;
            if (executions[at]->tag == executions[at - 1]->tag) {
                continue;  // the same message again, which its route allows
            }
            // Acceptance is known after the execution, and a step in between ends later still.
            const Time asked =
                std::max(spacing, sends.at(*spec_of_tag(executions[at]->tag)).delay_after_previous);
            if (passed >= 0 && passed + rounding < asked && !executions[at - 1]->maybe_late) {
                violated(fmt::format("G1: {} handed over {} ms after {}, {} ms were asked for",
                                     executions[at]->tag, passed / kMillisecond,
                                     executions[at - 1]->tag, asked / kMillisecond));
            }
        }
    }
}

// Nothing is given up before its time, whatever the instances' own clocks say.
void Checkers::check_not_too_early() {
    const Time rounding = clock_tolerance(world_);
    const auto& sends = world_.traffic().sends();
    const Time wait = world_.config().ordering.max_wait.count() * kMillisecond;
    const Time ttl = world_.config().dispatch.default_ttl.count() * kMillisecond;
    for (const Seen& seen : outcomes_) {
        const SendSpec& send = sends.at(seen.spec);
        if (seen.reason == Reason::GapTimeout &&
            seen.visible + rounding < send.first_produced + wait) {
            violated(fmt::format("T{} timed out {} ms early", seen.spec,
                                 (send.first_produced + wait - seen.visible) / kMillisecond));
        }
        const Time due = std::max(send.first_produced, send.send_at.value_or(0));
        const Time expires = send.expires_at.value_or(due + ttl);
        if (seen.reason == Reason::TtlPassed && seen.visible + rounding < expires) {
            violated(fmt::format("T{} expired {} ms early", seen.spec,
                                 (expires - seen.visible) / kMillisecond));
        }
    }
}

void Checkers::check_one_in_flight() {
    std::map<std::string, std::vector<const Esp::Request*>> by_recipient;
    for (const Esp::Request& request : world_.esp().requests()) {
        if (const auto spec = spec_of_tag(request.tag)) {
            by_recipient[world_.traffic().sends().at(*spec).recipient].push_back(&request);
        }
    }
    for (auto& [recipient, requests] : by_recipient) {
        std::sort(requests.begin(), requests.end(), [](const auto* left, const auto* right) {
            return left->handed_over < right->handed_over;
        });
        for (std::size_t at = 1; at < requests.size(); ++at) {
            if (requests[at]->handed_over < requests[at - 1]->ended) {
                violated(fmt::format("G1: two requests of {} in flight: {} and {}", recipient,
                                     requests[at - 1]->tag, requests[at]->tag));
            }
        }
    }
}

// A provider that is sent other bytes under a key it knows cannot say what became of the first ones.
void Checkers::check_keys() {
    for (const std::string& tag : world_.esp().changed_under_key()) {
        violated("G3: the key of " + tag + " came again with other bytes");
    }
}

// Restarts, rolling updates, rebalances and clear answers leave nothing in doubt.
void Checkers::check_doubt() {
    for (const Seen& seen : outcomes_) {
        if (world_.options().without_doubt && seen.outcome == Outcome::Ambiguous) {
            violated(
                fmt::format("T{} is ambiguous ({}), and nothing happened that could leave it so",
                            seen.spec, to_string(seen.reason)));
        }
    }
}

std::vector<std::string> Checkers::violations(bool ended) {
    read_outcomes();
    check_one_outcome_per_input(ended);
    check_duplicates();
    check_receipts(ended);
    check_dead_letters();
    check_executed_once();
    check_agreement(ended);
    check_order();
    check_spacing_and_times();
    check_not_too_early();
    check_one_in_flight();
    check_keys();
    check_doubt();
    check_credits();
    check_suppressions();
    if (ended) {
        check_forwards();
        check_stores();
        note_filled_gaps();
    }
    return violations_;
}

std::vector<std::string> Checkers::outcomes_of(std::size_t spec) {
    if (outcomes_.empty()) {
        read_outcomes();
    }
    std::vector<std::string> found;
    for (const Seen& seen : outcomes_) {
        if (seen.spec == spec) {
            found.push_back(std::string(to_string(seen.outcome)) + "/" +
                            std::string(to_string(seen.reason)));
        }
    }
    return found;
}

std::vector<std::string> outcomes_of_spec(World& world, std::size_t spec) {
    return Checkers(world).outcomes_of(spec);
}

std::string report(World& world, bool ended) {
    std::string text;
    for (const std::string& violation : Checkers(world).violations(ended)) {
        text += violation + "\n";
    }
    return text;
}

}  // namespace postlane::sim
