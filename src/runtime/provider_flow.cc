#include "runtime/provider_flow.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

namespace postlane {
namespace {

constexpr double kMicrosPerSecond = 1e6;
// How much of a second's allowance may leave at once after a pause: about one commit cycle's worth.
constexpr double kBurstSeconds = 0.1;
// A closing circuit starts small: if it was luck, few messages pay for it.
constexpr double kWindowAfterOutage = 4.0;
// Nor does a process know at its start whether the provider works: the one before it may have ended in an outage.
constexpr double kWindowAtStart = 32.0;
// Above the slow-start mark the window regains the full limit in this many round trips.
constexpr double kRoundTripsToRecover = 64.0;
// Throttling asks for less. A failure now and then does not; many in a row open the circuit.
constexpr double kThrottledFactor = 0.5;
constexpr double kFailingFactor = 0.9;

// Tokens trickle in with the rate; each attempt takes one.
class TokenBucket {
public:
    explicit TokenBucket(std::optional<double> rate_per_second)
        : group_rate_(rate_per_second), unlimited_(!rate_per_second) {}

    void set_share(double share, BootInstant now) {
        refill(now);
        rate_ = group_rate_.value_or(0.0) * share;
        tokens_ = std::min(tokens_, burst());
    }

    // Nothing: take() may be called. Otherwise when to ask again.
    std::optional<BootInstant> wait_until(BootInstant now) {
        if (unlimited_) {
            return std::nullopt;
        }
        if (rate_ <= 0.0) {
            return now + std::chrono::seconds{1};
        }
        refill(now);
        if (tokens_ >= 1.0 - kRounding) {
            return std::nullopt;
        }
        const double missing_us = (1.0 - tokens_) / rate_ * kMicrosPerSecond;
        return now + std::chrono::microseconds{std::llround(std::ceil(missing_us))};
    }
    void take() { tokens_ = std::max(0.0, tokens_ - 1.0); }
    void put_back() { tokens_ = std::min(tokens_ + 1.0, burst()); }

private:
    static constexpr double kRounding = 1e-6;

    [[nodiscard]] double burst() const { return std::max(1.0, rate_ * kBurstSeconds); }
    void refill(BootInstant now) {
        if (now <= refilled_at_) {
            return;  // threads read the clock before they get the lock
        }
        const std::chrono::duration<double> elapsed = now - refilled_at_;
        tokens_ = std::min(burst(), tokens_ + elapsed.count() * rate_);
        refilled_at_ = now;
    }

    std::optional<double> group_rate_;
    bool unlimited_;
    double rate_ = 0.0;
    double tokens_ = 0.0;
    BootInstant refilled_at_{};
};

// In requests on the wire. Additive increase, multiplicative decrease; slow start up to the last decrease.
class Window {
public:
    explicit Window(std::size_t limit)
        : limit_(static_cast<double>(limit)), window_(std::min(limit_, kWindowAtStart)),
          slow_start_below_(limit_) {}

    [[nodiscard]] std::size_t size() const { return static_cast<std::size_t>(window_); }

    void grow() {
        const double more = window_ < slow_start_below_
                                ? 1.0
                                : std::max(1.0, limit_ / kRoundTripsToRecover) / window_;
        window_ = std::min(limit_, window_ + more);
    }
    // Requests that left before the last decrease say nothing new: one bad moment counts once.
    void shrink(double factor, std::uint64_t serial, std::uint64_t last_serial) {
        if (serial <= shrunk_at_) {
            return;
        }
        shrunk_at_ = last_serial;
        window_ = std::max(1.0, window_ * factor);
        slow_start_below_ = window_;
    }
    void restart() {
        window_ = std::min(window_, kWindowAfterOutage);
        slow_start_below_ = std::max(window_, limit_ / 2);
    }

private:
    double limit_;
    double window_;
    double slow_start_below_;
    std::uint64_t shrunk_at_ = 0;
};

// A slot is held from before the commit of the intent: to keep the wire full, some requests must be ready when it comes
// free. How many depends on how fast the provider takes them: about what it answers in kAhead, the time from one commit
// to the end of the next. A fast provider needs thrice the wire's worth; of a slow one's, each would only wait for the
// wire and overrun its deadline.
class Ahead {
public:
    void learn(const AttemptResult& result) {
        const auto took = result.ended_at - result.handed_over_at;
        if (result.kind == AttemptResult::Kind::Answered && took > BootClock::duration{}) {
            typical_ = typical_ == BootClock::duration{} ? took : (typical_ * 31 + took) / 32;
        }
    }
    // Slots per request on the wire.
    [[nodiscard]] double slots() const {
        if (typical_ == BootClock::duration{}) {
            return kUnknown;
        }
        const double ahead = std::chrono::duration<double>(kAhead) / typical_;
        return 1.0 + std::clamp(ahead, kLeast, kMost);
    }

private:
    static constexpr Millis kAhead{300};
    static constexpr double kUnknown = 2.0;
    static constexpr double kLeast = 0.25;
    static constexpr double kMost = 3.0;

