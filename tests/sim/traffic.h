// What producers write: sends of every kind, duplicates, replays, poison, suppressions racing them.
//
// The tables here are what the checkers know about the input; each record carries its row's number in a header.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "postlane/config.h"
#include "postlane/event.h"
#include "sim/env.h"

namespace postlane::sim {

// One logical message, or one record that cannot become one.
struct SendSpec {
    std::string recipient;
    std::string address;
    std::string message_id;  // as the contract defines it, also where the event leaves it out
    std::string category;
    std::string route;
    std::optional<SequenceRef> sequence;
    std::optional<Time> send_at;
    Time delay_after_previous = 0;
    std::optional<Time> expires_at;
    bool poison = false;  // no outcome but dead_lettered is possible
    Time first_produced = -1;
    std::string value;
};

struct SuppressionSpec {
    bool by_address = false;
    std::string whom;
    SuppressionEvent::Action action = SuppressionEvent::Action::Suppress;
    SuppressionReason reason = SuppressionReason::Unsubscribe;
    Scope scope;
    Instant occurred_at{};
    std::optional<Instant> expires_at;
};

struct TrafficOptions {
    std::size_t recipients = 8;
    std::size_t messages = 60;
    std::size_t suppressions = 12;
    double duplicates = 0.1;
    double missing_steps = 0.1;
    double poison = 0.05;
    double replays = 0.3;  // whether a slice of the input is produced again
    double scheduled = 0.1;
    double delays = 0.1;
    Time duration = 20 * kSecond;
    std::vector<std::string> routes{"keyed", "plain"};
};

inline constexpr const char* kSpecHeader = "sim";

class Traffic {
public:
    Traffic(Env& env, const Config& config) : env_(env), config_(config) {}

    // Schedules everything.
    void offer(const TrafficOptions& options);

    // --- single records, for tests and for the schedule ---
    std::size_t add_send(SendSpec spec, std::string extra_members = "");
    Offset produce_send(std::size_t spec, TransactionId transaction = 0);
    // As its producer does: alone, or in a transaction, perhaps the second one of two.
    void produce(std::size_t spec);
    std::size_t add_suppression(SuppressionSpec spec);
    Offset produce_suppression(std::size_t spec, TransactionId transaction = 0);
    // The steps that no schedule produced, so that who waits for them stops waiting.
    void produce_missing_steps();
    // What was appended between; `as_of_then`: with the timestamps it had, as a mirror or a backup does.
    void produce_again(Time from, Time to, bool as_of_then = false);

    [[nodiscard]] const std::vector<SendSpec>& sends() const { return sends_; }
    [[nodiscard]] const std::vector<SuppressionSpec>& suppressions() const { return suppressions_; }
    // By the subject that its request carries; empty if there is none.
    [[nodiscard]] std::string recipient_of(const std::string& tag) const;
    [[nodiscard]] PartitionId home_of(const std::string& recipient) const;

private:
    void offer_message(const TrafficOptions& options, std::size_t number);
    void offer_sequence(const TrafficOptions& options, std::size_t number, std::size_t steps);
    void offer_poison(const TrafficOptions& options, std::size_t number);
    void offer_suppression(const TrafficOptions& options);
    void schedule(std::size_t spec, const TrafficOptions& options, Time when);
    [[nodiscard]] SendSpec new_spec(const TrafficOptions& options);
    [[nodiscard]] Time some_time(const TrafficOptions& options);

    Env& env_;
    const Config& config_;
    std::vector<SendSpec> sends_;
    std::vector<SuppressionSpec> suppressions_;
    std::vector<std::size_t> never_produced_;
    std::vector<Time> send_times_;
    std::size_t next_sequence_ = 0;
    std::size_t transactions_ = 0;
};

}  // namespace postlane::sim
