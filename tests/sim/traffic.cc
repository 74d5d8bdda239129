#include "sim/traffic.h"

#include <algorithm>
#include <array>

#include "codec/decode.h"
#include "codec/encode.h"

namespace postlane::sim {
namespace {

constexpr std::array kCategories{"marketing", "receipts", "news"};

std::string subject_of(std::size_t spec) {
    return "T" + std::to_string(spec);
}

LogRecord record_of(const std::string& key, const std::string& value, std::size_t spec,
                    TransactionId transaction = 0) {
    LogRecord record;
    record.transaction = transaction;
    record.key = key;
    record.value = value;
    record.headers.push_back({kSpecHeader, std::to_string(spec)});
    return record;
}

std::string_view word(SuppressionEvent::Action action) {
    return action == SuppressionEvent::Action::Suppress ? "suppress" : "unsuppress";
}

}  // namespace

PartitionId Traffic::home_of(const std::string& recipient) const {
    return partition_for(recipient, env_.broker.partitions(Topic::Sends),
                         config_.kafka.partitioner);
}

std::string Traffic::recipient_of(const std::string& tag) const {
    const std::size_t spec = tag.size() < 2 ? sends_.size() : std::stoul(tag.substr(1));
    return spec < sends_.size() ? sends_[spec].recipient : "";
}

Time Traffic::some_time(const TrafficOptions& options) {
    return env_.now() + env_.random.between(0, options.duration);
}

SendSpec Traffic::new_spec(const TrafficOptions& options) {
    SendSpec spec;
    const std::size_t recipient = env_.random.below(options.recipients);
    spec.recipient = "r" + std::to_string(recipient);
    // Every third recipient shares one mailbox with others.
    spec.address = recipient % 3 == 0 ? "shared@example.com" : spec.recipient + "@example.com";
    spec.category = kCategories[env_.random.below(kCategories.size())];
    spec.route = options.routes[env_.random.below(options.routes.size())];
    return spec;
}

std::size_t Traffic::add_send(SendSpec spec, std::string extra_members) {
    const std::size_t number = sends_.size();
    std::string value = fmt::format(R"({{"to":{{"email":"{}"}},"category":"{}","route":"{}")",
                                    spec.address, spec.category, spec.route);
    if (spec.message_id.empty()) {
        // The contract's default for campaign and sequence; one campaign has many steps.
        const std::string campaign =
            "c" + (spec.sequence ? spec.sequence->id : std::to_string(number));
        spec.message_id = "campaign:" + campaign;
        value += fmt::format(R"(,"campaign_id":"{}")", campaign);
        if (spec.sequence) {
            spec.message_id +=
                fmt::format(":sequence:{}:{}", spec.sequence->id, spec.sequence->step);
        }
    } else {
        value += fmt::format(R"(,"message_id":"{}")", spec.message_id);
    }
    if (spec.sequence) {
        value += fmt::format(R"(,"sequence":{{"id":"{}","step":{}}})", spec.sequence->id,
                             spec.sequence->step);
    }
    if (spec.send_at) {
        value += fmt::format(R"(,"send_at":"{}")", format_time(env_.broker.time_at(*spec.send_at)));
    }
    if (spec.expires_at) {
        value += fmt::format(R"(,"expires_at":"{}")",
                             format_time(env_.broker.time_at(*spec.expires_at)));
    }
    value += extra_members;
    value += fmt::format(R"(,"content":{{"subject":"{}","text":"hello"}}}})", subject_of(number));
    if (spec.value.empty()) {
        spec.value = std::move(value);
    }
    sends_.push_back(std::move(spec));
    return number;
}

Offset Traffic::produce_send(std::size_t number, TransactionId transaction) {
    SendSpec& spec = sends_.at(number);
    if (spec.first_produced < 0) {
        spec.first_produced = env_.now();
    }
    const PartitionId partition = home_of(spec.recipient);
    const Offset offset = env_.broker.append(
        Topic::Sends, partition, record_of(spec.recipient, spec.value, number, transaction));
    env_.trace("producer", spec.recipient, "send {} to p{}@{}: {} {}{}{}", subject_of(number),
               partition, offset, spec.message_id, spec.route,
               spec.sequence ? " step " + spec.sequence->id + "/" : "",
               spec.sequence ? std::to_string(spec.sequence->step) : "");
    return offset;
}

void Traffic::produce(std::size_t number) {
    if (!env_.dice(env_.faults.transactional_input)) {
        (void)produce_send(number);
        return;
    }
    const auto begin = [&] {
        return env_.broker.begin("producer." + std::to_string(transactions_++), 60 * kSecond);
    };
    if (env_.random.chance(0.3)) {
        const TransactionId failed = begin();
        (void)produce_send(number, failed);
        env_.broker.end(failed, false);
        env_.sometimes("input_aborted");
    }
    const TransactionId id = begin();
    (void)produce_send(number, id);
    const Time hold = env_.random.chance(0.3) ? env_.random.between(0, kSecond) : 0;
    env_.scheduler.at(env_.now() + hold, [this, id] { env_.broker.end(id, true); });
}

void Traffic::schedule(std::size_t spec, const TrafficOptions& options, Time when) {
    send_times_.push_back(when);
    env_.scheduler.at(when, [this, spec] { produce(spec); });
    while (env_.random.chance(options.duplicates)) {
        env_.scheduler.at(some_time(options), [this, spec] { produce(spec); });
    }
    if (env_.random.chance(options.duplicates / 2)) {
        SendSpec other = sends_[spec];  // same identity, another body
        other.value.clear();
        other.delay_after_previous = 0;
        const std::size_t conflict = add_send(std::move(other));
        env_.scheduler.at(some_time(options), [this, conflict] { produce(conflict); });
    }
}

void Traffic::offer_message(const TrafficOptions& options, std::size_t number) {
    SendSpec spec = new_spec(options);
    spec.message_id = "m" + std::to_string(number);
    const Time when = some_time(options);
    if (env_.random.chance(options.scheduled)) {
        spec.send_at = when + env_.random.between(-kSecond, options.duration / 2);
    }
    if (env_.random.chance(0.1)) {
        spec.expires_at = when + env_.random.between(0, options.duration);
    }
    schedule(add_send(std::move(spec)), options, when);
}

void Traffic::offer_sequence(const TrafficOptions& options, std::size_t number, std::size_t steps) {
    const SendSpec base = new_spec(options);
    const std::string id = "s" + std::to_string(next_sequence_++);
    const Time around = some_time(options);
    const bool campaign = env_.random.chance(0.3);
    for (std::size_t step = 1; step <= steps; ++step) {
        SendSpec spec = base;
        spec.sequence = SequenceRef{id, step};
        if (!campaign) {
            spec.message_id = fmt::format("m{}-{}", number, step);
        }
        std::string extra;
        if (env_.random.chance(options.delays)) {
            const auto delay = env_.random.between(0, 3'000);
            extra = fmt::format(R"(,"delay_after_previous_ms":{})", delay);
            spec.delay_after_previous = static_cast<Time>(delay) * kMillisecond;
        }
        const std::size_t made = add_send(std::move(spec), extra);
        if (env_.random.chance(options.missing_steps)) {
            never_produced_.push_back(made);
        } else {
            // Mostly together and in any order; some come late.
            const Time spread = env_.random.chance(0.2) ? options.duration : kSecond;
            schedule(made, options, around + env_.random.between(0, spread));
        }
    }
}

void Traffic::offer_poison(const TrafficOptions& options, std::size_t number) {
    SendSpec spec = new_spec(options);
    spec.message_id = "p" + std::to_string(number);
    spec.poison = true;
    constexpr std::array kValues{
        "{\"to\":",
        "[]",
        "{\"to\":{\"email\":\"x\"}}",
        " ",
        "null",
        "{\"to\":{\"email\":\"a@example.com\"},\"route\":\"nowhere\",\"message_id\":\"q\","
        "\"content\":{\"subject\":\"s\",\"text\":\"t\"}}",
        "{\"to\":{\"email\":\"a@example.com\"},\"recipient_id\":\"other\",\"message_id\":"
        "\"q\",\"content\":{\"subject\":\"s\",\"text\":\"t\"}}"};
    constexpr std::size_t kOversized = kValues.size();
    constexpr std::size_t kKeyless = kOversized + 1;
    constexpr std::size_t kMisrouted = kKeyless + 1;
    const std::size_t kind = env_.random.below(kMisrouted + 1);
    if (kind < kValues.size()) {
        spec.value = kValues[kind];
    } else if (kind == kOversized) {
        spec.value = fmt::format(
            R"({{"to":{{"email":"{}"}},"message_id":"{}","route":"{}","content":{{"subject":"{}","text":"{}"}}}})",
            spec.address, spec.message_id, spec.route, subject_of(sends_.size()),
            std::string(config_.dispatch.max_payload_bytes, 'x'));
    }
    const std::size_t made = add_send(std::move(spec));
    env_.scheduler.at(some_time(options), [this, made, kind] {
        const SendSpec& poison = sends_[made];
        LogRecord record = record_of(poison.recipient, poison.value, made);
        PartitionId partition = home_of(poison.recipient);
        if (kind == kKeyless) {
            record.key.reset();
        } else if (kind == kMisrouted) {
            partition = (partition + 1) % env_.broker.partitions(Topic::Sends);  // misrouted
            record.value = env_.broker.partitions(Topic::Sends) == 1 ? "{" : poison.value;
        }
        (void)env_.broker.append(Topic::Sends, partition, std::move(record));
    });
}

void Traffic::offer_suppression(const TrafficOptions& options) {
    SuppressionSpec spec;
    spec.by_address = env_.random.chance(0.3);
    const std::string recipient = "r" + std::to_string(env_.random.below(options.recipients));
    spec.whom = !spec.by_address          ? recipient
                : env_.random.chance(0.5) ? std::string("shared@example.com")
                                          : recipient + "@example.com";
    constexpr std::array kReasons{SuppressionReason::Unsubscribe, SuppressionReason::Complaint,
                                  SuppressionReason::HardBounce, SuppressionReason::Manual,
                                  SuppressionReason::SoftBounce};
    spec.reason = kReasons[env_.random.below(kReasons.size())];
    if (env_.random.chance(0.3)) {
        spec.action = SuppressionEvent::Action::Unsuppress;
    }
    const bool scoped =
        spec.reason == SuppressionReason::Unsubscribe || spec.reason == SuppressionReason::Manual;
    if (scoped && env_.random.chance(0.4)) {
        const bool category = env_.random.chance(0.5) || next_sequence_ == 0;
        spec.scope.kind = category ? Scope::Kind::Category : Scope::Kind::Sequence;
        spec.scope.name = category ? kCategories[env_.random.below(kCategories.size())]
                                   : "s" + std::to_string(env_.random.below(next_sequence_));
    }
    // Close to some send, because that is where races are.
    Time when = some_time(options);
    if (!send_times_.empty() && env_.random.chance(0.7)) {
        when = send_times_[env_.random.below(send_times_.size())] +
               env_.random.between(-kSecond, kSecond);
    }
    when = std::max(when, env_.now());
    spec.occurred_at =
        env_.broker.time_at(std::max<Time>(0, when - env_.random.between(0, 5 * kSecond)));
    if (spec.reason == SuppressionReason::SoftBounce) {
        spec.expires_at = spec.occurred_at + Millis{env_.random.between(1'000, 30'000)};
    }
    const std::size_t made = add_suppression(std::move(spec));
    const bool hung = env_.dice(env_.faults.hung_transactions);
    const Time hold = env_.random.between(0, 5 * kSecond);
    const bool commit = env_.random.chance(0.5);
    env_.scheduler.at(when, [this, made, hung, hold, commit] {
        if (!hung || env_.faults.hung_transactions == 0) {  // healed meanwhile
            (void)produce_suppression(made);
            return;
        }
        // Somebody else's transaction, left open for a while.
        const TransactionId id = env_.broker.begin("foreign." + std::to_string(made), 60 * kSecond);
        (void)produce_suppression(made, id);
        env_.scheduler.at(env_.now() + hold, [this, id, commit] { env_.broker.end(id, commit); });
    });
}

void Traffic::offer(const TrafficOptions& options) {
    std::size_t left = options.messages;
    for (std::size_t number = 0; left > 0; ++number) {
        if (env_.random.chance(options.poison)) {
            offer_poison(options, number);
            left -= 1;
        } else if (env_.random.chance(0.5)) {
            offer_message(options, number);
            left -= 1;
        } else {
            const std::size_t steps = 1 + env_.random.below(5);
            offer_sequence(options, number, steps);
            left -= std::min(left, steps);
        }
    }
    for (std::size_t number = 0; number < options.suppressions; ++number) {
        offer_suppression(options);
    }
    if (env_.random.chance(options.replays)) {
        const Time from = some_time(options);
        const bool as_of_then = env_.random.chance(0.5);
        env_.scheduler.at(
            from + env_.random.between(0, options.duration),
            [this, from, as_of_then] { produce_again(from - 5 * kSecond, from, as_of_then); });
    }
}

void Traffic::produce_again(Time from, Time to, bool as_of_then) {
    for (PartitionId partition = 0; partition < env_.broker.partitions(Topic::Sends); ++partition) {
        std::vector<LogRecord> again;
        for (const LogRecord& record : env_.broker.log(Topic::Sends, partition)) {
            if (record.appended_at >= from && record.appended_at < to &&
                env_.broker.is_data(record)) {
                again.push_back(record);
            }
        }
        for (LogRecord& record : again) {
            record.transaction = 0;
            if (!as_of_then) {
                record.timestamp = {};
            }
            (void)env_.broker.append(Topic::Sends, partition, std::move(record));
        }
    }
}

void Traffic::produce_missing_steps() {
    for (const std::size_t spec : std::exchange(never_produced_, {})) {
        (void)produce_send(spec);
    }
}

std::size_t Traffic::add_suppression(SuppressionSpec spec) {
    suppressions_.push_back(std::move(spec));
    return suppressions_.size() - 1;
}

Offset Traffic::produce_suppression(std::size_t number, TransactionId transaction) {
    const SuppressionSpec& spec = suppressions_.at(number);
    std::string value =
        fmt::format(R"({{"action":"{}","reason":"{}","occurred_at":"{}")", word(spec.action),
                    to_string(spec.reason), format_time(spec.occurred_at));
    value += fmt::format(R"(,"{}":"{}")", spec.by_address ? "email" : "recipient_id", spec.whom);
    if (spec.scope.kind != Scope::Kind::Everything) {
        value += fmt::format(R"(,"scope":{{"{}":"{}"}})",
                             spec.scope.kind == Scope::Kind::Category ? "category" : "sequence",
                             spec.scope.name);
    }
    if (spec.expires_at && spec.action == SuppressionEvent::Action::Suppress) {
        value += fmt::format(R"(,"expires_at":"{}")", format_time(*spec.expires_at));
    }
    value += "}";
    LogRecord record = record_of(spec.whom, value, number);
    record.transaction = transaction;
    const Topic topic = spec.by_address ? Topic::AddressSuppressions : Topic::Suppressions;
    PartitionId partition =
        spec.by_address
            ? partition_for(spec.whom, env_.broker.partitions(topic), config_.kafka.partitioner)
            : home_of(spec.whom);
    if (!spec.by_address && env_.random.chance(0.05)) {
        partition = (partition + 1) % env_.broker.partitions(topic);  // to be forwarded
    }
    const Offset offset = env_.broker.append(topic, partition, std::move(record));
    env_.trace("producer", spec.whom, "{} {} {} to p{}@{}{}", word(spec.action),
               to_string(spec.reason), to_string(spec.scope), partition, offset,
               transaction == 0 ? "" : " in an open transaction");
    return offset;
}

}  // namespace postlane::sim
