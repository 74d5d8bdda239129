#include "sim/esp.h"

#include <algorithm>

namespace postlane::sim {
namespace {

constexpr int kOk = 200;
constexpr int kUnauthorized = 401;
constexpr int kConflict = 409;
constexpr int kUnprocessable = 422;
constexpr int kTooMany = 429;
constexpr int kInternal = 500;
constexpr int kUnavailable = 503;

Time micros(Millis duration) {
    return std::chrono::duration_cast<std::chrono::microseconds>(duration).count();
}

// The text between `before` and the next quote.
std::string text_after(const std::string& body, const std::string& before) {
    const auto at = body.find(before);
    if (at == std::string::npos) {
        return "";
    }
    const auto begin = at + before.size();
    return body.substr(begin, body.find('"', begin) - begin);
}

std::string tag_of_body(const std::string& body) {
    return text_after(body, "\"subject\":\"");
}

std::string tag_of(const HttpRequest& request) {
    return tag_of_body(request.body);
}

}  // namespace

Esp::Treatment Esp::draw() {
    const Faults& faults = env_.faults;
    if (env_.dice(faults.esp_reject)) {
        return Treatment::Reject;
    }
    if (env_.dice(faults.esp_throttle)) {
        return Treatment::Throttle;
    }
    if (env_.dice(faults.esp_error)) {
        return env_.random.chance(0.5) ? Treatment::ErrorExecuted : Treatment::ErrorNotExecuted;
    }
    if (env_.dice(faults.esp_lose_answer)) {
        return Treatment::LoseAnswer;
    }
    if (env_.dice(faults.esp_hang)) {
        constexpr std::array kHangs{Treatment::HangExecuted, Treatment::HangLate,
                                    Treatment::HangNever};
        return kHangs[env_.random.below(kHangs.size())];
    }
    return Treatment::Accept;
}

std::string Esp::execute(Execution execution, const std::string& body) {
    execution.executed = env_.now();
    env_.trace(config_.providers[execution.provider].name, env_.trace.whose(execution.tag),
               "executes {}, handed over by {} at {:.6f}", execution.tag, execution.instance,
               static_cast<double>(execution.handed_over) / kSecond);
    std::string id = "id-" + std::to_string(executions_.size() + 1);
    if (config_.providers[execution.provider].idempotency == config::Idempotency::Header) {
        Remembered& memory = remembered_[execution.provider][execution.key];
        memory.body = body;
        memory.id = id;
        memory.running = false;
        memory.instance = execution.instance;
    }
    executions_.push_back(std::move(execution));
    return id;
}

// True if the key settles the answer.
bool Esp::remembers(std::size_t provider, const std::string& key, Answer& answer,
                    const std::string& body, const std::string& instance) {
    if (config_.providers[provider].idempotency != config::Idempotency::Header) {
        return false;
    }
    auto& memory = remembered_[provider];
    const auto known = memory.find(key);
    const Time lifetime = env_.mutant == Mutant::EspForgetsKeys
                              ? kSecond
                              : micros(config_.providers[provider].idempotency_lifetime);
    if (known == memory.end() || known->second.first_seen + lifetime <= env_.now()) {
        memory[key] = Remembered{env_.now(), body, "", false, ""};
        return false;
    }
    if (known->second.running) {
        answer.status = kConflict;
        answer.word = "concurrent_idempotent_requests";
        env_.sometimes("key_still_running");
        return true;
    }
    if (known->second.id.empty()) {
        return false;  // seen, and not executed
    }
    if (known->second.body != body) {
        changed_under_key_.push_back(tag_of_body(body));
        answer.status = kConflict;
        answer.word = "invalid_idempotent_request";
        return true;
    }
    env_.sometimes("replayed_by_key");
    if (known->second.instance != instance) {
        env_.sometimes("intent_of_another_resolved_by_replay");
    }
    answer.status = kOk;
    answer.id = known->second.id;
    return true;
}

// Each kind of provider has its own words for an account that may not send.
Esp::Answer Esp::refuse_account(std::size_t provider, Answer answer) {
    env_.sometimes("account_refused");
    answer.status = kUnauthorized;
    const auto kind = config_.providers[provider].kind;
    if (kind == config::ProviderKind::Resend && env_.random.chance(0.5)) {
        answer.status = kTooMany;
        answer.word = "daily_quota_exceeded";
        env_.sometimes("resend_quota_used_up");
    } else if (kind == config::ProviderKind::SendGrid) {
        answer.word = "maximum_credits_exceeded";
        env_.sometimes("sendgrid_out_of_credits");
    }
    return answer;
}

Esp::Answer Esp::arrive(std::size_t provider, const HttpRequest& request, Time handed_over,
                        const std::string& instance) {
    Answer answer;
    answer.after = env_.random.between(kMillisecond, 40 * kMillisecond);
    Execution execution{provider,
                        text_after(request.body, "\"postlane_id\":\""),
                        tag_of(request),
                        handed_over,
                        0,
                        instance,
                        false};
    for (const auto& [name, value] : request.headers) {
        if (name == config_.providers[provider].idempotency_header) {
            execution.key = value;
        }
    }
    Treatment treatment = treat ? treat(provider, execution.tag) : Treatment::ByDice;
    if (treatment == Treatment::ByDice) {
        if (env_.dice(env_.faults.esp_account)) {
            account_refused_until_ = env_.now() + env_.random.between(0, 5 * kSecond);
        }
        if (env_.now() < account_refused_until_) {
            return refuse_account(provider, std::move(answer));
        }
        treatment = draw();
    }
    if (treatment == Treatment::Throttle) {
        answer.status = env_.random.chance(0.5) ? kTooMany : kUnavailable;
        answer.retry_after = Millis{env_.random.between(0, 3'000)};
        return answer;
    }
    if (remembers(provider, execution.key, answer, request.body, instance)) {
        const bool silent = treatment == Treatment::LoseAnswer ||
                            treatment == Treatment::HangExecuted ||
                            treatment == Treatment::HangLate || treatment == Treatment::HangNever;
        if (silent) {
            answer.status = 0;
            answer.connection_dies = treatment == Treatment::LoseAnswer;
        }
        return answer;
    }
    return treated(treatment, std::move(execution), request.body, std::move(answer));
}

Esp::Answer Esp::treated(Treatment treatment, Execution execution, const std::string& body,
                         Answer answer) {
    switch (treatment) {
        case Treatment::ByDice:
        case Treatment::Accept:
            answer.status = kOk;
            answer.id = execute(std::move(execution), body);
            return answer;
        case Treatment::Reject:
            answer.status = kUnprocessable;
            return answer;
        case Treatment::Throttle:
            return answer;
        case Treatment::ErrorExecuted:
            (void)execute(std::move(execution), body);
            answer.status = kInternal;
            return answer;
        case Treatment::ErrorNotExecuted:
            answer.status = kInternal;
            return answer;
        case Treatment::LoseAnswer:
            env_.sometimes("answer_lost_after_accept");
            (void)execute(std::move(execution), body);
            answer.connection_dies = true;
            return answer;
        case Treatment::HangExecuted:
            (void)execute(std::move(execution), body);
            return answer;
        case Treatment::HangLate: {
            if (config_.providers[execution.provider].idempotency == config::Idempotency::Header) {
                remembered_[execution.provider][execution.key].running = true;
            }
            const Time when =
                env_.now() +
                env_.random.between(0, 2 * micros(config_.providers[execution.provider].timeout));
            execution.maybe_late = true;
            env_.scheduler.at(when, [this, execution, body] { (void)execute(execution, body); });
            return answer;
        }
        case Treatment::HangNever:
            return answer;
    }
    return answer;
}

std::size_t Esp::note_request(const HttpRequest& request) {
    requests_.push_back({tag_of(request), env_.now(), env_.now(), true});
    return requests_.size() - 1;
}

void Esp::note_end(std::size_t request, Time at_most) {
    Request& noted = requests_.at(request);
    if (noted.open) {
        noted.open = false;
        noted.ended = std::min(env_.now(), at_most);
    }
}

void SimDispatcher::submit(DispatchRequest request) {
    env_.crash_point(process_, "intent committed, before the hand-over");
    auto wire = std::make_shared<Wire>();
    const std::size_t provider = request.provider;
    wire->request = std::move(request);
    if (env_.mutant == Mutant::NewKeyPerAttempt) {
        for (auto& [name, value] : wire->request.request.headers) {
            if (name == config_.providers[provider].idempotency_header) {
                value += "-" + std::to_string(wire->request.attempt.number);
            }
        }
    }
    wire->tag = tag_of(wire->request.request);
    wire->submitted_at = clock_.boot_now();
    lanes_[provider].queue.push_back(std::move(wire));
    start_next(provider);
}

void SimDispatcher::start_next(std::size_t provider) {
    Lane& lane = lanes_[provider];
    while (!lane.queue.empty() && lane.on_wire < config_.providers[provider].max_in_flight) {
        auto wire = std::move(lane.queue.front());
        lane.queue.pop_front();
        lane.on_wire += 1;
        const Time wait = env_.dice(env_.faults.slow_hand_over)
                              ? static_cast<Time>(env_.random.log_uniform(1'000, 8'000'000))
                              : env_.random.between(10, 2'000);
        env_.scheduler.at(env_.now() + wait, process_, [this, wire] { hand_over(wire); });
    }
}

void SimDispatcher::hand_over(const std::shared_ptr<Wire>& wire) {
    AttemptResult result;
    if (env_.dice(env_.faults.esp_refuse_connection)) {
        result.why_not = NotHandedOver::ConnectFailed;
        env_.sometimes("connect_failed");
        end(wire, std::move(result));
        return;
    }
    const BootInstant now = clock_.boot_now();
    const BootInstant asked =
        env_.mutant == Mutant::LastCheckReadsOldClock ? wire->submitted_at : now;
    const auto refused = wire->request.last_check->refuses(asked);
    if (refused && env_.mutant != Mutant::LastCheckNeverRefuses) {
        env_.probes["hook_refused/" + std::string(to_string(*refused))] += 1;
        env_.trace(process_->name(), env_.trace.whose(wire->tag), "attempt {} of {} refused: {}",
                   wire->request.attempt.number, wire->tag, to_string(*refused));
        result.why_not = *refused;
        end(wire, std::move(result));
        return;
    }
    wire->handed_over_at = now;
    wire->noted = esp_.note_request(wire->request.request);
    sink_.handed_over(wire->request.attempt);
    if (env_.trace.is_read()) {
        env_.trace.detail(
            process_->name(), env_.trace.whose(wire->tag),
            fmt::format("attempt {} of {} handed over to {}", wire->request.attempt.number,
                        wire->tag, config_.providers[wire->request.provider].name));
    }
    transmit(wire);
    const std::size_t provider = wire->request.provider;
    const Time timeout = micros(config_.providers[provider].timeout);
    env_.scheduler.at(env_.now() + timeout, process_, [this, wire] {
        AttemptResult late;
        late.kind = AttemptResult::Kind::NoAnswer;
        late.transport_error = "time-out";
        end(wire, std::move(late));
    });
}

void SimDispatcher::transmit(const std::shared_ptr<Wire>& wire) {
    const Time handed_over = env_.now();
    const Time travel = env_.random.between(100, 30'000);
    // The bytes are out: what becomes of them no longer depends on this process.
    env_.scheduler.at(handed_over + travel, [this, esp = &esp_, env = &env_, process = process_,
                                             wire, handed_over] {
        const Esp::Answer answer = esp->arrive(wire->request.provider, wire->request.request,
                                               handed_over, process->name());
        if (answer.status == 0 && !answer.connection_dies) {
            return;
        }
        env->scheduler.at(env->now() + answer.after, process,
                          [this, wire, answer] { answered(wire, answer); });
    });
}

void SimDispatcher::answered(const std::shared_ptr<Wire>& wire, const Esp::Answer& answer) {
    if (wire->ended) {
        return;
    }
    if (answer.connection_dies && env_.mutant == Mutant::TransportRepeats) {
        transmit(wire);
        return;
    }
    AttemptResult result;
    result.kind =
        answer.connection_dies ? AttemptResult::Kind::NoAnswer : AttemptResult::Kind::Answered;
    result.answer.status = answer.status;
    result.answer.error_word = answer.word;
    result.answer.provider_message_id = answer.id;
    result.answer.retry_after = answer.retry_after;
    end(wire, std::move(result));
}

void SimDispatcher::end(const std::shared_ptr<Wire>& wire, AttemptResult result) {
    if (wire->ended) {
        return;
    }
    wire->ended = true;
    result.handed_over_at = wire->handed_over_at;
    result.ended_at = clock_.boot_now();
    env_.trace(process_->name(), env_.trace.whose(wire->tag), "p{} attempt {} of {} ended: {}",
               wire->request.partition, wire->request.attempt.number, wire->tag,
               result.kind == AttemptResult::Kind::Answered ? std::to_string(result.answer.status)
               : result.kind == AttemptResult::Kind::NoAnswer
                   ? std::string("no answer")
                   : std::string(to_string(result.why_not)));
    const std::size_t provider = wire->request.provider;
    if (result.kind != AttemptResult::Kind::NotHandedOver) {
        const Time waited = micros(config_.providers[provider].timeout);
        esp_.note_end(wire->noted, esp_.requests()[wire->noted].handed_over + waited);
    }
    lanes_[provider].on_wire -= 1;
    sink_.finished(wire->request.attempt, wire->request.partition, std::move(result));
    if (env_.mutant == Mutant::RegistryForgets && forget_result && env_.random.chance(0.2)) {
        forget_result(wire->request.attempt);
    }
    start_next(provider);
}

}  // namespace postlane::sim
