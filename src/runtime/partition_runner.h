// Runs one partition: feeds events to step(), performs the effects, and yields a sealed batch for one transaction.
//
// Sans-I/O but for reads of the local store: it is told what arrived and what the time is, and never blocks. Owned by
// the partition's thread for one epoch; a restart makes a new one. The order within a batch:
//
//   on_*()      events are taken in
//   decide()    suppressions, results, timers, doubts, inputs, attempts, in this order
//   seal()      the batch as a transaction              -> the driver commits it
//   committed() the batch into the store, then intents to the HTTP side
//
// docs/architecture.md tells the way of one message through here.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "codec/decode.h"
#include "postlane/machine.h"
#include "postlane/ports/dispatcher.h"
#include "postlane/ports/ledger_log.h"
#include "postlane/ports/metrics.h"
#include "runtime/attempt_registry.h"
#include "runtime/dispatch_guard.h"
#include "runtime/distinct_count.h"
#include "runtime/freshness.h"
#include "runtime/ledger_view.h"
#include "runtime/provider_flow.h"
#include "runtime/ready_queue.h"

namespace postlane {

// Both clocks at one moment.
struct Now {
    BootInstant boot;
    Instant broker;
};

// What every runner of a process shares, and what its partition owns. All of it outlives the runner.
struct RunnerPorts {
    const Config& config;
    PartitionId partition;
    std::int32_t partition_count;
    Store& store;
    const AddressView& addresses;
    ProviderFlow& flow;
    ProviderFlow::WaiterId waiter;
    AttemptRegistry& registry;
    Dispatcher& dispatcher;
    Metrics& metrics;
    std::shared_ptr<PartitionGuard> guard;
    std::size_t max_record_bytes;  // what the dead-letter topic takes
};

// For /metrics/ordering and status pages; since this runner began, but held: now.
struct OrderingCounts {
    std::uint64_t out_of_order = 0;
    std::uint64_t gaps = 0;
    std::uint64_t duplicates = 0;
    std::int64_t held = 0;
    std::uint64_t sequences = 0;  // begun
};

class PartitionRunner {
public:
    PartitionRunner(const RunnerPorts& ports, Epoch epoch);
    ~PartitionRunner();
    PartitionRunner(const PartitionRunner&) = delete;
    PartitionRunner& operator=(const PartitionRunner&) = delete;

    // --- restore: ledger().replay() first, then begin() once ---
    [[nodiscard]] LedgerView& ledger() { return view_; }
    // `fenced_at`: when init_transactions returned; doubts about other processes' attempts count from it.
    void begin(BootInstant fenced_at, const Now& now);

    // --- events ---
    [[nodiscard]] bool wants_sends() const;
    // `end_seen`: as with on_suppressions.
    void on_sends(std::vector<InputRecord> records, std::optional<Offset> end_seen, const Now& now);
    [[nodiscard]] bool wants_suppressions() const;
    // `end_seen`: the next offset of the topic once nothing more was there.
    void on_suppressions(std::vector<InputRecord> records, std::optional<Offset> end_seen);
    void on_proof(BootInstant asked_at, Offset end);
    void on_results(std::vector<AttemptRegistry::Finished> results);

    // A provider that refused a slot may grant one now.
    void on_credit() { blocked_routes_.clear(); }

    void decide(const Now& now);
    // The moment as of which waiting work needs the view to be fresh; the epoch if none waits.
    [[nodiscard]] BootInstant wants_fresh_since() const { return wants_fresh_since_; }
    // When decide() has something to do without any event.
    [[nodiscard]] BootInstant next_wake(const Now& now) const;
    // For status and metrics: what has arrived and is not decided.
    [[nodiscard]] std::size_t undecided() const { return pending_sends_.size(); }

