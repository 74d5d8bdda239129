// The core's step() driven by bytes: a script of what happens to one recipient, under a configuration that the first
// bytes choose. The rules of the states are asserted after every input; at the end all comes to rest, and every input
// must have exactly one outcome.
#include <set>

#include "../core/fake_view.h"
#include "fuzz.h"

namespace postlane::fuzz {
namespace {

using std::chrono::hours;
using std::chrono::minutes;

class Script {
public:
    Script(const std::uint8_t* data, std::size_t size) : in_(data, size), bench_(config()) {}

    void run() {
        for (int actions = 0; actions < 300 && !in_.empty(); ++actions) {
            act();
            check();
        }
        come_to_rest();
    }

private:
    Config config() {
        using namespace config;
        Config config = core_config();
        config.ordering.on_gap =
            std::array{OnGap::DeadLetter, OnGap::Skip, OnGap::Wait}.at(in_.below(3));
        config.ordering.on_ambiguous = in_.flag() ? OnAmbiguous::Halt : OnAmbiguous::Advance;
        config.ordering.on_not_sent = in_.flag() ? OnNotSent::Halt : OnNotSent::Advance;
        config.ordering.first_step = in_.flag() ? FirstStep::Adopt : FirstStep::One;
        config.ordering.max_held = 2 + in_.below(4);
        config.routes[0].on_ambiguous =
            std::array{RouteOnAmbiguous::Auto, RouteOnAmbiguous::Park, RouteOnAmbiguous::Resend}.at(
                in_.below(3));
        return config;
    }

    std::string some_id() { return "m" + std::to_string(in_.below(10)); }

    void act() {
        switch (in_.below(11)) {
            case 0:
            case 1:
            case 2:
                receive();
                return;
            case 3:
            case 4:
                attempt(some_id(), in_.flag() ? "keyed" : "plain", in_.below(8) == 0 ? 8 : 9);
                return;
            case 5:
            case 6:
                finish(in_.u8());
                return;
            case 7:
                bench_.advance(
                    std::array<Millis, 4>{Millis{1}, minutes{20}, hours{13}, hours{80}}.at(
                        in_.below(4)));
                return;
            case 8:
                wake(some_id());
                return;
            case 9:
                suppress();
                return;
            default:
                refuse_payload(some_id());
                return;
        }
    }

    void receive() {
        EventSpec spec{.id = some_id()};
        spec.step = in_.below(7);
        spec.sequence_id = in_.flag() ? "drip" : "other";
        spec.body = in_.below(2);
        const std::uint8_t times = in_.u8();
        if ((times & 1U) != 0) {
            spec.send_at = bench_.now + hours{times >> 4U};
        }
        if ((times & 2U) != 0) {
            spec.expires_at = bench_.now + minutes{times};
        }
        if ((times & 4U) != 0) {
            spec.delay = minutes{times};
        }
        if (times == 0xff) {
            spec.recorded_at = bench_.now - std::chrono::days{91};
        }
        inputs_.insert(bench_.receive(spec));
    }

    const MessageRow* live(const std::string& id) {
        const auto found = bench_.view.messages.find(MessageId(id));
        return found == bench_.view.messages.end() || has_ended(found->second.state)
                   ? nullptr
                   : &found->second;
    }

    // As the runtime does: only what is due, one at a time, and in doubt by its own provider alone.
    void attempt(const std::string& id, std::string provider, std::uint8_t request) {
        const MessageRow* const row = live(id);
        const bool attemptable = row != nullptr && (row->state == MessageState::Ready ||
                                                    row->state == MessageState::Scheduled ||
                                                    row->state == MessageState::Retrying);
        if (!attemptable || row->wake_at > bench_.now || !sending().empty()) {
            return;
        }
        if (row->maybe_executed && row->intent) {
            provider = row->intent->provider;
        }
        bench_.attempt(id, provider, request);
    }

    std::string sending() {
        for (const auto& [id, row] : bench_.view.messages) {
            if (row.state == MessageState::Sending) {
                return id.value();
            }
        }
        return {};
    }

    void finish(std::uint8_t how) {
        const std::string id = sending();
        if (id.empty()) {
            return;
        }
        static constexpr int kStatus[] = {202, 200, 400, 401, 409, 422, 429, 500, 503, 302};
        if (how < 160) {
            bench_.answer(id, kStatus[how % 10],
                          how % 3 == 0 ? std::optional<Millis>(minutes{how}) : std::nullopt);
        } else if (how < 200) {
            bench_.no_answer(id);
        } else if (how < 230) {
            bench_.never_left(id, static_cast<NotHandedOver>(how % 6));
        } else if (how < 240) {
            const MessageId message(id);
            bench_.feed(AttemptWithdrawn{message});
        } else {
            bench_.in_doubt(id, how % 3 == 0 ? std::nullopt : std::optional<std::uint8_t>(9));
        }
    }

