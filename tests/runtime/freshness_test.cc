#include "runtime/freshness.h"

#include <gtest/gtest.h>

namespace postlane {
namespace {

BootInstant at(int millis) {
    return BootInstant{Millis{millis}};
}

TEST(FreshnessTest, NothingIsFreshWithoutAProof) {
    FreshnessProofs proofs;
    proofs.applied_through(1'000);
    EXPECT_EQ(proofs.fresh_since(), BootInstant{});
}

TEST(FreshnessTest, AnEmptyTopicIsFreshAsOfTheQuestion) {
    FreshnessProofs proofs;
    proofs.add(at(5), 0);
    EXPECT_EQ(proofs.fresh_since(), at(5));
}

TEST(FreshnessTest, FreshOnceEverythingBelowTheEndIsApplied) {
    FreshnessProofs proofs;
    proofs.add(at(5), 10);
    proofs.applied_through(9);
    EXPECT_EQ(proofs.fresh_since(), BootInstant{});
    proofs.applied_through(10);
    EXPECT_EQ(proofs.fresh_since(), at(5));
}

TEST(FreshnessTest, SteadyTrafficNeverStarves) {
    FreshnessProofs proofs;
    // Every answer lies beyond what is applied; only a queue ever gets there.
    for (int n = 1; n <= 100; ++n) {
        proofs.add(at(n), n * 10);
        proofs.applied_through(n * 10 - 5);
        EXPECT_EQ(proofs.fresh_since(), n == 1 ? BootInstant{} : at(n - 1));
    }
}

TEST(FreshnessTest, TheSameEndAskedAgainProvesTheLaterMoment) {
    FreshnessProofs proofs;
    proofs.add(at(1), 10);
    proofs.add(at(2), 10);
    proofs.applied_through(10);
    EXPECT_EQ(proofs.fresh_since(), at(2));
    proofs.add(at(3), 10);
    EXPECT_EQ(proofs.fresh_since(), at(3));
}

TEST(FreshnessTest, TheLagIsWhatTheLatestProofCountsBeyondTheApplied) {
    FreshnessProofs proofs;
    EXPECT_EQ(proofs.lag(), 0);
    proofs.applied_through(3);
    proofs.add(at(5), 10);
    proofs.add(at(6), 12);
    EXPECT_EQ(proofs.lag(), 9);
    proofs.applied_through(10);
    EXPECT_EQ(proofs.lag(), 2);
    proofs.applied_through(15);
    EXPECT_EQ(proofs.lag(), 0);
}

TEST(FreshnessTest, NeverGoesBack) {
    FreshnessProofs proofs;
    proofs.applied_through(20);
    proofs.add(at(9), 10);
    proofs.add(at(4), 5);  // an answer that was long under way
    proofs.applied_through(3);
    EXPECT_EQ(proofs.fresh_since(), at(9));
    EXPECT_EQ(proofs.applied(), 20);
}

}  // namespace
}  // namespace postlane
