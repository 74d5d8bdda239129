// Stands before functions of the core and the runtime and takes one mechanism out of what they are told or what they
// answer. Linked into the tests alone, by the linker's --wrap (see CMakeLists.txt): the object files under test stay as
// they are. The names are the functions' own; if a signature changes, linking fails here.
#include <map>
#include <set>

#include "core/sequence.h"
#include "postlane/machine.h"
#include "runtime/partition_runner.h"
#include "sim/mutants.h"

namespace postlane::sim {
namespace {

// What a mutated view hides; the rest it passes on.
class HidingView final : public StateView {
public:
    explicit HidingView(const StateView& view) : view_(view) {}
    bool hide_suppressions = false;
    const MessageId* hide_message = nullptr;

    std::optional<MessageRow> message(const MessageId& id) const override {
        return hide_message != nullptr && *hide_message == id ? std::nullopt : view_.message(id);
    }
    std::optional<SequenceRow> sequence(std::string_view id) const override {
        return view_.sequence(id);
    }
    std::optional<StepEntry> step(std::string_view id, Step step) const override {
        return view_.step(id, step);
    }
    std::optional<StepEntry> next_step(std::string_view id, Step from) const override {
        return view_.next_step(id, from);
    }
    std::optional<SuppressionRow> suppressions() const override {
        return hide_suppressions ? std::nullopt : view_.suppressions();
    }
    std::optional<SuppressionRow> address_suppressions(const AddressKey& key) const override {
        return hide_suppressions ? std::nullopt : view_.address_suppressions(key);
    }

private:
    const StateView& view_;
};

// Recipients with a message that backs off, and until when; and the last moment anybody decided at.
std::map<std::string, Instant> backing_off;
Instant decided_last{};

using Decoded = tl::expected<SendEvent, Rejection>;

}  // namespace

Effects real_step(const StateView& view, const Input& input,
                  const Context& context) asm("__real_" POSTLANE_STEP);
Effects wrapped_step(const StateView& view, const Input& input,
                     const Context& context) asm("__wrap_" POSTLANE_STEP);

namespace {

Effects send_received(const StateView& view, const SendReceived& input, const Context& context) {
    InputRecord record = input.record;
    Decoded decoded = input.decoded;
    HidingView hiding(view);
    if (mutant_at_work == Mutant::RecordAgeUnchecked) {
        record.timestamp = context.now;
    }
    if (decoded && mutant_at_work == Mutant::FirstBodyForgotten) {
        const auto known = view.message(decoded->message_id);
        if (known && has_ended(known->state) && known->body_hash != decoded->body_hash) {
            hiding.hide_message = &decoded->message_id;
        }
    }
    if (decoded && decoded->sequence && mutant_at_work == Mutant::LateStepsAreSent) {
        const auto row = view.sequence(decoded->sequence->id);
        if (row && row->expected > decoded->sequence->step) {
            decoded->sequence.reset();
        }
    }
    if (decoded && decoded->sequence && !decoded->message_id_given &&
        mutant_at_work == Mutant::IdWithoutStep) {
        const std::string& id = decoded->message_id.value();
        decoded->message_id = MessageId(id.substr(0, id.find(":sequence:")));
    }
    if (decoded && !decoded->expires_at && mutant_at_work == Mutant::LifeCountsFromArrival) {
        decoded->expires_at = record.timestamp + context.config.dispatch.default_ttl;
    }
    return real_step(hiding, SendReceived{record, decoded, input.received_at}, context);
}

Effects suppression_received(const StateView& view, const SuppressionReceived& input,
                             const Context& context) {
    tl::expected<SuppressionEvent, Rejection> decoded = input.decoded;
    if (decoded && decoded->action == SuppressionEvent::Action::Unsuppress &&
        mutant_at_work == Mutant::ResubscribeAlwaysLifts) {
        decoded->occurred_at = context.now;
    }
    Effects effects =
        real_step(view, SuppressionReceived{input.record, decoded, input.belongs_to}, context);
    if (mutant_at_work == Mutant::ForwardsDropped) {
        std::erase_if(effects, [](const Effect& effect) {
            return std::holds_alternative<ForwardSuppression>(effect);
        });
    }
    return effects;
}

Config with_eternal_keys(Config config) {
    for (config::Provider& provider : config.providers) {
        provider.idempotency_lifetime = std::chrono::days{1'000};
    }
    return config;
}

Effects attempt_due(const StateView& view, const AttemptDue& input, const Context& context) {
    HidingView hiding(view);
    const auto row = view.message(input.message_id);
    hiding.hide_suppressions =
        mutant_at_work == Mutant::SuppressionsAskedOnce && row && row->attempts > 0;
    Hash128 hash = input.request_hash;
    if (mutant_at_work == Mutant::RenderingUnchecked && row && row->intent) {
        hash = row->intent->request_hash;
    }
    config::Provider provider = input.provider;
    if (mutant_at_work == Mutant::KeyAgeUnchecked) {
        provider.idempotency_lifetime = std::chrono::days{1'000};
    }
    return real_step(
        hiding, AttemptDue{input.message_id, input.event, provider, input.attempt, hash}, context);
}

Effects in_doubt(const StateView& view, const InDoubt& input, const Context& context) {
    HidingView hiding(view);
    hiding.hide_suppressions = mutant_at_work == Mutant::SuppressionsAskedOnce;
    const auto row = view.message(input.message_id);
    std::optional<Hash128> hash = input.request_hash;
    if (mutant_at_work == Mutant::RenderingUnchecked && row && row->intent) {
        hash = row->intent->request_hash;
    }
    const InDoubt mutated{input.message_id, input.event, hash};
    if (mutant_at_work == Mutant::KeyAgeUnchecked) {
        const Config config = with_eternal_keys(context.config);
        return real_step(hiding, mutated, Context{config, context.recipient, context.now});
    }
    return real_step(hiding, mutated, context);
}

Effects mutated_step(const StateView& view, const Input& input, const Context& context) {
    if (const auto* send = std::get_if<SendReceived>(&input)) {
        return send_received(view, *send, context);
    }
    if (const auto* suppression = std::get_if<SuppressionReceived>(&input)) {
        return suppression_received(view, *suppression, context);
    }
    if (const auto* due = std::get_if<AttemptDue>(&input)) {
        return attempt_due(view, *due, context);
    }
    if (const auto* doubt = std::get_if<InDoubt>(&input)) {
        return in_doubt(view, *doubt, context);
    }
    return real_step(view, input, context);
}

}  // namespace

Effects wrapped_step(const StateView& view, const Input& input, const Context& context) {
    if (mutant_at_work == Mutant::None) {
        return real_step(view, input, context);
    }
    Effects effects = mutated_step(view, input, context);
    if (context.now < decided_last - std::chrono::hours{1}) {
        backing_off.clear();  // another world
    }
    decided_last = context.now;
    for (const Effect& effect : effects) {
        if (const auto* put = std::get_if<PutMessage>(&effect);
            put != nullptr && put->row.state == MessageState::Retrying) {
            backing_off[context.recipient.value()] = put->row.wake_at;
        }
    }
    return effects;
}

// --- the runtime ---

// A key to a private member: an explicit instantiation may name it.
template <class Tag, typename Tag::Member member>
struct Opened {
    friend typename Tag::Member key_to(Tag) { return member; }
};
struct OffsetsOfRunner {
    using Member = OffsetsRow PartitionRunner::*;
    friend Member key_to(OffsetsOfRunner);
};
struct ProofsOfRunner {
    using Member = FreshnessProofs PartitionRunner::*;
    friend Member key_to(ProofsOfRunner);
};
template struct Opened<OffsetsOfRunner, &PartitionRunner::offsets_>;
template struct Opened<ProofsOfRunner, &PartitionRunner::proofs_>;

void real_on_sends(PartitionRunner* runner, std::vector<InputRecord> records,
                   std::optional<Offset> end_seen, const Now& now) asm("__real_" POSTLANE_ON_SENDS);
void wrapped_on_sends(PartitionRunner* runner, std::vector<InputRecord> records,
                      std::optional<Offset> end_seen,
                      const Now& now) asm("__wrap_" POSTLANE_ON_SENDS);
void wrapped_on_sends(PartitionRunner* runner, std::vector<InputRecord> records,
                      std::optional<Offset> end_seen, const Now& now) {
    OffsetsRow& offsets = runner->*key_to(OffsetsOfRunner{});
    const Offset next = offsets.sends;
    if (mutant_at_work == Mutant::RewindsNotNoticed) {
        offsets.sends = 0;
    }
    real_on_sends(runner, std::move(records), end_seen, now);
    offsets.sends = next;
}

void real_on_proof(PartitionRunner* runner, BootInstant asked_at,
                   Offset end) asm("__real_" POSTLANE_ON_PROOF);
void wrapped_on_proof(PartitionRunner* runner, BootInstant asked_at,
                      Offset end) asm("__wrap_" POSTLANE_ON_PROOF);
void wrapped_on_proof(PartitionRunner* runner, BootInstant asked_at, Offset end) {
    if (mutant_at_work == Mutant::ProofsOverwritten) {
        FreshnessProofs& proofs = runner->*key_to(ProofsOfRunner{});
        FreshnessProofs reached;
        reached.add(proofs.fresh_since(), 0);
        reached.applied_through(proofs.applied());
        proofs = reached;
    }
    real_on_proof(runner, asked_at, end);
}

std::vector<ReadyItem> real_candidates(const ReadyQueue* queue,
                                       const std::set<std::string>& blocked, BootInstant fresh,
                                       std::size_t limit) asm("__real_" POSTLANE_CANDIDATES);
std::vector<ReadyItem> wrapped_candidates(const ReadyQueue* queue,
                                          const std::set<std::string>& blocked, BootInstant fresh,
                                          std::size_t limit) asm("__wrap_" POSTLANE_CANDIDATES);
std::vector<ReadyItem> wrapped_candidates(const ReadyQueue* queue,
                                          const std::set<std::string>& blocked, BootInstant fresh,
                                          std::size_t limit) {
    std::vector<ReadyItem> items = real_candidates(queue, blocked, fresh, limit);
    if (mutant_at_work == Mutant::LanesBlockEachOther) {
        std::erase_if(items, [](const ReadyItem& item) {
            const auto waits = backing_off.find(item.recipient.value());
            return waits != backing_off.end() && waits->second > decided_last;
        });
    }
    return items;
}

Grant real_try_acquire(ProviderFlow* flow, std::size_t provider, std::size_t bytes, BootInstant now,
                       ProviderFlow::WaiterId waiter) asm("__real_" POSTLANE_TRY_ACQUIRE);
Grant wrapped_try_acquire(ProviderFlow* flow, std::size_t provider, std::size_t bytes,
                          BootInstant now,
                          ProviderFlow::WaiterId waiter) asm("__wrap_" POSTLANE_TRY_ACQUIRE);
Grant wrapped_try_acquire(ProviderFlow* flow, std::size_t provider, std::size_t bytes,
                          BootInstant now, ProviderFlow::WaiterId waiter) {
    Grant grant = real_try_acquire(flow, provider, bytes, now, waiter);
    if (mutant_at_work == Mutant::CircuitNeverOpens && grant.why == Grant::Why::CircuitOpen) {
        // As if its time were over already.
        grant = real_try_acquire(flow, provider, bytes, now + std::chrono::hours{1}, waiter);
    }
    return grant;
}

}  // namespace postlane::sim