    // --- the batch ---
    [[nodiscard]] bool has_batch() const;
    [[nodiscard]] std::size_t batch_size() const;
    [[nodiscard]] std::size_t batch_bytes() const;
    // More input waits than can be dispatched: throughput matters now, not latency.
    [[nodiscard]] bool is_saturated() const;
    // Whether the next offsets went on over what is no input, and no transaction has said so yet.
    [[nodiscard]] bool has_passed() const { return offsets_passed_; }
    // A batch that says nothing but that we are alive, and the next offsets.
    void keep_alive();
    // `now` starts the deadlines of its intents: the commit can only come later, so a successor that waits for
    // them from its own fencing waits long enough.
    [[nodiscard]] Transaction seal(const Now& now);
    [[nodiscard]] Result<void> committed(const CommitReceipt& receipt, const Now& now);

    // --- leaving ---
    void stop_intents() { stopping_ = true; }
    [[nodiscard]] std::size_t open_intents() const { return open_.size(); }

    [[nodiscard]] const std::optional<Error>& failure() const { return view_.failure(); }
    // Behind what was decided, and behind what is no input: transaction markers and aborted records have offsets too.
    [[nodiscard]] const OffsetsRow& next_offsets() const { return offsets_; }
    [[nodiscard]] const OrderingCounts& ordering() const { return ordering_; }
    [[nodiscard]] BootInstant fresh_since() const;
    // Recipients with a request in flight or a message ready in memory.
    // Whose sends were read since this runner began (a restart of the partition makes another).
    [[nodiscard]] std::size_t recipients_seen() const { return recipients_.count(); }
    // With mail that is ready or on its way.
    [[nodiscard]] std::size_t live_recipients() const { return ready_.recipients(); }

private:
    struct PendingSend {
        InputRecord record;
        BootInstant arrived;
        Instant received_at;
    };
    // An intent of this epoch or, after a restart of the partition, of this process.
    struct OpenAttempt {
        RecipientId recipient;
        MessageId message_id;
    };
    struct Doubt {
        RecipientId recipient;
        MessageId message_id;
        BootInstant decidable_at;
    };
    // Decided, waiting for its intent's commit.
    struct Departure {
        AttemptId attempt;
        std::size_t provider = 0;
        Grant grant;
        HttpRequest request;
        std::shared_ptr<DispatchGuard> guard;
    };
    // Decisions that a decision asked for, to be made after it in the same batch.
    struct FollowUp {
        RecipientId recipient;
        std::variant<ReachStep, EndHalt> what;
    };
    struct RouteTimer {
        std::string scan_from;  // every wake before it is in memory or gone
        Instant next_at{};      // nothing to do before
    };

    // partition_runner.cc
    void run(const RecipientId& recipient, const Input& input, const Now& now);
    void decide_one(const RecipientId& recipient, const Input& input, const Now& now);
    void perform(const RecipientId& recipient, Effects effects, const Now& now);
    void perform_put(const RecipientId& recipient, PutMessage put, const Now& now);
    void perform_outcome(const OutcomeRecord& outcome);
    void count_committed();
    void count_one(Count::What what);
    void perform_rest(const RecipientId& recipient, const Effect& effect, const Now& now);
    void follow_up(const FollowUp& next, const Now& now);
    void pass_what_is_no_input();
    void decide_suppressions(const Now& now);
    void decide_results(const Now& now);
    void decide_doubts(const Now& now);
    void decide_inputs(const Now& now);
    void publish_freshness();
    [[nodiscard]] bool names_address(const std::string& provider_id, const RecipientId& recipient,
                                     const MessageRow& row);
    // Of a live row; the decoder may have become stricter since it was stored.
    [[nodiscard]] tl::expected<std::shared_ptr<const SendEvent>, Rejection> stored_event(
        const RecipientId& recipient, const MessageRow& row);

    // partition_dispatch.cc
    bool decide_attempts(const Now& now);  // whether any message will depart
    enum class Tried : std::uint8_t { Done, RouteBlocked };
    Tried try_attempt(const ReadyItem& item, const Now& now);
    struct Choice {
        std::size_t provider = 0;
        Grant grant;
        bool route_known = true;
    };
    Choice choose_provider(const MessageRow& row, std::size_t bytes, const Now& now);
    void attempt(const ReadyItem& item, const MessageRow& row, const SendEvent& event,
                 const Choice& choice, const Now& now);
    void expire_ready(const Now& now);
    void hand_over_departures();