    BootClock::duration typical_{};  // from the last check to the answer
};

std::string describe(const AttemptResult& result) {
    if (result.kind != AttemptResult::Kind::Answered) {
        return result.transport_error.empty() ? "no answer" : result.transport_error;
    }
    std::string text = "HTTP " + std::to_string(result.answer.status);
    if (!result.answer.error_word.empty()) {
        text += " " + result.answer.error_word;
    }
    return text;
}

}  // namespace

// One provider.
class ProviderFlow::Lane {
public:
    Lane(std::size_t wires, std::optional<double> rate_per_second)
        : rate(rate_per_second), window(wires), wires_(wires) {}

    TokenBucket rate;
    Window window;
    std::size_t in_flight = 0;
    std::uint64_t last_serial = 0;
    std::string trouble;

    [[nodiscard]] std::size_t limit() const { return slots(wires_); }
    [[nodiscard]] std::size_t allowed() const { return slots(window.size()); }
    [[nodiscard]] Circuit circuit() const { return circuit_; }
    [[nodiscard]] bool full() const { return in_flight >= allowed(); }

    // Nothing: go (as the probe, if the circuit is not closed).
    [[nodiscard]] std::optional<BootInstant> closed_until(BootInstant now) const {
        switch (circuit_) {
            case Circuit::Closed:
                return std::nullopt;
            case Circuit::Open:
                return now < probe_at_ ? std::optional{probe_at_} : std::nullopt;
            case Circuit::Probing:
                return now + kProbeIntervalMin;
        }
        return std::nullopt;
    }
    void start_probe() { circuit_ = Circuit::Probing; }

    void learn_latency(const AttemptResult& result) { ahead_.learn(result); }
    // True if the circuit changed.
    bool learn(const Grant& grant, Signal signal, std::optional<Millis> retry_after,
               BootInstant now) {
        switch (signal) {
            case Signal::Working:
                window.grow();
                break;
            case Signal::Throttled:
                window.shrink(kThrottledFactor, grant.serial, last_serial);
                break;
            case Signal::Failing:
            case Signal::InDoubt:
                window.shrink(kFailingFactor, grant.serial, last_serial);
                break;
            case Signal::Silent:
                break;
        }
        if (grant.probe) {
            learn_from_probe(signal, retry_after, now);
            return true;
        }
        return circuit_ == Circuit::Closed && count(signal, retry_after, now);
    }

private:
    void learn_from_probe(Signal signal, std::optional<Millis> retry_after, BootInstant now) {
        switch (signal) {
            case Signal::Working:
                circuit_ = Circuit::Closed;
                failures_ = 0;
                throttles_ = 0;
                interval_ = kProbeIntervalMin;
                window.restart();
                break;
            case Signal::Throttled:
            case Signal::Failing:
                interval_ = std::min(2 * interval_, kProbeIntervalMax);
                open(retry_after, now);
                break;
            case Signal::InDoubt:
                interval_ = std::min(2 * interval_, kProbeIntervalInDoubtMax);
                open(retry_after, now);
                break;
            case Signal::Silent:
                circuit_ = Circuit::Open;
                probe_at_ = now;  // it proved nothing: the next one may try at once
                break;
        }
    }
    bool count(Signal signal, std::optional<Millis> retry_after, BootInstant now) {
        switch (signal) {
            case Signal::Working:
                failures_ = 0;
                throttles_ = 0;
                break;
            case Signal::Throttled:
                ++throttles_;
                break;
            case Signal::Failing:
            case Signal::InDoubt:
                ++failures_;
                break;
            case Signal::Silent:
                break;
        }
        if (failures_ < kFailuresToOpen && throttles_ < kThrottlesToOpen) {
            return false;
        }
        open(retry_after, now);
        return true;
    }
    void open(std::optional<Millis> retry_after, BootInstant now) {
        circuit_ = Circuit::Open;
        probe_at_ =
            now + std::clamp(retry_after.value_or(interval_), interval_, kProbeIntervalInDoubtMax);
    }

