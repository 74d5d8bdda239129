// What passing time does to messages that wait. (Gap timers and halts: sequence_test.cc.)
#include <gtest/gtest.h>

#include "fake_view.h"

namespace postlane {
namespace {

using enum MessageState;
using std::chrono::hours;

// --- a wake is a hint: where there is nothing to do, nothing changes ---

struct WakeCase {
    std::string name;
    void (*prepare)(Bench&);
    friend void PrintTo(const WakeCase& c, std::ostream* out) { *out << c.name; }
};
class IdleWakes : public testing::TestWithParam<WakeCase> {};

TEST_P(IdleWakes, ChangeNothing) {
    Bench bench;
    bench.receive({.id = "m"});
    GetParam().prepare(bench);
    const MessageState before = bench.state("m");
    const std::size_t outcomes = bench.outcomes.size();
    bench.wake("m");
    EXPECT_EQ(bench.state("m"), before);
    EXPECT_EQ(bench.outcomes.size(), outcomes);
}

INSTANTIATE_TEST_SUITE_P(Of, IdleWakes,
                         testing::Values(WakeCase{"ready", [](Bench&) {}},
                                         WakeCase{"sending",
                                                  [](Bench& bench) { bench.attempt("m"); }},
                                         WakeCase{"sending_past_its_time",
                                                  [](Bench& bench) {
                                                      bench.attempt("m");
                                                      bench.advance(hours{100});
                                                  }},
                                         WakeCase{"retrying",
                                                  [](Bench& bench) {
                                                      bench.attempt("m");
                                                      bench.answer("m", 429);
                                                  }},
                                         WakeCase{"sent", [](Bench& bench) { bench.send("m"); }}),
                         [](const auto& given) { return given.param.name; });

TEST(Timers, AWakeOfNobodyChangesNothing) {
    Bench bench;
    bench.wake("stranger");
    EXPECT_TRUE(bench.view.messages.empty());
}

TEST(Timers, ExpiryByState) {
    Bench bench;
    bench.receive({.id = "ready"});
    bench.receive(
        {.id = "scheduled", .send_at = bench.now + hours{1}, .expires_at = bench.now + hours{2}});
    bench.receive({.id = "held", .step = 2, .expires_at = bench.now + hours{2}});
    bench.receive({.id = "retrying"});
    bench.attempt("retrying");
    bench.answer("retrying", 429);
    bench.advance(bench.config.dispatch.default_ttl);
    for (const char* id : {"ready", "scheduled", "held", "retrying"}) {
        bench.wake(id);
        EXPECT_EQ(bench.state(id), Expired) << id;
        EXPECT_EQ(bench.reason(id), Reason::TtlPassed) << id;
    }
}

TEST(Timers, ExpiryInDoubtIsAmbiguous) {
    Bench bench;
    bench.receive({.id = "m"});
    bench.attempt("m");
    bench.no_answer("m");
    bench.advance(bench.config.dispatch.default_ttl);
    bench.wake("m");
    EXPECT_EQ(bench.state("m"), Ambiguous);
    EXPECT_EQ(bench.reason("m"), Reason::ExpiredWhileInDoubt);
}

TEST(Timers, AHeldStepWithoutAnExpiryOfItsOwnHasNoTimeToLive) {
    Bench bench;
    bench.config.ordering.on_gap = config::OnGap::Wait;
    bench.receive({.id = "m", .step = 2});
    bench.advance(2 * bench.config.dispatch.default_ttl);
    bench.wake("m");
    EXPECT_EQ(bench.state("m"), Held);
}

TEST(Timers, GapTimerAndExpiryWhicheverComesFirst) {
    Bench bench;
    bench.receive({.id = "gap", .step = 2, .expires_at = bench.now + hours{48}});
    EXPECT_EQ(bench.row("gap").wake_at, bench.now + hours{24});
    bench.receive({.id = "ttl", .step = 3, .expires_at = bench.now + hours{2}});
    EXPECT_EQ(bench.row("ttl").wake_at, bench.now + hours{2});
    bench.advance(hours{24});
    bench.wake("ttl");  // late: both are over, and expiry is what happened first
    EXPECT_EQ(bench.reason("ttl"), Reason::TtlPassed);
    bench.wake("gap");
    EXPECT_EQ(bench.reason("gap"), Reason::GapTimeout);
}

// --- a step's turn is a hint, too ---

TEST(Timers, ATurnThatIsNotItsOwnChangesNothing) {
    Bench bench;
    bench.receive({.id = "m1", .step = 1});
    bench.receive({.id = "m2", .step = 2});
    const MessageId id("m2");
    bench.feed(StepReached{"drip", id, bench.events.at(id)});
    EXPECT_EQ(bench.state("m2"), Waiting);
}

TEST(Timers, NoTurnsDuringAHalt) {
    Bench bench;
    bench.config.routes[0].providers = {"plain"};
    bench.receive({.id = "m1", .step = 1});
    bench.receive({.id = "m2", .step = 2});
    bench.attempt("m1", "plain");
    bench.no_answer("m1");
    bench.view.sequences.at("drip").expected = 2;
    const MessageId id("m2");
    bench.feed(StepReached{"drip", id, bench.events.at(id)});
    EXPECT_EQ(bench.state("m2"), Waiting);
}

TEST(Timers, ALongChainOfExpiredStepsEndsInOneGo) {
    Bench bench;
    constexpr Step kSteps = 300;
    bench.receive({.id = "m1", .step = 1});
    for (Step step = 2; step <= kSteps; ++step) {
        bench.receive(
            {.id = "m" + std::to_string(step), .step = step, .expires_at = bench.now + hours{1}});
    }
    bench.attempt("m1");
    bench.advance(hours{1});
    bench.answer("m1", 202);
    for (Step step = 2; step <= kSteps; ++step) {
        ASSERT_EQ(bench.state("m" + std::to_string(step)), Expired);
    }
    EXPECT_EQ(bench.sequence().expected, kSteps + 1);
}

}  // namespace
}  // namespace postlane
