#include "runtime/partition_runner.h"

#include <algorithm>
#include <cctype>

#include "codec/encode.h"
#include "codec/render.h"
#include "runtime/decision_view.h"

namespace postlane {
namespace {

constexpr std::size_t kPendingSendsMax = 1'024;
constexpr std::size_t kPendingSendBytesMax = std::size_t{4} << 20U;
constexpr std::size_t kPendingSuppressionsMax = 4'096;
// Inputs are left in the topic while this many messages wait in memory for a dispatch slot: each of them costs the
// ledger a record of its own, which one that goes straight through does without.
constexpr std::size_t kReadyIntakeMax = 32;
// A larger event is decoded again when its turn comes, so that waiting ones take little memory.
constexpr std::size_t kEventAtHandMax = 16'384;
constexpr std::size_t kBatchRecordsMax = 4'000;
constexpr std::size_t kBatchBytesMax = std::size_t{8} << 20U;

}  // namespace

PartitionRunner::PartitionRunner(const RunnerPorts& ports, Epoch epoch)
    : config_(ports.config), partition_(ports.partition), partition_count_(ports.partition_count),
      addresses_(ports.addresses), flow_(ports.flow), waiter_(ports.waiter),
      registry_(ports.registry), dispatcher_(ports.dispatcher), metrics_(ports.metrics),
      guard_(ports.guard), max_record_bytes_(ports.max_record_bytes),
      view_(ports.store, ports.addresses), decoder_(ports.config, ports.partition_count) {
    // The proofs and the applied suppressions of an earlier epoch are gone: nothing is fresh.
    guard_->fresh_since.store(0);
    guard_->epoch.store(epoch.value());
}

PartitionRunner::~PartitionRunner() {
    // Decided but never submitted; whatever was submitted is the registry's.
    for (const Departure& departure : departures_) {
        flow_.give_back(departure.grant, BootInstant{});
    }
}

void PartitionRunner::begin(BootInstant fenced_at, const Now& now) {
    offsets_ = view_.offsets();
    proofs_.applied_through(offsets_.suppressions);
    held_from_ = ledger::steps_begin();
    count_held(now);
    registry_.opened(partition_);
    const std::vector<LedgerView::OpenIntent> intents = view_.open_intents();
    std::set<AttemptId> open;
    for (const LedgerView::OpenIntent& intent : intents) {
        open.insert(intent.attempt);
    }
    registry_.keep_only(partition_, open);
    for (const LedgerView::OpenIntent& intent : intents) {
        if (intent.attempt.process == registry_.process()) {
            if (registry_.knows(intent.attempt)) {
                open_.emplace(intent.attempt, OpenAttempt{intent.recipient, intent.message_id});
                ready_.set_busy(intent.recipient);
            } else {
                // Ours, and never submitted: its commit was not known to us, so nobody has seen it.
                run(intent.recipient, AttemptWithdrawn{intent.message_id}, now);
            }
            continue;
        }
        view_.focus(intent.recipient, now.broker);
        const auto row = view_.message(intent.message_id);
        const Millis wait = row->intent->deadline + row->intent->timeout + std::chrono::seconds{1};
        doubts_.push_back({intent.recipient, intent.message_id, fenced_at + wait});
        ready_.set_busy(intent.recipient);
    }
    // Every route that has wakes, configured or not.
    std::string from = ledger::wake_prefix("");
    for (;;) {
        const auto first = view_.wakes(from, ledger::ledger_keys_begin(), 1);
        if (first.empty()) {
            break;
        }
        const std::string prefix = ledger::wake_prefix(first.front().route);
        timers_[first.front().route] = RouteTimer{prefix, Instant{}};
        from = ledger::prefix_end(prefix);
    }
}

bool PartitionRunner::wants_sends() const {
    return !stopping_ && pending_sends_.size() < kPendingSendsMax &&
           pending_bytes_ < kPendingSendBytesMax;
}

void PartitionRunner::on_sends(std::vector<InputRecord> records, std::optional<Offset> end_seen,
                               const Now& now) {
    if (end_seen) {
        sends_end_ = end_seen;
    }
    for (InputRecord& record : records) {
        const bool waits =
            !pending_sends_.empty() && record.offset <= pending_sends_.back().record.offset;
        if (record.offset < offsets_.sends || waits) {
            continue;  // accounted for, or about to be: somebody rewound
        }
        pending_bytes_ += record.value ? record.value->size() : 0;
        pending_sends_.push_back({std::move(record), now.boot, now.broker});
    }
}

bool PartitionRunner::wants_suppressions() const {
    return pending_suppressions_.size() < kPendingSuppressionsMax;
}

void PartitionRunner::on_suppressions(std::vector<InputRecord> records,
                                      std::optional<Offset> end_seen) {
    for (InputRecord& record : records) {
        const bool waits =
            !pending_suppressions_.empty() && record.offset <= pending_suppressions_.back().offset;
        if (record.offset >= offsets_.suppressions && !waits) {
            pending_suppressions_.push_back(std::move(record));
        }
    }
    if (end_seen) {
        suppressions_end_ = end_seen;
    }
}

void PartitionRunner::on_proof(BootInstant asked_at, Offset end) {
    proofs_.add(asked_at, end);
}

void PartitionRunner::on_results(std::vector<AttemptRegistry::Finished> results) {
    std::move(results.begin(), results.end(), std::back_inserter(pending_results_));
}

void PartitionRunner::run(const RecipientId& recipient, const Input& input, const Now& now) {
    decide_one(recipient, input, now);
    // What they look at is complete only now: the rows of the decision that asked for them are all written. A loop,
    // because one decision may ask for the next for thousands of steps.
    while (!follow_ups_.empty()) {
        const FollowUp next = std::move(follow_ups_.front());
        follow_ups_.pop_front();
        follow_up(next, now);
    }
}

void PartitionRunner::decide_one(const RecipientId& recipient, const Input& input, const Now& now) {
    view_.focus(recipient, now.broker);
    Effects effects;
    try {
        effects = step(DecisionView(view_), input, Context{config_, recipient, now.broker});
    } catch (const StoreUnreadable&) {
        return;  // failure() is set: the batch goes nowhere
    }
    perform(recipient, std::move(effects), now);
}

void PartitionRunner::perform(const RecipientId& recipient, Effects effects, const Now& now) {
    for (Effect& effect : effects) {
        view_.focus(recipient, now.broker);
        if (auto* put = std::get_if<PutMessage>(&effect)) {
            perform_put(recipient, std::move(*put), now);
        } else if (const auto* sequence = std::get_if<PutSequence>(&effect)) {
            const auto before = view_.sequence(sequence->sequence_id);
            ordering_.sequences += before ? 0U : 1U;
            held_changed(
                recipient, sequence->sequence_id,
                std::int64_t{sequence->row.held} - (before ? std::int64_t{before->held} : 0));
            view_.put(*sequence);
        } else if (const auto* suppressions = std::get_if<PutSuppressions>(&effect)) {
            view_.put(*suppressions);
        } else if (const auto* forget = std::get_if<ForgetStep>(&effect)) {
            view_.forget(*forget);
        } else if (const auto* outcome = std::get_if<OutcomeRecord>(&effect)) {
            perform_outcome(*outcome);
        } else if (const auto* count = std::get_if<Count>(&effect)) {
            counted_.push_back(count->what);
        } else {
            perform_rest(recipient, effect, now);
        }
    }
}

void PartitionRunner::perform_put(const RecipientId& recipient, PutMessage put, const Now& now) {
    const MessageId id = put.message_id;
    const MessageRow& row = view_.put(std::move(put));
    if (row.state == MessageState::Ready && row.wake_at <= now.broker) {
        const bool at_hand = event_at_hand_ && event_at_hand_->message_id == id;
        const bool small = at_hand && event_at_hand_->json.size() <= kEventAtHandMax;
        // An input is decided only once the view was fresh as of its arrival.
        const BootInstant since =
            at_hand && !pending_sends_.empty() ? pending_sends_.front().arrived : now.boot;
        offer(recipient, id, row, since, small ? event_at_hand_ : nullptr);
        return;
    }
    ready_.remove(recipient, id);
    if (row.state == MessageState::Sending) {
        ready_.set_busy(recipient);
        open_.emplace(row.intent->attempt, OpenAttempt{recipient, id});
    }
}

void PartitionRunner::perform_outcome(const OutcomeRecord& outcome) {
    out_.push_back(encode_outcome(config_, partition_, outcome, key_at_hand_));
    out_bytes_ += out_.back().value->size();
    counted_outcomes_.push_back({outcome.outcome, outcome.reason, outcome.provider});
}

void PartitionRunner::perform_rest(const RecipientId& recipient, const Effect& effect,
                                   const Now& now) {
    if (const auto* letter = std::get_if<DeadLetter>(&effect)) {
        out_.push_back(
            encode_dead_letter(config_, partition_, *letter, max_record_bytes_, now.broker));
        out_bytes_ += out_.back().value ? out_.back().value->size() : 0;
    } else if (const auto* receipt = std::get_if<SuppressionReceipt>(&effect)) {
        out_.push_back(encode_receipt(config_, partition_, *receipt, key_at_hand_));
    } else if (const auto* forward = std::get_if<ForwardSuppression>(&effect)) {
        out_.push_back(encode_forward(*forward, partition_, max_record_bytes_));
    } else if (std::get_if<SendEmail>(&effect) != nullptr) {
        departures_.push_back(*std::exchange(departing_, std::nullopt));
    } else if (const auto* reach = std::get_if<ReachStep>(&effect)) {
        follow_ups_.push_back({recipient, *reach});
    } else if (const auto* halt = std::get_if<EndHalt>(&effect)) {
        follow_ups_.push_back({recipient, *halt});
    }
}

void PartitionRunner::follow_up(const FollowUp& next, const Now& now) {
    if (const auto* halt = std::get_if<EndHalt>(&next.what)) {
        decide_one(next.recipient, HaltOver{halt->sequence_id}, now);
        return;
    }
    const ReachStep& reach = std::get<ReachStep>(next.what);
    view_.focus(next.recipient, now.broker);
    const MessageRow* const row = view_.find_message(reach.message_id);
    if (!row || !row->payload) {
        return;  // ended meanwhile
    }
    if (const auto event = stored_event(next.recipient, *row)) {
        decide_one(next.recipient, StepReached{reach.sequence_id, reach.message_id, **event}, now);
    } else {
        decide_one(next.recipient, PayloadUnreadable{reach.message_id, event.error()}, now);
    }
}

tl::expected<std::shared_ptr<const SendEvent>, Rejection> PartitionRunner::stored_event(
    const RecipientId& recipient, const MessageRow& row) {
    auto event = decoder_.stored(recipient, *row.payload);
    if (!event) {
        return tl::unexpected<Rejection>(event.error());
    }
    return std::make_shared<const SendEvent>(*std::move(event));
}

BootInstant PartitionRunner::fresh_since() const {
    return std::min(proofs_.fresh_since(), addresses_.fresh_since());
}

void PartitionRunner::publish_freshness() {
    guard_->fresh_since.store(proofs_.fresh_since().time_since_epoch().count());
}

void PartitionRunner::decide(const Now& now) {
    wants_fresh_since_ = {};
    if (blocked_until_ != BootInstant{} && now.boot >= blocked_until_) {
        blocked_routes_.clear();
        blocked_until_ = {};
    }
    pass_what_is_no_input();
    count_held(now);
    decide_suppressions(now);
    publish_freshness();
    decide_results(now);
    decide_timers(now);
    decide_doubts(now);
    expire_ready(now);
    bool goes_on = true;
    while (goes_on && !failure()) {
        const std::size_t waiting_before = pending_sends_.size();
        decide_inputs(now);
        const std::size_t blocked_before = blocked_routes_.size();
        const bool departed = decide_attempts(now);
        // A route that turned out to be blocked no longer counts against what others may take in.
        const bool moved = departed || blocked_routes_.size() > blocked_before ||
                           pending_sends_.size() < waiting_before;
        const bool loaded = load_more(now);
        goes_on = batch_size() < kBatchRecordsMax && (loaded || (moved && !pending_sends_.empty()));
    }
    park_blocked_routes(now);
    sweep(now);
}

// Behind them only markers of transactions and aborted records can be. In the ledger with the next transaction.
void PartitionRunner::pass_what_is_no_input() {
    const OffsetsRow before = offsets_;
    if (pending_sends_.empty()) {
        offsets_.sends = std::max(offsets_.sends, sends_end_.value_or(0));
    }
    if (pending_suppressions_.empty()) {
        offsets_.suppressions = std::max(offsets_.suppressions, suppressions_end_.value_or(0));
    }
    offsets_passed_ = offsets_passed_ || offsets_ != before;
}

void PartitionRunner::decide_suppressions(const Now& now) {
    std::uint64_t taken = 0;
    while (!pending_suppressions_.empty() && batch_bytes() < kBatchBytesMax) {
        const InputRecord record = std::move(pending_suppressions_.front());
        pending_suppressions_.pop_front();
        const Decoder::Suppression decoded =
            decoder_.suppression(record, partition_, now.broker + Decoder::kClockAhead);
        const RecipientId recipient =
            decoded.recipient.value_or(RecipientId(record.key.value_or("")));
        key_at_hand_ = record.key;
        run(recipient, SuppressionReceived{record, decoded.event, decoded.belongs_to}, now);
        key_at_hand_.reset();
        // Applied, then counted, then (publish_freshness) called fresh: in this order for the last check.
        guard_->changes[PartitionGuard::stripe_of(recipient)].fetch_add(1);
        offsets_.suppressions = record.offset + 1;
        offsets_changed_ = true;
        proofs_.applied_through(record.offset + 1);
        taken += 1;
    }
    counted_suppressions_ += taken;
    if (suppressions_end_ && pending_suppressions_.empty()) {
        proofs_.applied_through(*suppressions_end_);
    }
}

// A provider's id is copied into outcomes, which never show an address; some echo the recipient's.
bool PartitionRunner::names_address(const std::string& provider_id, const RecipientId& recipient,
                                    const MessageRow& row) {
    if (provider_id.find('@') == std::string::npos || !row.payload) {
        return false;
    }
    const auto event = stored_event(recipient, row);
    if (!event) {
        return true;  // cannot be told
    }
    const auto same = [](unsigned char left, unsigned char right) {
        return std::tolower(left) == std::tolower(right);
    };
    const std::string& address = (*event)->to.email;
    return std::search(provider_id.begin(), provider_id.end(), address.begin(), address.end(),
                       same) != provider_id.end();
}

void PartitionRunner::decide_results(const Now& now) {
    for (AttemptRegistry::Finished& finished : std::exchange(pending_results_, {})) {
        settled_.push_back(finished.attempt);
        const auto open = open_.find(finished.attempt);
        if (open == open_.end()) {
            continue;  // its message ended otherwise; the late answer changes nothing
        }
        const OpenAttempt attempt = open->second;
        open_.erase(open);
        view_.focus(attempt.recipient, now.broker);
        const MessageRow* const row = view_.find_message(attempt.message_id);
        if (row && row->intent) {
            const config::Provider* provider = config_.find_provider(row->intent->provider);
            const AnswerClass answer = classify(*provider, finished.result);
            CountedAttempt& counted = counted_attempts_.emplace_back();
            counted.provider = provider;
            counted.answer = answer;
            if (finished.result.kind != AttemptResult::Kind::NotHandedOver) {
                counted.took = finished.result.ended_at - finished.result.handed_over_at;
            }
            const auto ago =
                std::chrono::duration_cast<Millis>(now.boot - finished.result.ended_at);
            const Instant ended_at = now.broker - ago;
            if (answer == AnswerClass::Accepted) {
                const std::chrono::duration<double> latency =
                    ended_at - std::max(row->due_at, row->received_at);
                counted.latency = std::max(0.0, latency.count());
            }
            std::string& provider_id = finished.result.answer.provider_message_id;
            if (names_address(provider_id, attempt.recipient, *row)) {
                provider_id.clear();
            }
            ready_.set_free(attempt.recipient);
            run(attempt.recipient, AttemptEnded{attempt.message_id, finished.result, ended_at},
                now);
        }
    }
}

void PartitionRunner::decide_doubts(const Now& now) {
    const auto decidable = [&](const Doubt& doubt) {
        if (doubt.decidable_at > now.boot) {
            return false;
        }
        if (fresh_since() < doubt.decidable_at) {
            wants_fresh_since_ = std::max(wants_fresh_since_, doubt.decidable_at);
            return false;
        }
        return true;
    };
    const auto first = std::stable_partition(doubts_.begin(), doubts_.end(),
                                             [&](const Doubt& doubt) { return !decidable(doubt); });
    const std::vector<Doubt> due(first, doubts_.end());
    doubts_.erase(first, doubts_.end());
    for (const Doubt& doubt : due) {
        view_.focus(doubt.recipient, now.broker);
        const auto row = view_.message(doubt.message_id);
        if (!row || row->state != MessageState::Sending) {
            continue;
        }
        const auto stored = stored_event(doubt.recipient, *row);
        if (!stored) {
            ready_.set_free(doubt.recipient);
            run(doubt.recipient, PayloadUnreadable{doubt.message_id, stored.error()}, now);
            continue;
        }
        const SendEvent& event = **stored;
        std::optional<Hash128> hash;
        const config::Provider* provider = config_.find_provider(row->intent->provider);
        const config::Route* route = config_.find_route(row->route);
        if (provider != nullptr && route != nullptr) {
            if (const auto request = render(event, *provider, *route,
                                            idempotency_key(doubt.recipient, doubt.message_id))) {
                hash = request_hash(*request);
            }
        }
        ready_.set_free(doubt.recipient);
        run(doubt.recipient, InDoubt{doubt.message_id, event, hash}, now);
    }
}

void PartitionRunner::decide_inputs(const Now& now) {
    std::uint64_t taken = 0;
    while (!pending_sends_.empty() && !stopping_ && !failure()) {
        const PendingSend& pending = pending_sends_.front();
        if (pending.arrived > fresh_since()) {
            wants_fresh_since_ = std::max(wants_fresh_since_, pending_sends_.back().arrived);
            break;
        }
        if (ready_to_go() >= kReadyIntakeMax || batch_size() >= kBatchRecordsMax ||
            batch_bytes() >= kBatchBytesMax) {
            break;
        }
        const InputRecord& record = pending.record;
        auto decoded = decoder_.send(record, partition_);
        const RecipientId recipient(record.key.value_or(""));
        if (decoded) {
            recipients_.add(std::hash<std::string>{}(recipient.value()));
            event_at_hand_ = std::make_shared<const SendEvent>(*decoded);
        }
        key_at_hand_ = record.key;
        run(recipient, SendReceived{record, decoded, pending.received_at}, now);
        event_at_hand_.reset();
        key_at_hand_.reset();
        offsets_.sends = record.offset + 1;
        offsets_changed_ = true;
        if (record.timestamp <=
            pending.received_at + Decoder::kClockAhead) {  // else it tells nothing
            last_recorded_at_ =
                std::max(last_recorded_at_, std::min(record.timestamp, pending.received_at));
        }
        pending_bytes_ -= record.value ? record.value->size() : 0;
        pending_sends_.pop_front();
        taken += 1;
    }
    counted_sends_ += taken;
}

bool PartitionRunner::has_batch() const {
    return offsets_changed_ || !view_.batch_empty() || !out_.empty();
}

std::size_t PartitionRunner::batch_size() const {
    return view_.batch_size() + out_.size();
}

std::size_t PartitionRunner::batch_bytes() const {
    return view_.batch_bytes() + out_bytes_;
}

bool PartitionRunner::is_saturated() const {
    return pending_sends_.size() >= kPendingSendsMax / 2 || ready_to_go() >= kReadyIntakeMax;
}

void PartitionRunner::keep_alive() {
    offsets_changed_ = true;
}

Transaction PartitionRunner::seal(const Now& now) {
    for (const Departure& departure : departures_) {
        departure.guard->set_deadline(now.boot + config_.dispatch.intent_deadline);
    }
    if (offsets_changed_ || offsets_passed_) {
        view_.put_offsets(offsets_);
        offsets_changed_ = false;
        offsets_passed_ = false;
    }
    Transaction transaction;
    transaction.records = view_.ledger_records(partition_);
    std::move(out_.begin(), out_.end(), std::back_inserter(transaction.records));
    out_.clear();
    out_bytes_ = 0;
    for (OutRecord& record : transaction.records) {
        bound_timestamp(record, now.broker);
    }
    return transaction;
}

// Not before the commit is known: what a restart decides again must not be counted twice.
void PartitionRunner::count_committed() {
    for (const auto& [outcome, reason, provider] : std::exchange(counted_outcomes_, {})) {
        metrics_.outcome(outcome, reason);
        if (outcome == Outcome::Ambiguous) {
            metrics_.ambiguous(provider);
        }
    }
    for (const CountedAttempt& counted : std::exchange(counted_attempts_, {})) {
        metrics_.attempt(counted.provider->name, counted.answer);
        if (counted.took) {
            metrics_.send_duration(counted.provider->name, counted.took->count());
        }
        if (counted.latency) {
            metrics_.dispatch_latency(*counted.latency);
        }
    }
    for (const Count::What what : std::exchange(counted_, {})) {
        count_one(what);
    }
    if (counted_sends_ > 0) {
        metrics_.consumed(InputTopic::Sends, std::exchange(counted_sends_, 0));
    }
    if (counted_suppressions_ > 0) {
        metrics_.consumed(InputTopic::Suppressions, std::exchange(counted_suppressions_, 0));
    }
}

void PartitionRunner::count_one(Count::What what) {
    switch (what) {
        case Count::What::OutOfOrder:
            ordering_.out_of_order += 1;
            metrics_.out_of_order();
            return;
        case Count::What::Gap:
            ordering_.gaps += 1;
            metrics_.gap();
            return;
        case Count::What::Duplicate:
            ordering_.duplicates += 1;
            metrics_.duplicate();
            return;
        case Count::What::PayloadConflict:
            metrics_.payload_conflict();
            return;
    }
}

Result<void> PartitionRunner::committed(const CommitReceipt& receipt, const Now& now) {
    if (auto applied = view_.applied(receipt, now.broker); !applied) {
        return applied;
    }
    count_committed();
    registry_.settled(std::exchange(settled_, {}));
    note_new_wakes();
    hand_over_departures();
    count_held(now);
    metrics_.in_flight(partition_, static_cast<std::int64_t>(open_.size()));
    metrics_.held(partition_, std::max<std::int64_t>(0, ordering_.held));
    return {};
}

}  // namespace postlane