    void wake(const std::string& id) {
        if (const MessageRow* const row = live(id); row != nullptr && row->wake_at <= bench_.now) {
            bench_.wake(id);
        }
        for (const auto& sequence : {"drip", "other"}) {
            const auto row = bench_.view.sequences.find(sequence);
            if (row != bench_.view.sequences.end() && row->second.halt) {
                bench_.feed(HaltOver{sequence});
            }
        }
    }

    void suppress() {
        stopped_ = in_.below(3) != 0;
        if (stopped_) {
            bench_.suppress(SuppressionReason::Complaint);
        } else {
            bench_.view.by_recipient.reset();
        }
    }

    void refuse_payload(const std::string& id) {
        static const Rejection kRefused{Reason::InvalidField, "to.email: refused"};
        if (live(id) != nullptr) {
            const MessageId message(id);
            bench_.feed(PayloadUnreadable{message, kRefused});
        }
    }

    void check() {
        check_rows();
        check_outcomes();
        check_sends();
        check_sequences();
    }

    void check_rows() {
        int open = 0;
        for (const auto& [id, row] : bench_.view.messages) {
            open += row.state == MessageState::Sending ? 1 : 0;
            must(has_ended(row.state) != (row.payload != nullptr), "only what lives has a payload");
            must(row.state != MessageState::Sending || row.intent, "sending has its intent");
            const auto before = states_.find(id);
            // A row that has expired is no longer there: the id is free for another message.
            if (before != states_.end() && has_ended(before->second.state) &&
                before->second.state != MessageState::DeadLettered &&
                before->second.expires_at > bench_.now) {
                must(row.state == before->second.state, "what has ended stays as it ended");
            }
            states_[id] = {row.state, row.row_expires_at};
        }
        must(open <= 1, "one request at a time");
    }

    void check_outcomes() {
        for (; outcomes_seen_ < bench_.outcomes.size(); ++outcomes_seen_) {
            const OutcomeRecord& outcome = bench_.outcomes[outcomes_seen_];
            must(inputs_.contains(outcome.input_offset) ||
                     outcome.input_offset == bench_.next_offset - 1,
                 "an outcome names an input");
            must(ended_inputs_.insert(outcome.input_offset).second, "an input ends once");
            must(outcome.reason != Reason::None, "an outcome has its reason");
            dead_lettered_ += outcome.outcome == Outcome::DeadLettered ? 1U : 0U;
        }
        must(dead_lettered_ == bench_.dead_letters.size(), "a dead letter for each dead_lettered");
    }

    void check_sends() {
        for (; sends_seen_ < bench_.sends.size(); ++sends_seen_) {
            must(!stopped_, "nothing goes to who is suppressed");
            const MessageId& id = bench_.sends[sends_seen_].message_id;
            const auto sent = bench_.view.messages.find(id);
            must(sent != bench_.view.messages.end(), "what is sent has a row");
            if (!sent->second.sequence || sent->second.outside_sequence) {
                continue;
            }
            for (const auto& [other, row] : bench_.view.messages) {
                const bool lower = row.sequence && !row.outside_sequence &&
                                   row.sequence->id == sent->second.sequence->id &&
                                   row.sequence->step < sent->second.sequence->step;
                must(!lower || has_ended(row.state), "a lower step has ended before");
            }
        }
    }

    void check_sequences() {
        for (const auto& [id, row] : bench_.view.sequences) {
            must(row.known_through + 1 >= row.expected, "nothing is passed that is unknown");
            std::uint32_t held = 0;
            for (const auto& [key, entry] : bench_.view.steps) {
                held += key.first == id && key.second > row.known_through && !entry.ended ? 1U : 0U;
            }
            must(held == row.held, "the held steps are counted");
            must(row.held <= bench_.config.ordering.max_held, "not more are held than allowed");
        }
    }

    // Nothing more arrives and the provider takes everything: all must end.
    void come_to_rest() {
        for (int round = 0; round < 200 && any_live(); ++round) {
            bench_.advance(hours{9});
            const std::string open = sending();
            if (!open.empty()) {
                bench_.answer(open, 202);
            }
            for (int number = 0; number < 10; ++number) {
                const std::string id = "m" + std::to_string(number);
                wake(id);
                attempt(id, "keyed", 9);
                if (sending() == id) {
                    bench_.answer(id, 202);
                }
                check();
            }
        }
        must(!any_live(), "everything ends");
        must(ended_inputs_.size() == inputs_.size(), "every input has its outcome");
    }

    bool any_live() {
        for (const auto& [id, row] : bench_.view.messages) {
            if (!has_ended(row.state)) {
                return true;
            }
        }
        return false;
    }

    Bytes in_;
    Bench bench_;
    bool stopped_ = false;
    std::set<Offset> inputs_;
    std::set<Offset> ended_inputs_;
    struct Known {
        MessageState state;
        Instant expires_at;
    };
    std::map<MessageId, Known> states_;
    std::size_t outcomes_seen_ = 0;
    std::size_t sends_seen_ = 0;
    std::size_t dead_lettered_ = 0;
};

}  // namespace
}  // namespace postlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    postlane::fuzz::Script(data, size).run();
    return 0;
}
