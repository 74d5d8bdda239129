// The check in the last instant: each reason to refuse, and which one is told first.
#include "runtime/dispatch_guard.h"

#include <gtest/gtest.h>

#include "fakes.h"

namespace postlane {
namespace {

const RecipientId kAnn("ann");
const AddressKey kAddress("ann@example.com");
constexpr BootInstant kNow{std::chrono::seconds{100}};

class DispatchGuardTest : public testing::Test {
protected:
    DispatchGuardTest() {
        partition_->epoch = 3;
        partition_->fresh_since = kNow.time_since_epoch().count();
        addresses_.fresh = kNow;
    }
    [[nodiscard]] DispatchGuard guard() const {
        DispatchGuard made(partition_, addresses_, kAnn, kAddress, Millis{250});
        made.set_deadline(kNow + Millis{5'000});
        return made;
    }

    std::shared_ptr<PartitionGuard> partition_ = std::make_shared<PartitionGuard>();
    FakeAddresses addresses_;
};

TEST_F(DispatchGuardTest, LetsPassWhatNothingSpeaksAgainst) {
    EXPECT_EQ(guard().refuses(kNow), std::nullopt);
}

TEST_F(DispatchGuardTest, APartitionThatWasLostOrRestarted) {
    const DispatchGuard made = guard();
    partition_->epoch = 4;
    EXPECT_EQ(made.refuses(kNow), NotHandedOver::EpochEnded);
    partition_->epoch = 0;
    EXPECT_EQ(made.refuses(kNow), NotHandedOver::EpochEnded);
    // Made while the partition was nobody's: the same number again proves nothing.
    const DispatchGuard orphan = guard();
    EXPECT_EQ(orphan.refuses(kNow), NotHandedOver::EpochEnded);
}

TEST_F(DispatchGuardTest, ADeadlineThatPassed) {
    partition_->fresh_since = (kNow + Millis{5'000}).time_since_epoch().count();
    addresses_.fresh = kNow + Millis{5'000};
    const DispatchGuard made = guard();
    EXPECT_EQ(made.refuses(kNow + Millis{4'999}), std::nullopt);
    EXPECT_EQ(made.refuses(kNow + Millis{5'000}), NotHandedOver::DeadlinePassed);
}

TEST_F(DispatchGuardTest, WithoutADeadlineNothingGoes) {
    const DispatchGuard made(partition_, addresses_, kAnn, kAddress, Millis{250});
    EXPECT_EQ(made.refuses(kNow), NotHandedOver::DeadlinePassed);
}

TEST_F(DispatchGuardTest, EitherViewStale) {
    EXPECT_EQ(guard().refuses(kNow + Millis{250}), std::nullopt);
    EXPECT_EQ(guard().refuses(kNow + Millis{251}), NotHandedOver::ViewStale);
    addresses_.fresh = kNow + Millis{200};
    EXPECT_EQ(guard().refuses(kNow + Millis{251}), NotHandedOver::ViewStale);
    partition_->fresh_since = (kNow + Millis{200}).time_since_epoch().count();
    EXPECT_EQ(guard().refuses(kNow + Millis{251}), std::nullopt);
    addresses_.fresh = kNow;
    EXPECT_EQ(guard().refuses(kNow + Millis{251}), NotHandedOver::ViewStale);
}

TEST_F(DispatchGuardTest, ASuppressionSinceTheDecision) {
    const DispatchGuard made = guard();
    const std::size_t stripe = PartitionGuard::stripe_of(kAnn);
    partition_->changes[(stripe + 1) % PartitionGuard::kStripes] += 1;  // somebody else's
    EXPECT_EQ(made.refuses(kNow), std::nullopt);
    partition_->changes[stripe] += 1;
    EXPECT_EQ(made.refuses(kNow), NotHandedOver::SuppressionArrived);
    EXPECT_EQ(guard().refuses(kNow), std::nullopt);  // a decision that saw it
}

TEST_F(DispatchGuardTest, ASuppressionOfTheAddressSinceTheDecision) {
    const DispatchGuard made = guard();
    addresses_.bump(kAddress);
    EXPECT_EQ(made.refuses(kNow), NotHandedOver::SuppressionArrived);
    EXPECT_EQ(guard().refuses(kNow), std::nullopt);
}

}  // namespace
}  // namespace postlane
