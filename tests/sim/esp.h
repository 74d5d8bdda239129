// The providers, and the HTTP side of one process.
//
// The ESP's record of what it executed is what the checkers judge by. It believes nobody: it knows only what arrives.
#pragma once

#include <deque>
#include <memory>

#include "postlane/config.h"
#include "postlane/ports/clock.h"
#include "postlane/ports/dispatcher.h"
#include "sim/env.h"

namespace postlane::sim {

// One email that a provider took on.
struct Execution {
    std::size_t provider = 0;
    std::string key;  // as the request carried it; the body's postlane_id where it carried none
    std::string tag;  // of the message, from its body
    Time handed_over = 0;
    Time executed = 0;
    std::string instance;
    bool maybe_late = false;  // executed after the client may have given up
};

class Esp {
public:
    Esp(Env& env, const Config& config)
        : env_(env), config_(config), remembered_(config.providers.size()) {}

    struct Answer {
        int status = 0;    // 0: none will come
        std::string word;  // the provider's name of the error
        bool connection_dies = false;
        std::string id;
        std::optional<Millis> retry_after;
        Time after = 0;
    };
    // A request has arrived.
    Answer arrive(std::size_t provider, const HttpRequest& request, Time handed_over,
                  const std::string& instance);

    [[nodiscard]] const std::vector<Execution>& executions() const { return executions_; }

    // What went over the wire, executed or not.
    struct Request {
        std::string tag;
        Time handed_over = 0;
        Time ended = 0;  // answered, given up, or (the sender died) arrived
        bool open = true;
    };
    [[nodiscard]] const std::vector<Request>& requests() const { return requests_; }
    // Of requests that came with a key the provider still remembered, and with other bytes.
    [[nodiscard]] const std::vector<std::string>& changed_under_key() const {
        return changed_under_key_;
    }
    [[nodiscard]] std::size_t note_request(const HttpRequest& request);
    void note_end(std::size_t request, Time at_most);
    // A wildcard for tests: given the tag, how to treat its next request. Empty: by the faults' dice.
    enum class Treatment : std::uint8_t {
        ByDice,
        Accept,
        Reject,
        Throttle,
        ErrorExecuted,
        ErrorNotExecuted,
        LoseAnswer,
        HangExecuted,
        HangLate,
        HangNever
    };
    std::function<Treatment(std::size_t provider, const std::string& tag)> treat;

private:
    struct Remembered {
        Time first_seen = 0;
        std::string body;
        std::string id;
        bool running = false;
        std::string instance;  // that executed it
    };
    [[nodiscard]] Treatment draw();
    [[nodiscard]] Answer refuse_account(std::size_t provider, Answer answer);
    std::string execute(Execution execution, const std::string& body);
    // What the provider does with a request it sees for the first time.
    [[nodiscard]] Answer treated(Treatment treatment, Execution execution, const std::string& body,
                                 Answer answer);
    [[nodiscard]] bool remembers(std::size_t provider, const std::string& key, Answer& answer,
                                 const std::string& body, const std::string& instance);

    Env& env_;
    const Config& config_;
    std::vector<std::map<std::string, Remembered>> remembered_;
    std::vector<Execution> executions_;
    std::vector<Request> requests_;
    std::vector<std::string> changed_under_key_;  // tags
    Time account_refused_until_ = 0;
};

// What libcurl and its I/O threads are in the real program.
class SimDispatcher final : public Dispatcher {
public:
    SimDispatcher(Env& env, Esp& esp, const Config& config, std::shared_ptr<Process> process,
                  const Clock& clock, AttemptSink& sink)
        : env_(env), esp_(esp), config_(config), process_(std::move(process)), clock_(clock),
          sink_(sink), lanes_(config.providers.size()) {}

    void submit(DispatchRequest request) override;
    // The mutant RegistryForgets.
    std::function<void(const AttemptId&)> forget_result;

private:
    struct Wire {
        DispatchRequest request;
        std::string tag;
        BootInstant submitted_at{};
        BootInstant handed_over_at{};
        std::size_t noted = 0;
        bool ended = false;
    };
    struct Lane {
        std::deque<std::shared_ptr<Wire>> queue;
        std::size_t on_wire = 0;
    };
    void start_next(std::size_t provider);
    void hand_over(const std::shared_ptr<Wire>& wire);
    void transmit(const std::shared_ptr<Wire>& wire);
    void answered(const std::shared_ptr<Wire>& wire, const Esp::Answer& answer);
    void end(const std::shared_ptr<Wire>& wire, AttemptResult result);

    Env& env_;
    Esp& esp_;
    const Config& config_;
    const std::shared_ptr<Process> process_;
    const Clock& clock_;
    AttemptSink& sink_;
    std::vector<Lane> lanes_;
};

}  // namespace postlane::sim
