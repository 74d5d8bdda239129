#include "runtime/partition.h"

#include <algorithm>
#include <utility>

#include "postlane/crash_point.h"

namespace postlane {
namespace {

constexpr std::size_t kPollMax = 1'024;
constexpr Offset kBacklog = 512;
constexpr std::chrono::hours kKeepAlive{1};
constexpr std::chrono::seconds kPassedFor{5};
constexpr Millis kStatusInterval{100};
constexpr Millis kCreditCheck{100};
constexpr std::chrono::seconds kIdle{1};
constexpr std::chrono::seconds kStaleTold{10};

}  // namespace

Partition::Partition(Surroundings& surroundings, PartitionId id, PartitionPorts ports,
                     std::shared_ptr<Bell> bell)
    : around_(surroundings), id_(id), ports_(std::move(ports)), bell_(std::move(bell)),
      waiter_(surroundings.flow.add_waiter([ring = bell_, credit = credit_] {
          credit->store(true);
          ring->ring();
      })) {
    around_.freshness.add(id_, [this](BootInstant asked_at, Offset end) {
        {
            const std::lock_guard lock(mutex_);
            proofs_.push_back({asked_at, end});
        }
        bell_->ring();
    });
    around_.metrics.partition_state(id_, PartitionState::Fencing);
    // Known series exist from the start; their first values come with the first round.
    around_.metrics.lag(InputTopic::Sends, id_, 0);
    around_.metrics.lag(InputTopic::Suppressions, id_, 0);
}

Partition::~Partition() {
    around_.freshness.remove(id_);
    around_.flow.remove_waiter(waiter_);
    stop();
}

Now Partition::now() const {
    const BootInstant boot = around_.clock.boot_now();
    return Now{boot, around_.broker_clock.at(boot)};
}

std::optional<Error> Partition::failure() const {
    const std::lock_guard lock(mutex_);
    return failure_;
}

Partition::Status Partition::status() const {
    const std::lock_guard lock(mutex_);
    Status status = status_;
    // As of now, not of the last turn: an idle partition takes few.
    if (const BootInstant::rep fresh = guard_->fresh_since.load(); fresh != 0) {
        status.fresh_since =
            std::min(BootInstant{BootClock::duration{fresh}}, around_.addresses.fresh_since());
    }
    return status;
}

void Partition::drain(BootInstant deadline) {
    {
        const std::lock_guard lock(mutex_);
        drain_deadline_ = deadline;
    }
    draining_ = true;
    bell_->ring_urgently();
}

void Partition::discard() {
    // At once, from whatever thread: from here on the last check refuses every request of ours.
    guard_->epoch.store(0);
    discarded_ = true;
    bell_->ring_urgently();
}

void Partition::post(std::function<void(Partition&)> question) {
    {
        const std::lock_guard lock(mutex_);
        questions_.push_back(std::move(question));
    }
    bell_->ring_urgently();
}

void Partition::answer_questions() {
    std::vector<std::function<void(Partition&)>> questions;
    {
        const std::lock_guard lock(mutex_);
        questions.swap(questions_);
    }
    for (const auto& question : questions) {
        question(*this);
    }
}

BootInstant Partition::turn() {
    {
        const std::lock_guard lock(mutex_);
        status_.last_turn = around_.clock.boot_now();
    }
    if (discarded_ && stage_ != Stage::Failed) {
        stop();
        enter(Stage::Stopped, PartitionState::Stopped);
    }
    BootInstant next = around_.clock.boot_now() + kIdle;
    switch (stage_.load()) {
        case Stage::Starting:
            if (draining_) {
                stop();
                enter(Stage::Stopped, PartitionState::Stopped);
                break;
            }
            next = start();
            break;
        case Stage::Running:
        case Stage::Draining:
            next = round();
            break;
        case Stage::Stopped:
        case Stage::Failed:
            break;
    }
    answer_questions();
    return next;
}

void Partition::enter(Stage stage, PartitionState state) {
    stage_ = stage;
    around_.metrics.partition_state(id_, state);
}

BootInstant Partition::round() {
    const Now at = now();
    if (draining_ && stage_ == Stage::Running) {
        runner_->stop_intents();
        enter(Stage::Draining, PartitionState::Draining);
        crash_point(CrashPoint::Drain);
    }
    if (auto taken = take_inputs(); !taken) {
        restart(taken.error());
        return at.boot;
    }
    if (credit_->exchange(false) || at.boot >= next_credit_check_) {
        next_credit_check_ = at.boot + kCreditCheck;
        runner_->on_credit();
    }
    runner_->decide(at);
    if (runner_->failure()) {
        restart(Error(*runner_->failure()));  // the runner, and its failure, end there
        return at.boot;
    }
    if (keeps_alive(at)) {
        runner_->keep_alive();
    }
    BootInstant next = runner_->next_wake(at);
    quiet_until_ = {};
    if (runner_->has_batch()) {
        const bool busy = is_busy();
        const CommitPacer::Load load{.records = runner_->batch_size(),
                                     .bytes = runner_->batch_bytes(),
                                     .busy = busy,
                                     .active_partitions = around_.commits.partitions(at.boot),
                                     .staleness_max = around_.config.suppression.max_staleness};
        const BootInstant due = pacer_.due(load);
        if (due <= at.boot || stage_ == Stage::Draining) {
            if (auto committed = commit(at); !committed) {
                restart(committed.error());
                return at.boot;
            }
            if (!busy || stage_ == Stage::Draining) {
                return at.boot;  // what gathered meanwhile
            }
            // Decided right before the commit, not right after the last one: a slot of a provider is held meanwhile.
            quiet_until_ = pacer_.next(load);
            next = quiet_until_;
        } else {
            next = std::min(next, due);
        }
    }
    if (runner_->wants_fresh_since() > runner_->fresh_since() &&
        runner_->wants_fresh_since() >= proof_asked_at_) {
        proof_asked_at_ = around_.clock.boot_now() + BootClock::duration{1};
        around_.freshness.ask();
    }
    publish_status(at);
    return stage_ == Stage::Draining ? finish_draining(at) : next;
}

// Hourly; soon where the end of the input went on without input, so that retention cannot delete what the ledger still
// calls the next record, nor the group see a lag; and at the end of a drain.
bool Partition::keeps_alive(const Now& at) const {
    const BootClock::duration idle = at.boot - last_commit_;
    const bool leaves = stage_ == Stage::Draining && runner_->open_intents() == 0;
    return idle >= kKeepAlive || (runner_->has_passed() && (idle >= kPassedFor || leaves));
}

// More input waits than one round takes, or more messages than can be dispatched, and the batch gains by waiting:
// throughput matters, not latency.
bool Partition::is_busy() const {
    if (runner_->batch_size() < CommitPacer::kRecordsFew) {
        return false;
    }
    const auto end = ports_.sends->high_watermark();
    return runner_->is_saturated() || (end && *end - runner_->next_offsets().sends >= kBacklog);
}

Result<void> Partition::take_inputs() {
    if (runner_->wants_suppressions()) {
        std::vector<InputRecord> records;
        if (auto polled = ports_.suppressions->poll(records, kPollMax); !polled) {
            return polled;
        }
        runner_->on_suppressions(std::move(records), ports_.suppressions->end_seen());
    }
    std::vector<Proof> proofs;
    {
        const std::lock_guard lock(mutex_);
        proofs.swap(proofs_);
    }
    for (const Proof& proof : proofs) {
        runner_->on_proof(proof.asked_at, proof.end);
    }
    runner_->on_results(around_.registry.take(id_));
    if (runner_->wants_sends()) {
        std::vector<InputRecord> records;
        if (auto polled = ports_.sends->poll(records, kPollMax); !polled) {
            return polled;
        }
        if (!records.empty()) {
            crash_point(CrashPoint::AfterPoll);
        }
        // They arrived at the latest now, not when the round began: a suppression that was acknowledged before one of
        // them was produced may be younger than that, and than a proof asked for meanwhile.
        runner_->on_sends(std::move(records), ports_.sends->end_seen(), now());
    }
    return {};
}

Result<void> Partition::commit(const Now& at) {
    const Transaction transaction = runner_->seal(at);
    auto receipt = log_->commit(transaction);
    const Now after = now();
    if (!receipt) {
        return tl::unexpected<Error>(receipt.error());
    }
    crash_point(CrashPoint::CommittedNotStored);
    const BootClock::duration took = after.boot - at.boot;
    around_.broker_clock.learn(*receipt, took);
    pacer_.committed(at.boot, took);
    around_.commits.committed(id_, at.boot);
    last_commit_ = after.boot;
    around_.metrics.ledger_write(std::chrono::duration<double>(took).count(),
                                 transaction.records.size());
    if (discarded_) {
        return {};  // lost meanwhile: nothing of it may leave
    }
    if (auto applied = runner_->committed(*receipt, after); !applied) {
        return applied;
    }
    if (stage_ != Stage::Starting) {
        around_.show_progress(id_, runner_->next_offsets().sends);
    }
    return {};
}

BootInstant Partition::finish_draining(const Now& at) {
    BootInstant deadline;
    {
        const std::lock_guard lock(mutex_);
        deadline = drain_deadline_;
    }
    if (runner_->open_intents() == 0 && !runner_->has_batch()) {
        stop();
        enter(Stage::Stopped, PartitionState::Stopped);
        return at.boot;
    }
    if (at.boot >= deadline) {
        give_up(Error{ErrorCode::Unavailable,
                      "partition " + std::to_string(id_) + " could not drain in time: " +
                          std::to_string(runner_->open_intents()) + " requests without an answer"});
    }
    return std::min(deadline, at.boot + Millis{100});
}

// restart_partition: everything that was believed is dropped together (overlay, applied suppressions, proofs), and
// read again from the ledger. The attempts on the wire stay in the registry.
void Partition::restart(const Error& why) {
    if (discarded_) {
        return;  // turn() stops it
    }
    around_.metrics.partition_restarted(id_);
    around_.log(Severity::Warning, "partition.restarted",
                "partition " + std::to_string(id_) + " restarts from its ledger: " + why.detail);
    guard_->epoch.store(0);
    runner_.reset();
    log_.reset();
    if (is_for_a_person(why.code)) {
        give_up(why);
        return;
    }
    if (why.code == ErrorCode::Corrupt && store_) {
        (void)store_->wipe();
    }
    store_.reset();
    if (restarted_too_often()) {
        give_up(Error{why.code, "partition " + std::to_string(id_) + " restarted " +
                                    std::to_string(restarts_.size()) +
                                    " times in ten minutes, last: " + why.detail});
        return;
    }
    enter(Stage::Starting, PartitionState::Fencing);
}

bool Partition::restarted_too_often() {
    const BootInstant at = around_.clock.boot_now();
    restarts_.push_back(at);
    std::erase_if(restarts_, [&](BootInstant when) { return at - when > kRestartsWithin; });
    return restarts_.size() >= kRestartsMax;
}

void Partition::give_up(const Error& why) {
    stop();
    {
        const std::lock_guard lock(mutex_);
        failure_ = why;
    }
    enter(Stage::Failed, PartitionState::Stopped);
    around_.log(Severity::Error, "partition.failed", why.detail);
}

void Partition::stop() {
    guard_->epoch.store(0);
    around_.registry.closed(id_);
    runner_.reset();
    log_.reset();
    store_.reset();
}

void Partition::publish_status(const Now& at) {
    if (at.boot < next_status_) {
        return;
    }
    next_status_ = at.boot + kStatusInterval;
    const OffsetsRow& next = runner_->next_offsets();
    Status status;
    const auto lag = [](const std::optional<Offset>& end, Offset from) {
        return end ? std::max<std::int64_t>(0, *end - std::max<Offset>(from, 0)) : -1;
    };
    status.sends_lag = lag(ports_.sends->high_watermark(), next.sends);
    status.suppressions_lag = lag(ports_.suppressions->high_watermark(), next.suppressions);
    status.fresh_since = runner_->fresh_since();
    status.in_flight = runner_->open_intents();
    status.recipients = runner_->recipients_seen();
    status.ordering = runner_->ordering();
    status.last_turn = at.boot;
    const std::chrono::duration<double> staleness = at.boot - status.fresh_since;
    around_.metrics.staleness(id_, staleness.count());
    tell_staleness(at.boot);
    if (status.sends_lag >= 0) {
        around_.metrics.lag(InputTopic::Sends, id_, status.sends_lag);
    }
    if (status.suppressions_lag >= 0) {
        around_.metrics.lag(InputTopic::Suppressions, id_, status.suppressions_lag);
    }
    const std::lock_guard lock(mutex_);
    status_ = status;
}

// Once when it lasts, once when it is over. All mail waits then, and nothing else may say so: behind a transaction that
// a producer left open there is no error, only an end that is never reached.
void Partition::tell_staleness(BootInstant at) {
    if (at - runner_->fresh_since() <= around_.config.suppression.max_staleness) {
        stale_since_.reset();
        if (std::exchange(stale_told_, false)) {
            around_.log(Severity::Info, "freshness.fresh",
                        "partition " + std::to_string(id_) + " knows every suppression again");
        }
        return;
    }
    stale_since_ = stale_since_.value_or(at);
    if (stale_told_ || stage_ != Stage::Running || at - *stale_since_ <= kStaleTold) {
        return;
    }
    stale_told_ = true;
    const config::Topics& topics = around_.config.topics;
    const BootInstant own{BootClock::duration{guard_->fresh_since.load()}};
    std::string where = topics.address_suppressions + ", whichever partition of it lags";
    if (own <= around_.addresses.fresh_since()) {
        where = topics.suppressions + ", partition " + std::to_string(id_) + ", from offset " +
                std::to_string(runner_->next_offsets().suppressions);
    }
    around_.log(Severity::Warning, "freshness.stale",
                "partition " + std::to_string(id_) +
                    " has sent nothing for more than 10 s: suppressions are not read yet in " +
                    where +
                    ". If the brokers answer and the lag stays, a transaction that a producer left "
                    "open may be the cause");
}

}  // namespace postlane
