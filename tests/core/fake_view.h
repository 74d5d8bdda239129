// A recipient's rows in memory, and a bench that feeds inputs to step() and applies what comes out.
#pragma once

#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "postlane/machine.h"

namespace postlane {

inline void PrintTo(MessageState state, std::ostream* out) {
    *out << to_string(state);
}
inline void PrintTo(Reason reason, std::ostream* out) {
    *out << to_string(reason);
}
inline void PrintTo(Outcome outcome, std::ostream* out) {
    *out << to_string(outcome);
}

class FakeView final : public StateView {
public:
    [[nodiscard]] std::optional<MessageRow> message(const MessageId& id) const override {
        const auto row = messages.find(id);
        if (row == messages.end() ||
            (has_ended(row->second.state) && row->second.row_expires_at <= now)) {
            return std::nullopt;
        }
        return row->second;
    }
    [[nodiscard]] std::optional<SequenceRow> sequence(std::string_view id) const override {
        const auto row = sequences.find(std::string(id));
        const bool known = row != sequences.end() && (row->second.row_expires_at == Instant{} ||
                                                      row->second.row_expires_at > now);
        return known ? std::optional(row->second) : std::nullopt;
    }
    [[nodiscard]] std::optional<StepEntry> step(std::string_view id, Step step) const override {
        const auto entry = steps.find({std::string(id), step});
        return entry == steps.end() ? std::nullopt : std::optional(entry->second);
    }
    [[nodiscard]] std::optional<StepEntry> next_step(std::string_view id,
                                                     Step from) const override {
        const auto entry = steps.lower_bound({std::string(id), from});
        return entry == steps.end() || entry->first.first != id ? std::nullopt
                                                                : std::optional(entry->second);
    }
    [[nodiscard]] std::optional<SuppressionRow> suppressions() const override {
        return by_recipient;
    }
    [[nodiscard]] std::optional<SuppressionRow> address_suppressions(
        const AddressKey& key) const override {
        const auto row = by_address.find(key);
        return row == by_address.end() ? std::nullopt : std::optional(row->second);
    }

    void put(const PutMessage& put) {
        messages[put.message_id] = put.row;
        if (!put.row.sequence || put.row.outside_sequence) {
            return;
        }
        const std::pair key{put.row.sequence->id, put.row.sequence->step};
        if (has_ended(put.row.state) && !put.row.ended_ahead) {
            steps.erase(key);
        } else {
            steps[key] = StepEntry{key.second, put.message_id, has_ended(put.row.state)};
        }
    }

