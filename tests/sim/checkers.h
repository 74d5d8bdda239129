// Judges a world by what the providers executed and what stands in the topics; never by postlane's own state.
//
// Safety may be asked at any time, also while faults fire; `ended` adds what must hold once everything is quiet.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "postlane/reason.h"
#include "sim/world.h"

namespace postlane::sim {

class Checkers {
public:
    explicit Checkers(World& world);

    [[nodiscard]] std::vector<std::string> violations(bool ended);
    [[nodiscard]] std::vector<std::string> outcomes_of(std::size_t spec);

private:
    struct Seen {
        PartitionId partition = 0;
        Offset input = 0;
        Outcome outcome = Outcome::Sent;
        Reason reason = Reason::None;
        Time visible = 0;
        std::size_t spec = 0;
    };
    struct Receipt {
        PartitionId partition = 0;
        Offset input = 0;
    };

    void read_outcomes();
    void check_one_outcome_per_input(bool ended);
    void check_receipts(bool ended);
    void check_dead_letters();
    void check_executed_once();
    void check_agreement(bool ended);
    void check_order();
    void check_order_of(const std::vector<std::size_t>& steps, bool strict);
    void check_spacing_and_times();
    void check_not_too_early();
    void check_one_in_flight();
    void check_keys();
    void check_doubt();
    void check_credits();
    void check_suppressions();
    void check_suppression_of(const Execution& execution, const SendSpec& spec);
    void check_duplicates();
    void check_forwards();
    void check_stores();
    void check_store(PartitionId partition, const Machine& machine, bool of_owner);
    void note_filled_gaps();
    [[nodiscard]] bool may_execute_again(const Execution& first, const Execution& second) const;
    void violated(std::string text) { violations_.push_back(std::move(text)); }

    [[nodiscard]] std::string logical_id(std::size_t spec) const;
    [[nodiscard]] std::optional<std::size_t> spec_of_tag(const std::string& tag) const;

    World& world_;
    std::vector<Seen> outcomes_;
    std::vector<Receipt> receipts_;
    std::map<std::string, std::vector<const Seen*>> by_logical_;
    std::map<std::string, std::vector<const Execution*>> executed_;
    struct Input {
        Time appended = 0;
        Instant timestamp{};
        std::optional<Time> answered;  // when its outcome was visible
    };
    std::map<std::string, std::vector<Input>> inputs_;  // by logical id
    std::vector<std::string> violations_;
};

// "sent/accepted" for each visible outcome of an input that carries this message.
[[nodiscard]] std::vector<std::string> outcomes_of_spec(World& world, std::size_t spec);

// Everything that is wrong, as text for a failed assertion.
[[nodiscard]] std::string report(World& world, bool ended);

}  // namespace postlane::sim
