#include "runtime/distinct_count.h"

#include <gtest/gtest.h>

namespace postlane {
namespace {

// splitmix64: well mixed bits of a number.
std::uint64_t hash_of(std::uint64_t number) {
    number += 0x9e3779b97f4a7c15U;
    number = (number ^ (number >> 30U)) * 0xbf58476d1ce4e5b9U;
    number = (number ^ (number >> 27U)) * 0x94d049bb133111ebU;
    return number ^ (number >> 31U);
}

TEST(DistinctCountTest, FewAreCountedExactly) {
    DistinctCount count;
    EXPECT_EQ(count.count(), 0U);
    for (std::uint64_t number = 0; number < 1'000; ++number) {
        count.add(hash_of(number));
        count.add(hash_of(number / 2));
        ASSERT_EQ(count.count(), number + 1);
    }
}

TEST(DistinctCountTest, ManyAreCountedWithinFivePercent) {
    DistinctCount count;
    std::uint64_t number = 0;
    for (const std::uint64_t upto : {1'024U, 2'000U, 10'000U, 50'000U, 1'000'000U}) {
        for (; number < upto; ++number) {
            count.add(hash_of(number));
            count.add(hash_of(number / 2));
        }
        const auto expected = static_cast<double>(upto);
        EXPECT_NEAR(static_cast<double>(count.count()), expected, 0.05 * expected) << upto;
    }
}

}  // namespace
}  // namespace postlane
