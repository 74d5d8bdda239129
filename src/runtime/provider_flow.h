// How fast each provider may be fed: credits, rate, adaptive window, circuit breaker. Protocol
// section 10.
//
// One per process, shared by all partition threads; every method is thread-safe. It owns no clock: times are passed in.
// A partition takes a Grant before it commits an intent. It is two things: a slot of the provider, free again when that
// has answered (answered()), and a credit of the process, free again when the result is committed (settled()), so that
// open intents never exceed the credits. give_back() returns both if there was no attempt.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "postlane/answer.h"
#include "postlane/config.h"
#include "postlane/types.h"

namespace postlane {

// Permission for one attempt with one provider; or why there is none, and when to ask again.
struct Grant {
    enum class Why : std::uint8_t {
        Granted,
        NoCredit,     // ask again when woken
        RateLimited,  // ask again at `until`
        CircuitOpen,  // ask again at `until`, or when woken
    };
    Why why = Why::NoCredit;
    BootInstant until{};

    // What answered(), settled() and give_back() need; nobody else's business.
    std::size_t provider = 0;
    std::size_t bytes = 0;
    std::uint64_t serial = 0;  // grants of one provider count from 1
    bool probe = false;        // the one request that tries whether an open circuit may close

    [[nodiscard]] bool granted() const noexcept { return why == Why::Granted; }
};
[[nodiscard]] std::string_view to_string(Grant::Why why) noexcept;

class ProviderFlow {
public:
    using WaiterId = std::uint64_t;
    static constexpr WaiterId kNoWaiter = 0;

    static constexpr std::size_t kBytesInFlightMax = std::size_t{64} << 20U;
    // In a row, before the circuit opens. Throttling alone shrinks the window first; a long run of
    // it means that messages only burn their attempts.
    static constexpr std::uint32_t kFailuresToOpen = 5;
    static constexpr std::uint32_t kThrottlesToOpen = 20;
    static constexpr Millis kProbeIntervalMin{1'000};
    // Between probes, once many have failed. One that nobody can say the end of may cost a message its certainty.
    static constexpr Millis kProbeIntervalMax{10'000};
    static constexpr Millis kProbeIntervalInDoubtMax{30'000};

    // Copies what it needs of the configuration. Until set_share(), a limited provider gets
    // nothing.
    explicit ProviderFlow(const Config& config);
    ~ProviderFlow();
    ProviderFlow(const ProviderFlow&) = delete;
    ProviderFlow& operator=(const ProviderFlow&) = delete;

    // How many of all partitions this process owns: its share of every provider's rate.
    void set_share(std::size_t owned_partitions, std::size_t all_partitions, BootInstant now);

    // `bytes` is the size of the rendered request. A refused `waiter` is called when it is worth
    // asking again (for every provider it needs); waiters take turns.
    [[nodiscard]] Grant try_acquire(std::size_t provider, std::size_t bytes, BootInstant now,
                                    WaiterId waiter = kNoWaiter);
    // The attempt ended. `result` is what `answer` was classified from. Once per grant, before settled().
    void answered(const Grant& grant, AnswerClass answer, const AttemptResult& result,
                  BootInstant now);
    // What became of them is committed, or concerns nobody any more. Once per grant.
    void settled(const std::vector<Grant>& grants);
    // No attempt was made: the commit failed, or there was nothing left to send.
    void give_back(const Grant& grant, BootInstant now);

    // `wake` is called by whatever thread gives something back, with no lock held; a call that was under way
    // may still come after remove_waiter(). It must not block.
    [[nodiscard]] WaiterId add_waiter(std::function<void()> wake);
    void remove_waiter(WaiterId waiter);

    enum class Circuit : std::uint8_t { Closed, Open, Probing };
    struct Snapshot {
        std::size_t in_flight = 0;
        std::size_t window = 0;  // credits the adaptive limit allows now
        std::size_t limit = 0;   // credits the configuration allows
        Circuit circuit = Circuit::Closed;
        std::string trouble;  // the latest answer that spoke against the provider, for people
    };
    [[nodiscard]] Snapshot snapshot(std::size_t provider) const;
    [[nodiscard]] std::size_t in_flight() const;
    [[nodiscard]] std::size_t bytes_in_flight() const;

private:
    // What one answer says about the provider, as opposed to the message.
    enum class Signal : std::uint8_t { Working, Throttled, Failing, InDoubt, Silent };
    class Lane;
    using Wake = std::shared_ptr<const std::function<void()>>;
    struct Waiter {
        WaiterId id = kNoWaiter;
        Wake wake;
        std::vector<bool> wants;  // by provider; the last one: any credit of the process
        bool had_turn = false;    // woken just now: goes to the back
    };

    static Signal signal_of(AnswerClass answer, const AttemptResult& result);
    Grant refuse(Grant::Why why, BootInstant until, WaiterId waiter, std::size_t wanted);
    [[nodiscard]] bool process_is_full(std::size_t bytes) const;
    void put_back_credit(const Grant& grant);
    static void call(const std::vector<Wake>& wakes);  // with no lock held
    std::vector<Wake> wakes_after(std::size_t provider, bool circuit_changed);

    mutable std::mutex mutex_;
    // Below: under mutex_.
    std::vector<Lane> lanes_;
    const std::size_t in_flight_max_;
    std::size_t in_flight_ = 0;
    std::size_t bytes_in_flight_ = 0;
    std::deque<Waiter> waiters_;  // the front is next
    WaiterId last_waiter_ = kNoWaiter;
};

}  // namespace postlane
