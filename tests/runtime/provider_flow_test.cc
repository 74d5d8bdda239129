#include "runtime/provider_flow.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace postlane {
namespace {

using Why = Grant::Why;
using Circuit = ProviderFlow::Circuit;
using std::chrono::microseconds;
using std::chrono::seconds;

BootInstant at(Millis since_start) {
    return BootInstant{seconds{1'000}} + since_start;
}

struct Limits {
    std::size_t process = 1'000;
    std::size_t provider = 100;
    std::optional<double> rate = std::nullopt;
    std::size_t providers = 1;
};

Config config_with(const Limits& limits) {
    Config config;
    config.dispatch.max_in_flight = limits.process;
    for (std::size_t at_provider = 0; at_provider < limits.providers; ++at_provider) {
        config::Provider provider;
        provider.max_in_flight = limits.provider;
        provider.rate_per_second = limits.rate;
        config.providers.push_back(std::move(provider));
    }
    return config;
}

AttemptResult answered(int status, std::optional<Millis> retry_after = std::nullopt) {
    AttemptResult result;
    result.kind = AttemptResult::Kind::Answered;
    result.answer.status = status;
    result.answer.retry_after = retry_after;
    return result;
}

AttemptResult never_left(NotHandedOver why) {
    AttemptResult result;
    result.why_not = why;
    return result;
}

AttemptResult silent() {
    AttemptResult result;
    result.kind = AttemptResult::Kind::NoAnswer;
    return result;
}

std::vector<Grant> take_all(ProviderFlow& flow, BootInstant now, std::size_t provider = 0) {
    std::vector<Grant> grants;
    while (true) {
        const Grant grant = flow.try_acquire(provider, 100, now);
        if (!grant.granted()) {
            return grants;
        }
        grants.push_back(grant);
    }
}

// The provider answered, and that is committed.
void release(ProviderFlow& flow, const Grant& grant, AnswerClass answer,
             const AttemptResult& result, BootInstant now) {
    flow.answered(grant, answer, result, now);
    flow.settled({grant});
}

// One attempt with an idle provider, ending like this.
void run_one(ProviderFlow& flow, AnswerClass answer, const AttemptResult& result, BootInstant now) {
    const Grant grant = flow.try_acquire(0, 100, now);
    ASSERT_TRUE(grant.granted()) << to_string(grant.why);
    release(flow, grant, answer, result, now);
}

// The provider has answered well for a while. Its latency stays unknown.
void open_window(ProviderFlow& flow) {
    while (flow.snapshot(0).window < flow.snapshot(0).limit) {
        ASSERT_NO_FATAL_FAILURE(run_one(flow, AnswerClass::Accepted, answered(202), at(Millis{0})));
    }
}

struct LimitRow {
    std::string name;
    std::size_t process;
    std::size_t provider;
    std::size_t credits;
    Millis answers_in{0};  // 0: it has not answered yet
};
void PrintTo(const LimitRow& row, std::ostream* out) {
    *out << row.name;
}
class CreditLimit : public testing::TestWithParam<LimitRow> {};

TEST_P(CreditLimit, IsAMultipleOfTheWireOrTheProcess) {
    const LimitRow& row = GetParam();
    ProviderFlow flow{config_with({.process = row.process, .provider = row.provider})};
    open_window(flow);
    if (row.answers_in > Millis{0}) {
        AttemptResult result = answered(202);
        result.handed_over_at = at(Millis{0});
        result.ended_at = at(row.answers_in);
        run_one(flow, AnswerClass::Accepted, result, at(Millis{0}));
    }
    const std::vector<Grant> grants = take_all(flow, at(Millis{0}));
    EXPECT_EQ(grants.size(), row.credits);
    EXPECT_EQ(flow.in_flight(), row.credits);
    EXPECT_EQ(flow.bytes_in_flight(), row.credits * 100);
    EXPECT_EQ(flow.try_acquire(0, 1, at(Millis{0})).why, Why::NoCredit);

    flow.give_back(grants.front(), at(Millis{1}));
    EXPECT_TRUE(flow.try_acquire(0, 1, at(Millis{1})).granted());
}

INSTANTIATE_TEST_SUITE_P(Table, CreditLimit,
                         testing::Values(LimitRow{"TwiceTheWire", 1'000, 100, 200},
                                         LimitRow{"Fast", 1'000, 100, 400, Millis{5}},
                                         LimitRow{"Slow", 1'000, 100, 150, Millis{600}},
                                         LimitRow{"VerySlow", 1'000, 100, 125, Millis{30'000}},
                                         LimitRow{"TheProcess", 150, 100, 150},
                                         LimitRow{"TheProcessOfAFastOne", 150, 100, 150, Millis{5}},
                                         LimitRow{"One", 1, 1, 1}),
                         [](const auto& row) { return row.param.name; });

TEST(ProviderFlow, ProcessLimitSpansProviders) {
    ProviderFlow flow{config_with({.process = 10, .provider = 4, .providers = 2})};
    EXPECT_EQ(take_all(flow, at(Millis{0}), 0).size(), 8U);
    EXPECT_EQ(take_all(flow, at(Millis{0}), 1).size(), 2U);
}

TEST(ProviderFlow, BytesInFlightAreBounded) {
    ProviderFlow flow{config_with({})};
    constexpr std::size_t kHalf = ProviderFlow::kBytesInFlightMax / 2;
    const Grant first = flow.try_acquire(0, kHalf, at(Millis{0}));
    ASSERT_TRUE(first.granted());
    ASSERT_TRUE(flow.try_acquire(0, kHalf, at(Millis{0})).granted());
    EXPECT_EQ(flow.try_acquire(0, 1, at(Millis{0})).why, Why::NoCredit);
    release(flow, first, AnswerClass::Accepted, answered(202), at(Millis{5}));
    EXPECT_TRUE(flow.try_acquire(0, kHalf, at(Millis{5})).granted());
}

TEST(ProviderFlow, RequestLargerThanTheBudgetGoesAlone) {
    ProviderFlow flow{config_with({})};
    EXPECT_TRUE(flow.try_acquire(0, ProviderFlow::kBytesInFlightMax + 1, at(Millis{0})).granted());
    EXPECT_FALSE(flow.try_acquire(0, 1, at(Millis{0})).granted());
}

struct RateRow {
    std::string name;
    double rate;
    std::size_t owned;
    std::size_t all;
    int expected_in_10_s;
};
void PrintTo(const RateRow& row, std::ostream* out) {
    *out << row.name;
}
class Rate : public testing::TestWithParam<RateRow> {};

// Asks whenever it is told to, for ten seconds.
TEST_P(Rate, IsSharedByOwnedPartitions) {
    const RateRow& row = GetParam();
    ProviderFlow flow{config_with({.rate = row.rate})};
    flow.set_share(row.owned, row.all, at(Millis{0}));
    BootInstant now = at(Millis{0});
    int granted = 0;
    while (now <= at(Millis{10'000})) {
        const Grant grant = flow.try_acquire(0, 1, now);
        if (grant.granted()) {
            ++granted;
            release(flow, grant, AnswerClass::Accepted, answered(202), now);
        } else {
            ASSERT_EQ(grant.why, Why::RateLimited);
            ASSERT_GT(grant.until, now);
            now = grant.until;
        }
    }
    EXPECT_NEAR(granted, row.expected_in_10_s, 1);
}

INSTANTIATE_TEST_SUITE_P(Table, Rate,
                         testing::Values(RateRow{"AllPartitions", 100, 8, 8, 1'000},
                                         RateRow{"AQuarter", 100, 2, 8, 250},
                                         RateRow{"Slow", 0.5, 1, 1, 5},
                                         RateRow{"NonePartitions", 100, 0, 8, 0},
                                         RateRow{"Odd", 33.3, 3, 7, 142}),
                         [](const auto& row) { return row.param.name; });

TEST(ProviderFlow, RateAllowsASmallBurstAfterAPauseAndNoMore) {
    ProviderFlow flow{config_with({.rate = 100})};
    flow.set_share(1, 1, at(Millis{0}));
    EXPECT_EQ(take_all(flow, at(Millis{60'000})).size(), 10U);
}

TEST(ProviderFlow, UnusedGrantReturnsItsToken) {
    ProviderFlow flow{config_with({.rate = 1})};
    flow.set_share(1, 1, at(Millis{0}));
    const Grant grant = flow.try_acquire(0, 1, at(Millis{1'000}));
    ASSERT_TRUE(grant.granted());
    EXPECT_EQ(flow.try_acquire(0, 1, at(Millis{1'000})).why, Why::RateLimited);
    flow.give_back(grant, at(Millis{1'000}));
    EXPECT_TRUE(flow.try_acquire(0, 1, at(Millis{1'000})).granted());
}

TEST(ProviderFlow, OneBadMomentHalvesTheWindowOnce) {
    ProviderFlow flow{config_with({.provider = 50})};  // 100 credits
    open_window(flow);
    const std::vector<Grant> grants = take_all(flow, at(Millis{0}));
    ASSERT_EQ(grants.size(), 100U);
    for (std::size_t bad = 0; bad < 4; ++bad) {
        release(flow, grants[bad], AnswerClass::RetryLater, answered(429), at(Millis{10}));
    }
    EXPECT_EQ(flow.snapshot(0).window, 50U);
    for (std::size_t good = 4; good < 60; ++good) {
        release(flow, grants[good], AnswerClass::Rejected, answered(422), at(Millis{11}));
    }
    EXPECT_GT(flow.snapshot(0).window, 50U);
    // Another bad answer, to a request that left after the first halving.
    const Grant later = flow.try_acquire(0, 1, at(Millis{12}));
    ASSERT_TRUE(later.granted());
    release(flow, later, AnswerClass::RetryLater, answered(429), at(Millis{20}));
    EXPECT_LT(flow.snapshot(0).window, 30U);
}

// The process before may have ended in an outage: that must not cost a whole window's worth of doubt again.
TEST(ProviderFlow, AProcessBeginsWithASmallWindowThatDoublesWithEachRoundTrip) {
    ProviderFlow flow{config_with({.process = 5'000, .provider = 512})};
    std::vector<std::size_t> windows;
    for (int round_trip = 0; round_trip < 6; ++round_trip) {
        windows.push_back(flow.snapshot(0).window);
        for (const Grant& grant : take_all(flow, at(Millis{round_trip}))) {
            release(flow, grant, AnswerClass::Accepted, answered(202), at(Millis{round_trip}));
        }
    }
    EXPECT_EQ(windows.front(), 64U);  // twice the wire's 32
    EXPECT_EQ(windows.back(), 1'024U);
    EXPECT_TRUE(std::is_sorted(windows.begin(), windows.end()));
}

TEST(ProviderFlow, WindowRecoversFully) {
    ProviderFlow flow{config_with({.provider = 50})};
    open_window(flow);
    for (int bad = 0; bad < 4; ++bad) {
        run_one(flow, AnswerClass::RetryLater, answered(503, Millis{1}), at(Millis{0}));
    }
    ASSERT_EQ(flow.snapshot(0).window, 6U);
    int round_trips = 0;
    for (; flow.snapshot(0).window < 100 && round_trips < 1'000; ++round_trips) {
        for (const Grant& grant : take_all(flow, at(Millis{round_trips}))) {
            release(flow, grant, AnswerClass::Accepted, answered(202), at(Millis{round_trips}));
        }
    }
    EXPECT_LE(round_trips, 80);
}

struct SignalRow {
    std::string name;
    AnswerClass answer;
    AttemptResult result;
    std::uint32_t opens_after;  // so many in a row; 0: never
};
void PrintTo(const SignalRow& row, std::ostream* out) {
    *out << row.name;
}
class CircuitSignal : public testing::TestWithParam<SignalRow> {};

TEST_P(CircuitSignal, OpensTheCircuitOrNot) {
    const SignalRow& row = GetParam();
    ProviderFlow flow{config_with({})};
    for (std::uint32_t count = 1; count <= 100; ++count) {
        run_one(flow, row.answer, row.result, at(Millis{count}));
        const bool open = flow.snapshot(0).circuit == Circuit::Open;
        ASSERT_EQ(open, row.opens_after != 0 && count >= row.opens_after) << count;
        if (open) {
            const Grant refused = flow.try_acquire(0, 1, at(Millis{count}));
            EXPECT_EQ(refused.why, Why::CircuitOpen);
            EXPECT_EQ(refused.until, at(Millis{count} + ProviderFlow::kProbeIntervalMin));
            return;
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Table, CircuitSignal,
    testing::Values(SignalRow{"Accepted", AnswerClass::Accepted, answered(202), 0},
                    SignalRow{"Rejected", AnswerClass::Rejected, answered(422), 0},
                    SignalRow{"KeyReused", AnswerClass::KeyReused, answered(409), 0},
                    SignalRow{"KeyInProgress", AnswerClass::RetryLater, answered(409), 0},
                    SignalRow{"Throttled", AnswerClass::RetryLater, answered(429), 20},
                    SignalRow{"AccountRefused", AnswerClass::AccountRefused, answered(401), 5},
                    SignalRow{"ServerError", AnswerClass::Unknown, answered(500), 5},
                    SignalRow{"NoAnswer", AnswerClass::Unknown, silent(), 5},
                    SignalRow{"ConnectFailed", AnswerClass::NotHandedOver,
                              never_left(NotHandedOver::ConnectFailed), 5},
                    SignalRow{"Suppressed", AnswerClass::NotHandedOver,
                              never_left(NotHandedOver::SuppressionArrived), 0},
                    SignalRow{"Withdrawn", AnswerClass::NotHandedOver,
                              never_left(NotHandedOver::Withdrawn), 0}),
    [](const auto& row) { return row.param.name; });

TEST(ProviderFlow, OnlyFailuresInARowOpenTheCircuit) {
    ProviderFlow flow{config_with({})};
    for (int round = 0; round < 20; ++round) {
        for (int bad = 0; bad < 4; ++bad) {
            run_one(flow, AnswerClass::Unknown, silent(), at(Millis{round}));
        }
        run_one(flow, AnswerClass::Accepted, answered(202), at(Millis{round}));
    }
    EXPECT_EQ(flow.snapshot(0).circuit, Circuit::Closed);
}

void open_circuit(ProviderFlow& flow, BootInstant now) {
    for (int bad = 0; bad < 5; ++bad) {
        run_one(flow, AnswerClass::Unknown, answered(500), now);
    }
    ASSERT_EQ(flow.snapshot(0).circuit, Circuit::Open);
}

// Every probe may leave its message in doubt, so they become rare.
TEST(ProviderFlow, OneProbeAtATimeWithGrowingPauses) {
    ProviderFlow flow{config_with({})};
    BootInstant now = at(Millis{0});
    open_circuit(flow, now);
    for (const int pause_s : {1, 2, 4, 8, 16, 30, 30}) {
        EXPECT_EQ(flow.try_acquire(0, 1, now + seconds{pause_s} - microseconds{1}).why,
                  Why::CircuitOpen);
        now += seconds{pause_s};
        const Grant probe = flow.try_acquire(0, 1, now);
        ASSERT_TRUE(probe.granted());
        EXPECT_EQ(flow.snapshot(0).circuit, Circuit::Probing);
        EXPECT_EQ(flow.try_acquire(0, 1, now).why, Why::CircuitOpen);
        release(flow, probe, AnswerClass::Unknown, silent(), now);
    }
}

// A refused probe costs nothing, and whoever mends the account should not wait long.
TEST(ProviderFlow, ProbesThatAreRefusedForCertainGoOnSooner) {
    ProviderFlow flow{config_with({})};
    BootInstant now = at(Millis{0});
    open_circuit(flow, now);
    for (const int pause_s : {1, 2, 4, 8, 10, 10}) {
        EXPECT_EQ(flow.try_acquire(0, 1, now + seconds{pause_s} - microseconds{1}).why,
                  Why::CircuitOpen);
        now += seconds{pause_s};
        const Grant probe = flow.try_acquire(0, 1, now);
        ASSERT_TRUE(probe.granted());
        release(flow, probe, AnswerClass::AccountRefused, answered(401), now);
    }
}

TEST(ProviderFlow, ASuccessfulProbeClosesTheCircuitGently) {
    ProviderFlow flow{config_with({})};
    open_circuit(flow, at(Millis{0}));
    const Grant probe = flow.try_acquire(0, 1, at(Millis{1'000}));
    release(flow, probe, AnswerClass::Rejected, answered(422), at(Millis{1'010}));
    EXPECT_EQ(flow.snapshot(0).circuit, Circuit::Closed);
    EXPECT_LE(take_all(flow, at(Millis{1'010})).size(), 8U);
}

TEST(ProviderFlow, AProbeThatNeverLeftIsTriedAgainAtOnce) {
    ProviderFlow flow{config_with({})};
    open_circuit(flow, at(Millis{0}));
    const Grant unused = flow.try_acquire(0, 1, at(Millis{1'000}));
    flow.give_back(unused, at(Millis{1'000}));
    const Grant refused_late = flow.try_acquire(0, 1, at(Millis{1'000}));
    ASSERT_TRUE(refused_late.granted());
    release(flow, refused_late, AnswerClass::NotHandedOver, never_left(NotHandedOver::ViewStale),
            at(Millis{1'001}));
    EXPECT_TRUE(flow.try_acquire(0, 1, at(Millis{1'001})).granted());
}

TEST(ProviderFlow, LateAnswersDoNotDecideAboutAnOpenCircuit) {
    ProviderFlow flow{config_with({})};
    const std::vector<Grant> grants = take_all(flow, at(Millis{0}));
    for (std::size_t bad = 0; bad < 5; ++bad) {
        release(flow, grants[bad], AnswerClass::Unknown, silent(), at(Millis{1}));
    }
    ASSERT_EQ(flow.snapshot(0).circuit, Circuit::Open);
    const Grant probe = flow.try_acquire(0, 1, at(Millis{1'001}));
    EXPECT_FALSE(probe.granted());  // its window is taken by those still out
    for (std::size_t late = 5; late < grants.size(); ++late) {
        release(flow, grants[late], late % 2 == 0 ? AnswerClass::Unknown : AnswerClass::Accepted,
                late % 2 == 0 ? silent() : answered(202), at(Millis{2}));
    }
    EXPECT_EQ(flow.snapshot(0).circuit, Circuit::Open);
    EXPECT_TRUE(flow.try_acquire(0, 1, at(Millis{1'001})).granted());
}

TEST(ProviderFlow, RetryAfterDelaysTheProbeWithinBounds) {
    struct Row {
        Millis asked;
        Millis waits;
    };
    for (const Row& row : {Row{Millis{10}, Millis{1'000}}, Row{Millis{7'000}, Millis{7'000}},
                           Row{Millis{999'999}, Millis{30'000}}}) {
        ProviderFlow flow{config_with({})};
        for (int count = 0; count < 20; ++count) {
            run_one(flow, AnswerClass::RetryLater, answered(429, row.asked), at(Millis{0}));
        }
        EXPECT_EQ(flow.try_acquire(0, 1, at(Millis{0})).until, at(row.waits));
    }
}

TEST(ProviderFlow, WaitersTakeTurns) {
    ProviderFlow flow{config_with({.process = 1, .provider = 1})};
    std::string woken;
    const auto first = flow.add_waiter([&] { woken += 'a'; });
    const auto second = flow.add_waiter([&] { woken += 'b'; });
    const auto third = flow.add_waiter([&] { woken += 'c'; });
    for (int round = 0; round < 6; ++round) {
        const Grant grant = flow.try_acquire(0, 1, at(Millis{round}));
        ASSERT_TRUE(grant.granted());
        for (const auto waiter : {first, second, third}) {
            EXPECT_FALSE(flow.try_acquire(0, 1, at(Millis{round}), waiter).granted());
        }
        release(flow, grant, AnswerClass::Accepted, answered(202), at(Millis{round}));
    }
    EXPECT_EQ(woken, "abcabc");
    flow.remove_waiter(third);
    const Grant grant = flow.try_acquire(0, 1, at(Millis{7}));
    flow.give_back(grant, at(Millis{7}));
    EXPECT_EQ(woken, "abcabca");
}

TEST(ProviderFlow, NobodyIsWokenWhoWasNotRefused) {
    ProviderFlow flow{config_with({})};
    int woken = 0;
    const auto waiter = flow.add_waiter([&] { ++woken; });
    const Grant grant = flow.try_acquire(0, 1, at(Millis{0}), waiter);
    release(flow, grant, AnswerClass::Accepted, answered(202), at(Millis{0}));
    EXPECT_EQ(woken, 0);
}

TEST(ProviderFlow, AFreeCreditIsNeverForgottenByOneWhoDoesNotWantIt) {
    ProviderFlow flow{config_with({.process = 2, .provider = 1})};
    int first_woken = 0;
    int second_woken = 0;
    const auto first = flow.add_waiter([&] { ++first_woken; });
    const auto second = flow.add_waiter([&] { ++second_woken; });
    const std::vector<Grant> grants = take_all(flow, at(Millis{0}));
    ASSERT_EQ(grants.size(), 2U);
    (void)flow.try_acquire(0, 1, at(Millis{0}), first);
    (void)flow.try_acquire(0, 1, at(Millis{0}), second);
    release(flow, grants[0], AnswerClass::Accepted, answered(202), at(Millis{0}));
    EXPECT_EQ(first_woken + second_woken, 1);  // and the first has changed its mind
    release(flow, grants[1], AnswerClass::Accepted, answered(202), at(Millis{0}));
    EXPECT_EQ(first_woken + second_woken, 2);
}

TEST(ProviderFlow, WaitersHearWhenTheCircuitOpensAndCloses) {
    ProviderFlow flow{config_with({.provider = 3})};
    int woken = 0;
    const auto waiter = flow.add_waiter([&] { ++woken; });
    const std::vector<Grant> grants = take_all(flow, at(Millis{0}));
    (void)flow.try_acquire(0, 1, at(Millis{0}), waiter);
    for (const Grant& grant : grants) {
        release(flow, grant, AnswerClass::AccountRefused, answered(401), at(Millis{1}));
        (void)flow.try_acquire(0, 1, at(Millis{1}), waiter);
    }
    ASSERT_EQ(flow.snapshot(0).circuit, Circuit::Open);
    const Grant probe = flow.try_acquire(0, 1, at(Millis{2'000}));
    ASSERT_TRUE(probe.granted());
    ASSERT_EQ(flow.try_acquire(0, 1, at(Millis{2'000}), waiter).why, Why::CircuitOpen);
    const int before = woken;
    release(flow, probe, AnswerClass::Accepted, answered(202), at(Millis{2'001}));
    EXPECT_EQ(woken, before + 1);
}

TEST(ProviderFlow, ThreadsNeverExceedTheLimit) {
    ProviderFlow flow{config_with({.process = 8, .provider = 8})};
    std::atomic<int> out{0};
    std::atomic<bool> exceeded{false};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            for (int round = 0; round < 5'000; ++round) {
                const Grant grant = flow.try_acquire(0, 10, at(Millis{round}));
                if (grant.granted()) {
                    exceeded = exceeded || out.fetch_add(1) >= 8;
                    out.fetch_sub(1);
                    release(flow, grant, AnswerClass::Accepted, answered(202), at(Millis{round}));
                }
            }
        });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    EXPECT_FALSE(exceeded.load());
    EXPECT_EQ(flow.in_flight(), 0U);
    EXPECT_EQ(flow.bytes_in_flight(), 0U);
}

}  // namespace
}  // namespace postlane
