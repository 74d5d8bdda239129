// G2, judged from the suppression topics and the providers' record, with its own reading of the rules.
#include <algorithm>

#include "sim/checkers.h"

namespace postlane::sim {
namespace {

bool names_a_scope(SuppressionReason reason) {
    return reason == SuppressionReason::Unsubscribe || reason == SuppressionReason::Manual;
}

Scope scope_of(const SuppressionSpec& spec) {
    return names_a_scope(spec.reason) ? spec.scope : Scope{};
}

bool covers(const SuppressionSpec& spec, const SendSpec& send) {
    const Scope scope = scope_of(spec);
    if (scope.kind == Scope::Kind::Category) {
        return scope.name == send.category;
    }
    if (scope.kind == Scope::Kind::Sequence) {
        return send.sequence && send.sequence->id == scope.name;
    }
    return spec.reason != SuppressionReason::Unsubscribe || send.category != "receipts";
}

// Whether `lift` clears `spec`.
bool lifts(const SuppressionSpec& lift, const SuppressionSpec& spec) {
    const bool scope = lift.scope.kind == Scope::Kind::Everything || lift.scope == scope_of(spec);
    const bool reason = lift.reason == SuppressionReason::Manual || lift.reason == spec.reason;
    return scope && reason && lift.occurred_at > spec.occurred_at;
}

struct Acknowledged {
    const SuppressionSpec* spec;
    Time at;
};

}  // namespace

void Checkers::check_suppression_of(const Execution& execution, const SendSpec& send) {
    const Broker& broker = world_.env().broker;
    const Time freshness = world_.config().suppression.max_staleness.count() * kMillisecond;
    std::vector<Acknowledged> suppressions;
    const auto collect = [&](Topic topic, PartitionId partition, const std::string& key) {
        for (const LogRecord& record : broker.log(topic, partition)) {
            const auto visible = broker.visible_since(record);
            if (visible && record.key == key) {
                const auto number =
                    std::find_if(record.headers.begin(), record.headers.end(),
                                 [](const Header& header) { return header.name == kSpecHeader; });
                suppressions.push_back(
                    {&world_.traffic().suppressions().at(std::stoul(*number->value)), *visible});
            }
        }
    };
    collect(Topic::Suppressions, world_.traffic().home_of(send.recipient), send.recipient);
    for (PartitionId partition = 0; partition < broker.partitions(Topic::AddressSuppressions);
         ++partition) {
        collect(Topic::AddressSuppressions, partition, send.address);
    }
    for (const Acknowledged& stop : suppressions) {
        const SuppressionSpec& spec = *stop.spec;
        if (spec.action != SuppressionEvent::Action::Suppress || !covers(spec, send)) {
            continue;
        }
        const bool in_time =
            stop.at + freshness < execution.handed_over || stop.at < send.first_produced;
        const bool over =
            spec.expires_at && *spec.expires_at <= broker.time_at(execution.handed_over);
        const bool lifted =
            std::any_of(suppressions.begin(), suppressions.end(), [&](const Acknowledged& lift) {
                return lift.spec->action == SuppressionEvent::Action::Unsuppress &&
                       lift.spec->by_address == spec.by_address &&
                       lift.at <= execution.handed_over && lifts(*lift.spec, spec);
            });
        if (in_time && !over && !lifted) {
            violated(
                fmt::format("G2: {} handed over at {:.6f} s by {}, suppressed ({}) since {:.6f} s",
                            execution.tag, static_cast<double>(execution.handed_over) / kSecond,
                            execution.instance, to_string(spec.reason),
                            static_cast<double>(stop.at) / kSecond));
        }
    }
}

void Checkers::check_suppressions() {
    const auto& sends = world_.traffic().sends();
    for (const Execution& execution : world_.esp().executions()) {
        if (const auto spec = spec_of_tag(execution.tag)) {
            // The duplicate of a message that was produced earlier counts from the first of them.
            SendSpec send = sends.at(*spec);
            for (const SendSpec& other : sends) {
                if (other.recipient == send.recipient && other.message_id == send.message_id &&
                    other.first_produced >= 0) {
                    send.first_produced = std::min(send.first_produced, other.first_produced);
                }
            }
            check_suppression_of(execution, send);
        }
    }
}

}  // namespace postlane::sim
