#include "adapters/system/crash.h"

#include <gtest/gtest.h>

#include <csignal>

#include "postlane/crash_point.h"

namespace postlane {
namespace {

#if POSTLANE_CRASH_POINTS

void arm_and_pass(const char* setting, CrashPoint point, int times) {
    if (!arm_crash_point(setting)) {
        return;
    }
    for (int i = 0; i < times; ++i) {
        crash_point(point);
    }
}

TEST(CrashPoint, KillsTheProcessTheNthTime) {
    EXPECT_EXIT(arm_and_pass("drain", CrashPoint::Drain, 1), testing::KilledBySignal(SIGKILL),
                "crash point drain");
    EXPECT_EXIT(arm_and_pass("restore:3", CrashPoint::Restore, 3), testing::KilledBySignal(SIGKILL),
                "crash point restore");
}

TEST(CrashPoint, EarlierPassesAndOtherPointsDoNothing) {
    const auto outlive = [](const char* setting, CrashPoint point, int times) {
        arm_and_pass(setting, point, times);
        std::exit(0);
    };
    EXPECT_EXIT(outlive("restore:3", CrashPoint::Restore, 2), testing::ExitedWithCode(0), "");
    EXPECT_EXIT(outlive("restore", CrashPoint::Drain, 9), testing::ExitedWithCode(0), "");
    EXPECT_EXIT(outlive(nullptr, CrashPoint::Drain, 9), testing::ExitedWithCode(0), "");
}

TEST(CrashPoint, EveryPointHasItsName) {
    for (std::size_t i = 0; i < kCrashPointNames.size(); ++i) {
        const std::string name(kCrashPointNames.at(i));
        EXPECT_EXIT(arm_and_pass(name.c_str(), static_cast<CrashPoint>(i), 1),
                    testing::KilledBySignal(SIGKILL), "crash point " + name);
    }
}

TEST(CrashPoint, WhatIsNoPointIsRefusedWithTheList) {
    const auto refused = arm_crash_point("after_lunch");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::Misconfigured);
    for (const std::string_view name : kCrashPointNames) {
        EXPECT_NE(refused.error().detail.find(name), std::string::npos) << name;
    }
    for (const char* setting : {"drain:", "drain:0", "drain:-1", "drain:two", "drain:1x", ":1"}) {
        EXPECT_FALSE(arm_crash_point(setting)) << setting;
    }
}

#else

TEST(CrashPoint, ABuildWithoutThemSaysSo) {
    EXPECT_TRUE(arm_crash_point(nullptr));
    EXPECT_FALSE(arm_crash_point("drain"));
}

#endif

}  // namespace
}  // namespace postlane
