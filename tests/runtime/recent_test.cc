#include "runtime/recent.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace postlane {
namespace {

TEST(Recent, WhatWasPutIsFoundAndTheLastPutCounts) {
    Recent<int> recent(2);
    EXPECT_EQ(recent.find("a"), nullptr);
    EXPECT_EQ(recent.put("a", 1), 1);
    EXPECT_EQ(recent.put("a", 2), 2);
    ASSERT_NE(recent.find("a"), nullptr);
    EXPECT_EQ(*recent.find("a"), 2);
    EXPECT_EQ(recent.size(), 1U);
}

TEST(Recent, TheLastOnesAreKeptAndMemoryIsBounded) {
    Recent<int> recent(10);
    for (int number = 0; number < 1'000; ++number) {
        recent.put(std::to_string(number), number);
        EXPECT_LE(recent.size(), 20U);
        for (int last = std::max(0, number - 9); last <= number; ++last) {
            ASSERT_NE(recent.find(std::to_string(last)), nullptr) << number;
        }
    }
    EXPECT_EQ(recent.find("900"), nullptr);
}

TEST(Recent, WhatIsInUseStays) {
    Recent<int> recent(3);
    recent.put("used", 1);
    for (int number = 0; number < 100; ++number) {
        recent.put(std::to_string(number), number);
        ASSERT_NE(recent.find("used"), nullptr) << number;
    }
}

// An old value must not come back from the older half.
TEST(Recent, PuttingReplacesAndForgettingRemovesInBothHalves) {
    Recent<int> recent(2);
    recent.put("a", 1);
    recent.put("b", 1);
    recent.put("c", 1);  // a and b are the older half now
    recent.put("a", 2);
    EXPECT_EQ(*recent.find("a"), 2);
    recent.put("d", 1);
    recent.put("e", 1);
    ASSERT_NE(recent.find("a"), nullptr);
    EXPECT_EQ(*recent.find("a"), 2);
    recent.put("f", 1);
    recent.forget("a");
    recent.forget("f");
    EXPECT_EQ(recent.find("a"), nullptr);
    EXPECT_EQ(recent.find("f"), nullptr);
}

}  // namespace
}  // namespace postlane