    // partition_timers.cc
    void decide_timers(const Now& now);
    void scan_route(const std::string& route, RouteTimer& timer, const Now& now);
    bool wake_up(const ledger::Wake& wake, const std::string& key, const Now& now);
    bool offer(const RecipientId& recipient, const MessageId& id, const MessageRow& row,
               BootInstant since, std::shared_ptr<const SendEvent> event);
    bool load_more(const Now& now);
    void find_more(const ReadyQueue::More& more, const std::string& route, std::size_t& budget,
                   const Now& now, std::vector<ledger::Wake>& found,
                   std::map<std::string, ReadyQueue::From>& rest);
    void step_aside(const RecipientId& recipient, const MessageId& id, const MessageRow& row,
                    Instant until);
    void park_blocked_routes(const Now& now);
    [[nodiscard]] std::size_t ready_to_go() const;
    [[nodiscard]] bool input_read_through(Instant when) const;
    void note_new_wakes();
    void note_wake(const ledger::Wake& wake);
    void sweep(const Now& now);
    void count_held(const Now& now);
    void held_changed(const RecipientId& recipient, const std::string& sequence_id,
                      std::int64_t by);

    const Config& config_;
    const PartitionId partition_;
    const std::int32_t partition_count_;
    const AddressView& addresses_;
    ProviderFlow& flow_;
    const ProviderFlow::WaiterId waiter_;
    AttemptRegistry& registry_;
    Dispatcher& dispatcher_;
    Metrics& metrics_;
    const std::shared_ptr<PartitionGuard> guard_;
    const std::size_t max_record_bytes_;

    LedgerView view_;
    Decoder decoder_;
    OffsetsRow offsets_;
    FreshnessProofs proofs_;
    BootInstant wants_fresh_since_{};
    bool stopping_ = false;

    std::deque<InputRecord> pending_suppressions_;
    std::optional<Offset> suppressions_end_;
    std::deque<PendingSend> pending_sends_;
    std::optional<Offset> sends_end_;
    Instant last_recorded_at_{};  // of the last input decided
    std::size_t pending_bytes_ = 0;
    std::vector<AttemptRegistry::Finished> pending_results_;

    ReadyQueue ready_;
    std::map<AttemptId, OpenAttempt> open_;
    std::vector<Doubt> doubts_;
    std::map<std::string, RouteTimer> timers_;
    std::set<std::string> blocked_routes_;  // no slot for them until on_credit()
    std::set<std::string> parked_routes_;   // their messages went from memory to the store alone
    BootInstant blocked_until_{};
    Instant next_expiry_check_{};
    std::string sweep_from_;
    std::optional<std::string> held_from_;  // steps from here on are not in ordering_.held yet
    BootInstant next_sweep_{};

    // Of the batch being made.
    std::vector<OutRecord> out_;
    std::size_t out_bytes_ = 0;
    std::vector<Departure> departures_;
    std::optional<Departure> departing_;  // of the attempt being asked about
    std::deque<FollowUp> follow_ups_;
    std::vector<AttemptId> settled_;
    bool offsets_changed_ = false;
    bool offsets_passed_ = false;  // what is no input, which is no reason for a transaction
    struct CountedOutcome {
        Outcome outcome;
        Reason reason;
        std::string provider;
    };
    std::vector<CountedOutcome> counted_outcomes_;
    struct CountedAttempt {
        const config::Provider* provider = nullptr;
        AnswerClass answer = AnswerClass::NotHandedOver;
        std::optional<std::chrono::duration<double>> took = {};
        std::optional<double> latency = {};
    };
    std::vector<CountedAttempt> counted_attempts_;
    std::vector<Count::What> counted_;
    std::uint64_t counted_sends_ = 0;
    std::uint64_t counted_suppressions_ = 0;
    std::shared_ptr<const SendEvent> event_at_hand_;  // of the input being decided
    std::optional<std::string> key_at_hand_;          // and its raw key

    OrderingCounts ordering_;
    DistinctCount recipients_;
};

}  // namespace postlane
