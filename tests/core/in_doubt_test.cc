// Protocol section 4: an intent without a result, left by another process. The order is law.
#include <gtest/gtest.h>

#include "fake_view.h"

namespace postlane {
namespace {

using enum MessageState;
using std::chrono::hours;
using std::chrono::minutes;

struct Case {
    std::string name;
    // What is true when the waiting time is over, in the order in which it is asked.
    bool suppressed;
    bool expired;
    bool provider_gone;
    bool key_expired;
    bool bytes_changed;
    std::string provider;
    config::RouteOnAmbiguous policy;
    MessageState state;
    Reason reason;
    friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

class InDoubtTest : public testing::TestWithParam<Case> {};

TEST_P(InDoubtTest, TheFirstThatIsTrueDecides) {
    const Case& c = GetParam();
    Bench bench;
    bench.config.routes[0].providers = {c.provider};
    bench.config.routes[0].on_ambiguous = c.policy;
    bench.receive({.id = "m"});
    bench.attempt("m", c.provider, 5);
    if (c.suppressed) {
        bench.suppress();
    }
    if (c.provider_gone) {
        bench.config.providers.clear();
    }
    bench.advance(c.expired ? hours{72} : c.key_expired ? Millis{hours{24}} : minutes{1});

    bench.in_doubt("m", c.bytes_changed ? 6 : 5);

    EXPECT_EQ(bench.state("m"), c.state);
    EXPECT_EQ(bench.reason("m"), c.reason);
    EXPECT_EQ(bench.row("m").attempts, 1U);  // it may have been the one
    EXPECT_TRUE(bench.row("m").maybe_executed);
    EXPECT_EQ(bench.outcomes.size(), c.state == Ambiguous ? 1U : 0U);
    EXPECT_EQ(bench.sends.size(), 1U);  // nothing is sent by looking
}

using enum config::RouteOnAmbiguous;
constexpr Reason kNone = Reason::None;
INSTANTIATE_TEST_SUITE_P(
    Order, InDoubtTest,
    testing::Values(
        Case{"suppressed", 1, 1, 1, 1, 1, "keyed", Auto, Ambiguous, Reason::SuppressedWhileInDoubt},
        Case{"expired", 0, 1, 1, 1, 1, "keyed", Auto, Ambiguous, Reason::ExpiredWhileInDoubt},
        Case{"provider_gone", 0, 0, 1, 1, 1, "keyed", Auto, Ambiguous, Reason::RenderChanged},
        Case{"key_expired", 0, 0, 0, 1, 1, "keyed", Auto, Ambiguous, Reason::KeyExpired},
        Case{"bytes_changed", 0, 0, 0, 0, 1, "keyed", Auto, Ambiguous, Reason::RenderChanged},
        Case{"replay", 0, 0, 0, 0, 0, "keyed", Auto, Retrying, kNone},
        Case{"parked", 0, 0, 0, 0, 0, "keyed", Park, Ambiguous, Reason::NoIdempotency},
        Case{"unkeyed", 0, 0, 0, 0, 0, "plain", Auto, Ambiguous, Reason::NoIdempotency},
        Case{"unkeyed_old", 0, 0, 0, 1, 1, "plain", Auto, Ambiguous, Reason::NoIdempotency},
        Case{"resend", 0, 0, 0, 0, 0, "plain", Resend, Retrying, kNone}),
    [](const auto& given) { return given.param.name; });

TEST(InDoubt, AMessageThatNoLongerRendersIsNotReplayed) {
    Bench bench;
    bench.config.routes[0].providers = {"keyed"};
    bench.receive({.id = "m"});
    bench.attempt("m", "keyed", 5);
    bench.advance(minutes{1});
    bench.in_doubt("m", std::nullopt);
    EXPECT_EQ(bench.reason("m"), Reason::RenderChanged);
}

TEST(InDoubt, TheReplayGoesThroughEveryCheckAgain) {
    Bench bench;
    bench.config.routes[0].providers = {"keyed"};
    bench.receive({.id = "m"});
    bench.attempt("m", "keyed", 5);
    bench.advance(minutes{1});
    bench.in_doubt("m", 5);
    bench.suppress();
    bench.attempt("m", "keyed", 5);
    EXPECT_EQ(bench.reason("m"), Reason::SuppressedWhileInDoubt);
}

TEST(InDoubt, TheKeysAgeCountsFromTheFirstAttempt) {
    Bench bench;
    bench.config.routes[0].providers = {"keyed"};
    bench.receive({.id = "m"});
    bench.attempt("m", "keyed", 5);
    bench.no_answer("m");
    bench.advance(hours{23});
    bench.attempt("m", "keyed", 5);
    bench.advance(hours{1});
    bench.in_doubt("m", 5);
    EXPECT_EQ(bench.reason("m"), Reason::KeyExpired);
}

// The provider forgets the key 60 s after it saw it. What is decided at 20 s may begin at 25 s and be executed at 55 s.
TEST(InDoubt, NoReplayThatMayArriveWhenTheKeyIsForgotten) {
    for (const auto& [age, ends] : {std::pair{Millis{18'000}, false}, {Millis{20'000}, true}}) {
        Bench bench;
        bench.config.providers[0].idempotency_lifetime = Millis{60'000};
        bench.config.routes[0].providers = {"keyed"};
        bench.receive({.id = "m"});
        bench.attempt("m", "keyed", 5);
        bench.no_answer("m");
        bench.advance(age);
        bench.attempt("m", "keyed", 5);
        EXPECT_EQ(bench.state("m"), ends ? Ambiguous : Sending) << age.count();
        EXPECT_EQ(bench.reason("m"), ends ? Reason::KeyExpired : kNone) << age.count();
    }
}

TEST(InDoubt, AmbiguousHaltsItsSequence) {
    Bench bench;
    bench.receive({.id = "m1", .step = 1});
    bench.receive({.id = "m2", .step = 2});
    bench.attempt("m1", "plain");
    bench.in_doubt("m1");
    EXPECT_EQ(bench.state("m1"), Ambiguous);
    EXPECT_EQ(bench.state("m2"), Waiting);
    EXPECT_TRUE(bench.sequence().halt);
}

}  // namespace
}  // namespace postlane