    [[nodiscard]] std::size_t slots(std::size_t wires) const {
        const double slots = static_cast<double>(wires) * ahead_.slots();
        return std::max<std::size_t>(1, static_cast<std::size_t>(slots));
    }

    std::size_t wires_;
    Ahead ahead_;
    Circuit circuit_ = Circuit::Closed;
    std::uint32_t failures_ = 0;   // since the provider last worked
    std::uint32_t throttles_ = 0;  // likewise
    Millis interval_ = kProbeIntervalMin;
    BootInstant probe_at_{};
};

std::string_view to_string(Grant::Why why) noexcept {
    switch (why) {
        case Grant::Why::Granted:
            return "granted";
        case Grant::Why::NoCredit:
            return "no_credit";
        case Grant::Why::RateLimited:
            return "rate_limited";
        case Grant::Why::CircuitOpen:
            return "circuit_open";
    }
    return "unknown";
}

ProviderFlow::ProviderFlow(const Config& config) : in_flight_max_(config.dispatch.max_in_flight) {
    lanes_.reserve(config.providers.size());
    for (const config::Provider& provider : config.providers) {
        lanes_.emplace_back(std::max<std::size_t>(provider.max_in_flight, 1),
                            provider.rate_per_second);
    }
}

ProviderFlow::~ProviderFlow() = default;

void ProviderFlow::set_share(std::size_t owned_partitions, std::size_t all_partitions,
                             BootInstant now) {
    const std::lock_guard lock{mutex_};
    const double share = all_partitions == 0 ? 0.0
                                             : static_cast<double>(owned_partitions) /
                                                   static_cast<double>(all_partitions);
    for (Lane& lane : lanes_) {
        lane.rate.set_share(share, now);
    }
}

Grant ProviderFlow::try_acquire(std::size_t provider, std::size_t bytes, BootInstant now,
                                WaiterId waiter) {
    const std::lock_guard lock{mutex_};
    Lane& lane = lanes_.at(provider);
    if (const auto until = lane.closed_until(now)) {
        return refuse(Grant::Why::CircuitOpen, *until, waiter, provider);
    }
    if (process_is_full(bytes)) {
        return refuse(Grant::Why::NoCredit, now, waiter, lanes_.size());
    }
    if (lane.full()) {
        return refuse(Grant::Why::NoCredit, now, waiter, provider);
    }
    if (const auto until = lane.rate.wait_until(now)) {
        return Grant{.why = Grant::Why::RateLimited, .until = *until};
    }
    lane.rate.take();
    const bool probe = lane.circuit() != Circuit::Closed;
    if (probe) {
        lane.start_probe();
    }
    ++lane.in_flight;
    ++in_flight_;
    bytes_in_flight_ += bytes;
    return Grant{.why = Grant::Why::Granted,
                 .until = now,
                 .provider = provider,
                 .bytes = bytes,
                 .serial = ++lane.last_serial,
                 .probe = probe};
}

void ProviderFlow::call(const std::vector<Wake>& wakes) {
    for (const Wake& wake : wakes) {
        (*wake)();
    }
}

void ProviderFlow::answered(const Grant& grant, AnswerClass answer, const AttemptResult& result,
                            BootInstant now) {
    std::vector<Wake> wakes;
    {
        const std::lock_guard lock{mutex_};
        Lane& lane = lanes_.at(grant.provider);
        --lane.in_flight;
        lane.learn_latency(result);
        const Signal signal = signal_of(answer, result);
        if (signal != Signal::Working && signal != Signal::Silent) {
            lane.trouble = describe(result);
        }
        const bool changed = lane.learn(grant, signal, result.answer.retry_after, now);
        wakes = wakes_after(grant.provider, changed);
    }
    call(wakes);
}

void ProviderFlow::settled(const std::vector<Grant>& grants) {
    if (grants.empty()) {
        return;
    }
    std::vector<Wake> wakes;
    {
        const std::lock_guard lock{mutex_};
        for (const Grant& grant : grants) {
            put_back_credit(grant);
        }
        wakes = wakes_after(lanes_.size(), false);
    }
    call(wakes);
}

void ProviderFlow::give_back(const Grant& grant, BootInstant now) {
    std::vector<Wake> wakes;
    {
        const std::lock_guard lock{mutex_};
        put_back_credit(grant);
        Lane& lane = lanes_.at(grant.provider);
        --lane.in_flight;
        lane.rate.put_back();
        const bool changed = lane.learn(grant, Signal::Silent, std::nullopt, now);
        wakes = wakes_after(grant.provider, changed);
    }
    call(wakes);
}

ProviderFlow::WaiterId ProviderFlow::add_waiter(std::function<void()> wake) {
    const std::lock_guard lock{mutex_};
    waiters_.push_back(
        Waiter{.id = ++last_waiter_,
               .wake = std::make_shared<const std::function<void()>>(std::move(wake)),
               .wants = std::vector<bool>(lanes_.size() + 1, false),
               .had_turn = false});
    return last_waiter_;
}

void ProviderFlow::remove_waiter(WaiterId waiter) {
    const std::lock_guard lock{mutex_};
    std::erase_if(waiters_, [&](const Waiter& candidate) { return candidate.id == waiter; });
}

ProviderFlow::Snapshot ProviderFlow::snapshot(std::size_t provider) const {
    const std::lock_guard lock{mutex_};
    const Lane& lane = lanes_.at(provider);
    return Snapshot{.in_flight = lane.in_flight,
                    .window = std::min(lane.allowed(), in_flight_max_),
                    .limit = std::min(lane.limit(), in_flight_max_),
                    .circuit = lane.circuit(),
                    .trouble = lane.trouble};
}

std::size_t ProviderFlow::in_flight() const {
    const std::lock_guard lock{mutex_};
    return in_flight_;
}

std::size_t ProviderFlow::bytes_in_flight() const {
    const std::lock_guard lock{mutex_};
    return bytes_in_flight_;
}

ProviderFlow::Signal ProviderFlow::signal_of(AnswerClass answer, const AttemptResult& result) {
    constexpr int kConflict = 409;
    switch (answer) {
        case AnswerClass::Accepted:
        case AnswerClass::Rejected:
        case AnswerClass::KeyReused:
            return Signal::Working;
        case AnswerClass::RetryLater:
            // "Your other request with this key is still running" is about one message.
            return result.answer.status == kConflict ? Signal::Working : Signal::Throttled;
        case AnswerClass::AccountRefused:
            return Signal::Failing;
        case AnswerClass::Unknown:
            return Signal::InDoubt;
        case AnswerClass::NotHandedOver:
            return result.why_not == NotHandedOver::ConnectFailed ? Signal::Failing
                                                                  : Signal::Silent;
    }
    return Signal::Silent;
}

Grant ProviderFlow::refuse(Grant::Why why, BootInstant until, WaiterId waiter, std::size_t wanted) {
    for (Waiter& candidate : waiters_) {
        if (candidate.id == waiter) {
            candidate.wants.at(wanted) = true;
        }
    }
    return Grant{.why = why, .until = until};
}

bool ProviderFlow::process_is_full(std::size_t bytes) const {
    // A request larger than the whole budget still goes, alone.
    return in_flight_ >= in_flight_max_ ||
           (in_flight_ > 0 && bytes_in_flight_ + bytes > kBytesInFlightMax);
}

void ProviderFlow::put_back_credit(const Grant& grant) {
    --in_flight_;
    bytes_in_flight_ -= grant.bytes;
}

// As many waiters as there are free slots: a woken one may turn out to need nothing, and the slot must not be
// forgotten while another still waits. `provider`: whose slot came free, or lanes_.size() for a credit alone.
std::vector<ProviderFlow::Wake> ProviderFlow::wakes_after(std::size_t provider,
                                                          bool circuit_changed) {
    std::vector<Wake> wakes;
    std::size_t lane_free = 0;
    if (provider < lanes_.size()) {
        const Lane& lane = lanes_[provider];
        const std::size_t allowed = lane.allowed();
        lane_free = allowed > lane.in_flight ? allowed - lane.in_flight : 0;
    }
    std::size_t process_free = in_flight_max_ - in_flight_;
    for (Waiter& waiter : waiters_) {
        const bool for_lane = provider < lanes_.size() && waiter.wants[provider] &&
                              (circuit_changed || lane_free > 0);
        const bool for_process = waiter.wants[lanes_.size()] && process_free > 0;
        if (!for_lane && !for_process) {
            continue;
        }
        lane_free -= for_lane && lane_free > 0 ? 1U : 0U;
        process_free -= for_process ? 1U : 0U;
        waiter.wants.assign(lanes_.size() + 1, false);
        waiter.had_turn = true;
        wakes.push_back(waiter.wake);
    }
    std::stable_partition(waiters_.begin(), waiters_.end(),
                          [](const Waiter& waiter) { return !waiter.had_turn; });
    for (auto waiter = waiters_.rbegin(); waiter != waiters_.rend() && waiter->had_turn; ++waiter) {
        waiter->had_turn = false;
    }
    return wakes;
}

}  // namespace postlane
