// Protocol section 7: what stops a sequence, for how long, and what is said of the steps behind it.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "sequence_bench.h"

namespace postlane {
namespace {

using enum MessageState;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using testing::ElementsAre;
using testing::IsEmpty;

struct HaltCase {
    std::string name;
    config::OnAmbiguous on_ambiguous;
    config::OnNotSent on_not_sent;
    int status;  // 0: no answer
    bool halts;
    friend void PrintTo(const HaltCase& c, std::ostream* out) { *out << c.name; }
};
class Halts : public testing::TestWithParam<HaltCase> {};

TEST_P(Halts, AsThePolicySays) {
    const HaltCase& c = GetParam();
    Bench bench;
    bench.config.ordering.on_ambiguous = c.on_ambiguous;
    bench.config.ordering.on_not_sent = c.on_not_sent;
    bench.config.routes[0].providers = {"plain"};
    receive_steps(bench, {1, 2});
    bench.attempt("m1", "plain");
    if (c.status == 0) {
        bench.no_answer("m1");
    } else {
        bench.answer("m1", c.status);
    }
    EXPECT_EQ(bench.sequence().halt.has_value(), c.halts);
    EXPECT_EQ(bench.state("m2"), c.halts ? Waiting : Ready);
}

INSTANTIATE_TEST_SUITE_P(
    Policies, Halts,
    testing::Values(
        HaltCase{"sent", config::OnAmbiguous::Halt, config::OnNotSent::Halt, 202, false},
        HaltCase{"ambiguous", config::OnAmbiguous::Halt, config::OnNotSent::Advance, 0, true},
        HaltCase{"ambiguous_advance", config::OnAmbiguous::Advance, config::OnNotSent::Halt, 0,
                 false},
        HaltCase{"failed", config::OnAmbiguous::Halt, config::OnNotSent::Advance, 400, false},
        HaltCase{"failed_halt", config::OnAmbiguous::Advance, config::OnNotSent::Halt, 400, true}),
    [](const auto& given) { return given.param.name; });

Bench halted() {
    Bench bench;
    bench.config.routes[0].providers = {"plain"};
    bench.receive({.id = "m1", .step = 1});
    bench.attempt("m1", "plain");
    bench.no_answer("m1");
    return bench;
}

// A step that ends before its turn, waiting or held, counts when its turn comes, as any other.
TEST(Sequence, AStepThatEndedAheadHaltsWhenItsTurnComes) {
    for (const bool held : {false, true}) {
        Bench bench;
        bench.config.ordering.on_not_sent = config::OnNotSent::Halt;
        if (!held) {
            receive_steps(bench, {1});
        }
        bench.receive({.id = "m2", .step = 2, .expires_at = bench.now + hours{1}});
        receive_steps(bench, {3});
        bench.advance(hours{1});
        bench.wake("m2");
        ASSERT_EQ(bench.state("m2"), Expired);
        EXPECT_FALSE(bench.sequence().halt) << "not before its turn";
        if (held) {
            receive_steps(bench, {1});
        }
        bench.send("m1");
        EXPECT_EQ(bench.state("m3"), held ? Held : Waiting);
        ASSERT_TRUE(bench.sequence().halt);
        EXPECT_EQ(bench.sequence().halt->step, 2U);
        EXPECT_EQ(bench.sequence().halt->reason, Reason::TtlPassed);
        bench.advance(bench.config.ordering.max_halt);
        bench.feed(HaltOver{"drip"});
        EXPECT_EQ(bench.reason("m3"), Reason::SequenceHalted);
        EXPECT_TRUE(bench.view.steps.empty());
        receive_steps(bench, {4});
        EXPECT_EQ(bench.state("m4"), Ready);
    }
}

TEST(Sequence, AHaltedSequenceKeepsItsStepAndItsOrder) {
    Bench bench = halted();
    receive_steps(bench, {2});
    EXPECT_EQ(bench.state("m2"), Waiting);
    bench.receive({.id = "other", .step = 1});
    EXPECT_EQ(bench.reason("other"), Reason::StepConflict);
    ASSERT_TRUE(bench.sequence().halt);
    EXPECT_EQ(bench.sequence().halt->step, 1U);
    EXPECT_EQ(bench.sequence().halt->reason, Reason::NoIdempotency);
    EXPECT_EQ(bench.sequence().halt->until, bench.now + bench.config.ordering.max_halt);
}

TEST(Sequence, AHaltBlocksNoOtherMailOfTheRecipient) {
    Bench bench = halted();
    bench.receive({.id = "reset"});
    bench.receive({.id = "b", .step = 1, .sequence_id = "other"});
    EXPECT_EQ(bench.state("reset"), Ready);
    EXPECT_EQ(bench.state("b"), Ready);
}

TEST(Sequence, AfterMaxHaltWhatWaitedExpiresAndTheSequenceIsFree) {
    Bench bench = halted();
    for (Step step = 2; step <= 200; ++step) {  // more than one slice
        receive_steps(bench, {step});
    }
    receive_steps(bench, {202});
    bench.advance(days{7} - Millis{1});
    bench.feed(HaltOver{"drip"});
    EXPECT_EQ(bench.state("m2"), Waiting);
    bench.advance(Millis{1});

    bench.feed(HaltOver{"drip"});

    for (Step step = 2; step <= 200; ++step) {
        ASSERT_EQ(bench.reason("m" + std::to_string(step)), Reason::SequenceHalted);
    }
    EXPECT_FALSE(bench.sequence().halt);
    EXPECT_EQ(bench.sequence().expected, 201U);
    EXPECT_EQ(bench.state("m202"), Held);
    receive_steps(bench, {201});
    EXPECT_EQ(bench.state("m201"), Ready);
    bench.send("m201");
    EXPECT_EQ(bench.state("m202"), Ready);
    EXPECT_EQ(bench.view.steps.size(), 1U);
}

TEST(Sequence, SkipDuringAHaltReleasesNothing) {
    Bench bench = halted();
    bench.config.ordering.on_gap = config::OnGap::Skip;
    receive_steps(bench, {3});
    bench.advance(hours{24});
    bench.wake("m3");
    EXPECT_EQ(bench.state("m3"), Waiting);
    EXPECT_TRUE(bench.sequence().halt);
    EXPECT_EQ(bench.sequence().expected, 1U);
}

TEST(Sequence, WhatAHaltPassedOverIsNamed) {
    Bench bench = halted();
    bench.config.ordering.on_gap = config::OnGap::Skip;
    receive_steps(bench, {3, 4, 7});
    bench.advance(bench.config.ordering.max_wait);
    for (const char* held : {"m3", "m4", "m7"}) {
        bench.wake(held);
    }
    bench.advance(bench.config.ordering.max_halt);
    bench.feed(HaltOver{"drip"});
    EXPECT_EQ(bench.reason("m3"), Reason::SequenceHalted);
    EXPECT_THAT(skipped_before(bench, "m3"), ElementsAre(2));
    EXPECT_THAT(skipped_before(bench, "m4"), IsEmpty());
    EXPECT_THAT(skipped_before(bench, "m7"), ElementsAre(5, 6));
}

TEST(Sequence, AfterAHaltDelaysCountFromTheEndsThatItMade) {
    Bench bench = halted();
    receive_steps(bench, {2});
    bench.advance(bench.config.ordering.max_halt);
    bench.feed(HaltOver{"drip"});
    bench.receive({.id = "m3", .step = 3, .delay = minutes{10}});
    EXPECT_EQ(bench.state("m3"), Scheduled);
    EXPECT_EQ(bench.row("m3").due_at, bench.now + minutes{10});
}

}  // namespace
}  // namespace postlane