    Instant now{};
    std::map<MessageId, MessageRow> messages;
    std::map<std::string, SequenceRow> sequences;
    std::map<std::pair<std::string, Step>, StepEntry> steps;
    std::optional<SuppressionRow> by_recipient;
    std::map<AddressKey, SuppressionRow> by_address;
};

// What an event says, as far as decisions look at it.
struct EventSpec {
    std::string id;
    Step step = 0;  // 0: unsequenced
    std::string sequence_id = "drip";
    std::optional<Instant> send_at = {};
    std::optional<Millis> delay = {};
    std::optional<Instant> expires_at = {};
    std::string category = "marketing";
    std::string route = "default";
    std::uint8_t body = 1;
    std::optional<Instant> recorded_at = {};  // absent: now
};

inline Config core_config() {
    Config config;
    config.ledger.retention_days = std::chrono::days{90};
    config.ordering.max_wait = std::chrono::hours{24};
    config.ordering.max_held = 1'000;
    config.ordering.max_halt = std::chrono::hours{24 * 7};
    config.suppression.transactional_categories = {"transactional"};
    config.dispatch.intent_deadline = Millis{5'000};
    config.dispatch.default_ttl = std::chrono::hours{72};
    config.dispatch.max_attempts = 3;
    config::Provider keyed;
    keyed.name = "keyed";
    keyed.timeout = Millis{30'000};
    keyed.idempotency = config::Idempotency::Header;
    keyed.idempotency_lifetime = std::chrono::hours{24};
    config::Provider plain;
    plain.name = "plain";
    plain.timeout = Millis{30'000};
    config.providers = {keyed, plain};
    config::Route route;
    route.name = "default";
    route.providers = {"keyed", "plain"};
    config.routes = {route};
    return config;
}

inline Hash128 hash_of(std::uint8_t byte) {
    return Hash128{byte};
}

// One recipient, and the runtime's part in its life: effects are applied at once, and what a
// decision asks to be looked at next is looked at after it.
class Bench {
public:
    explicit Bench(Config given = core_config()) : config(std::move(given)) {}

    Instant now{std::chrono::hours{24 * 20'000}};
    Config config;
    FakeView view;
    RecipientId recipient{"ann"};
    std::map<MessageId, SendEvent> events;
    std::vector<OutcomeRecord> outcomes;
    std::vector<DeadLetter> dead_letters;
    std::vector<SuppressionReceipt> receipts;
    std::vector<ForwardSuppression> forwards;
    std::vector<SendEmail> sends;
    std::map<Count::What, int> counts;
    Offset next_offset = 100;
    std::uint64_t attempts_made = 0;

    void feed(const Input& input) {
        apply(postlane::step(view_at_now(), input, Context{config, recipient, now}));
        while (!follow_ups_.empty()) {
            const Effect next = follow_ups_.front();
            follow_ups_.pop_front();
            if (const auto* reach = std::get_if<ReachStep>(&next)) {
                reached.push_back(reach->message_id.value());
                apply(postlane::step(view_at_now(),
                                     StepReached{reach->sequence_id, reach->message_id,
                                                 events.at(reach->message_id)},
                                     Context{config, recipient, now}));
            } else {
                const auto& halt = std::get<EndHalt>(next);
                apply(postlane::step(view_at_now(), HaltOver{halt.sequence_id},
                                     Context{config, recipient, now}));
            }
        }
    }
    std::vector<std::string> reached;

    Offset receive(const EventSpec& spec) {
        const SendEvent event = event_of(spec);
        InputRecord record;
        record.offset = next_offset++;
        record.timestamp = spec.recorded_at.value_or(now);
        record.key = recipient.value();
        record.value = "{" + spec.id + "}";
        events.emplace(event.message_id, event);
        const tl::expected<SendEvent, Rejection> decoded = event;
        feed(SendReceived{record, decoded, now});
        return record.offset;
    }

    // A slot is free for it, at this provider.
    void attempt(const std::string& id, const std::string& provider = "keyed",
                 std::uint8_t request = 9) {
        const MessageId message_id(id);
        feed(AttemptDue{message_id, events.at(message_id), *config.find_provider(provider),
                        AttemptId{1, ++attempts_made}, hash_of(request)});
    }
    void finish(const std::string& id, const AttemptResult& result) {
        const MessageId message_id(id);
        feed(AttemptEnded{message_id, result, now});
    }
    void answer(const std::string& id, int status, std::optional<Millis> retry_after = {}) {
        AttemptResult result;
        result.kind = AttemptResult::Kind::Answered;
        result.answer.status = status;
        result.answer.retry_after = retry_after;
        if (status < 300) {
            result.answer.provider_message_id = "p-" + id;
        }
        finish(id, result);
    }
    void no_answer(const std::string& id) {
        AttemptResult result;
        result.kind = AttemptResult::Kind::NoAnswer;
        finish(id, result);
    }
    void never_left(const std::string& id, NotHandedOver why) {
        AttemptResult result;
        result.why_not = why;
        finish(id, result);
    }
    void in_doubt(const std::string& id, std::optional<std::uint8_t> request = 9) {
        const MessageId message_id(id);
        std::optional<Hash128> hash;
        if (request) {
            hash = hash_of(*request);
        }
        feed(InDoubt{message_id, events.at(message_id), hash});
    }
    void wake(const std::string& id) {
        const MessageId message_id(id);
        feed(Woke{message_id});
    }
    void send(const std::string& id) {  // all the way
        attempt(id);
        answer(id, 202);
    }
    void advance(Millis by) { now += by; }

    void suppress(SuppressionReason reason = SuppressionReason::Unsubscribe) {
        view.by_recipient.emplace().entries = {{Scope{}, reason, now, std::nullopt}};
    }

    [[nodiscard]] const MessageRow& row(const std::string& id) const {
        return view.messages.at(MessageId(id));
    }
    [[nodiscard]] MessageState state(const std::string& id) const { return row(id).state; }
    [[nodiscard]] Reason reason(const std::string& id) const { return row(id).reason; }
    [[nodiscard]] const SequenceRow& sequence(const std::string& id = "drip") const {
        return view.sequences.at(id);
    }

private:
    static SendEvent event_of(const EventSpec& spec) {
        SendEvent event;
        event.recipient_id = RecipientId("ann");
        event.message_id = MessageId(spec.id);
        event.address = AddressKey("ann@example.com");
        event.category = spec.category;
        event.campaign_id = "c1";
        if (spec.step > 0) {
            event.sequence = SequenceRef{spec.sequence_id, spec.step};
        }
        event.send_at = spec.send_at;
        event.delay_after_previous = spec.delay;
        event.expires_at = spec.expires_at;
        event.route = spec.route;
        event.body_hash = hash_of(spec.body);
        return event;
    }
    const FakeView& view_at_now() {
        view.now = now;
        return view;
    }
    void apply(const Effects& effects) {
        for (const Effect& effect : effects) {
            std::visit([this](const auto& one) { take(one); }, effect);
        }
    }
    void take(const PutMessage& put) { view.put(put); }
    void take(const PutSequence& put) { view.sequences[put.sequence_id] = put.row; }
    void take(const PutSuppressions& put) { view.by_recipient = put.row; }
    void take(const ForgetStep& forget) { view.steps.erase({forget.sequence_id, forget.step}); }
    void take(const OutcomeRecord& outcome) { outcomes.push_back(outcome); }
    void take(const DeadLetter& letter) { dead_letters.push_back(letter); }
    void take(const SuppressionReceipt& receipt) { receipts.push_back(receipt); }
    void take(const ForwardSuppression& forward) { forwards.push_back(forward); }
    void take(const SendEmail& email) { sends.push_back(email); }
    void take(const ReachStep& reach) { follow_ups_.emplace_back(reach); }
    void take(const EndHalt& halt) { follow_ups_.emplace_back(halt); }
    void take(const Count& count) { counts[count.what] += 1; }

    std::deque<Effect> follow_ups_;
};

}  // namespace postlane
