#include "core/retry.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace postlane {
namespace {

const RecipientId kAnn{"user-123"};

MessageId message(int number) {
    return MessageId{"m-" + std::to_string(number)};
}

struct Row {
    std::uint32_t attempt;
    Millis window;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << "attempt " << row.attempt;
}
class Backoff : public testing::TestWithParam<Row> {};

// Full jitter: over many messages the whole window is used, evenly, and never left.
TEST_P(Backoff, UsesItsWholeWindow) {
    constexpr int kMessages = 20'000;
    const Row& row = GetParam();
    Millis sum{0};
    Millis least = Millis::max();
    Millis most{0};
    for (int number = 0; number < kMessages; ++number) {
        const Millis delay = retry_delay(kAnn, message(number), row.attempt, std::nullopt);
        sum += delay;
        least = std::min(least, delay);
        most = std::max(most, delay);
    }
    EXPECT_GE(least, Millis{0});
    EXPECT_LE(least, row.window / 100);
    EXPECT_LE(most, row.window);
    EXPECT_GE(most, row.window * 99 / 100);
    const double mean = static_cast<double>(sum.count()) / kMessages;
    EXPECT_NEAR(mean / static_cast<double>(row.window.count()), 0.5, 0.02);
}

INSTANTIATE_TEST_SUITE_P(Table, Backoff,
                         testing::Values(Row{0, Millis{1'000}}, Row{1, Millis{1'000}},
                                         Row{2, Millis{2'000}}, Row{3, Millis{4'000}},
                                         Row{9, Millis{256'000}}, Row{10, Millis{512'000}},
                                         Row{11, Millis{900'000}}, Row{12, Millis{900'000}},
                                         Row{4'000'000'000U, Millis{900'000}}),
                         [](const auto& row) {
                             return "Attempt" + std::to_string(row.param.attempt);
                         });

TEST(RetryDelay, IsAFunctionOfMessageAndAttempt) {
    std::set<Millis> delays;
    for (std::uint32_t attempt = 5; attempt < 15; ++attempt) {
        const Millis delay = retry_delay(kAnn, message(1), attempt, std::nullopt);
        EXPECT_EQ(delay, retry_delay(kAnn, message(1), attempt, std::nullopt));
        delays.insert(delay);
    }
    EXPECT_GE(delays.size(), 9U);
    EXPECT_NE(retry_delay(RecipientId{"ab"}, MessageId{"c"}, 9, std::nullopt),
              retry_delay(RecipientId{"a"}, MessageId{"bc"}, 9, std::nullopt));
}

struct RetryAfterRow {
    std::string name;
    Millis asked;
    Millis least;
    Millis most;
};
void PrintTo(const RetryAfterRow& row, std::ostream* out) {
    *out << row.name;
}
class RetryAfter : public testing::TestWithParam<RetryAfterRow> {};

TEST_P(RetryAfter, IsObeyedWithinReason) {
    const RetryAfterRow& row = GetParam();
    std::set<Millis> delays;
    for (int number = 0; number < 1'000; ++number) {
        const Millis delay = retry_delay(kAnn, message(number), 1, row.asked);
        EXPECT_GE(delay, row.least);
        EXPECT_LE(delay, row.most);
        delays.insert(delay);
    }
    EXPECT_GT(delays.size(), 100U);  // they do not come back as one wave
}

INSTANTIATE_TEST_SUITE_P(
    Table, RetryAfter,
    testing::Values(RetryAfterRow{"Seven", Millis{7'000}, Millis{7'000}, Millis{8'000}},
                    RetryAfterRow{"BeyondOurCap", std::chrono::hours{2}, std::chrono::hours{2},
                                  std::chrono::hours{2} + Millis{1'000}},
                    RetryAfterRow{"AYear", std::chrono::hours{8'760}, kRetryAfterMax,
                                  kRetryAfterMax + Millis{1'000}},
                    RetryAfterRow{"Zero", Millis{0}, Millis{0}, Millis{1'000}},
                    RetryAfterRow{"Negative", Millis{-5}, Millis{0}, Millis{1'000}}),
    [](const auto& row) { return row.param.name; });

TEST(RetryDelay, LongerBackoffBeatsAShortRetryAfter) {
    Millis most{0};
    for (int number = 0; number < 100; ++number) {
        most = std::max(most, retry_delay(kAnn, message(number), 10, Millis{1}));
    }
    EXPECT_GT(most, Millis{100'000});
}

}  // namespace
}  // namespace postlane
