#include "runtime/broker_clock.h"

#include <gtest/gtest.h>

namespace postlane {
namespace {

using std::chrono::seconds;

class FakeClock final : public Clock {
public:
    BootInstant boot{seconds{100}};
    [[nodiscard]] BootInstant boot_now() const override { return boot; }
    [[nodiscard]] Instant wall_now() const override { return Instant{seconds{9'999}}; }
};

// The broker's clock shows this much more than the boot clock.
constexpr seconds kAhead{1'000};

// Heard now, stamped `took` ago by a broker whose clock is off by `set` from what it was.
void hear(BrokerClock& broker, const FakeClock& clock, BootClock::duration took,
          seconds set = seconds{0}) {
    CommitReceipt receipt;
    const auto stamped = clock.boot.time_since_epoch() - took + kAhead + set;
    receipt.broker_time = Instant{std::chrono::duration_cast<Millis>(stamped)};
    broker.learn(receipt, took);
}

Instant right(const FakeClock& clock) {
    return Instant{std::chrono::duration_cast<Millis>(clock.boot.time_since_epoch()) + kAhead};
}

TEST(BrokerClockTest, IsThisMachinesUntilTheBrokerTellsItsTime) {
    const FakeClock clock;
    BrokerClock broker(clock);
    EXPECT_EQ(broker.at(clock.boot), clock.wall_now());
    broker.learn(CommitReceipt{}, Millis{1});  // a topic with CreateTime tells none
    EXPECT_FALSE(broker.known());
    hear(broker, clock, Millis{0});
    EXPECT_EQ(broker.at(clock.boot), right(clock));
}

TEST(BrokerClockTest, ACommitTheProcessSleptInDoesNotSetItBack) {
    FakeClock clock;
    BrokerClock broker(clock);
    hear(broker, clock, Millis{0});
    clock.boot += seconds{60};
    hear(broker, clock, seconds{59});
    EXPECT_GE(broker.at(clock.boot), right(clock) - Millis{60});  // what it sinks in a minute
}

TEST(BrokerClockTest, FollowsABrokerWhoseClockWasSetBack) {
    FakeClock clock;
    BrokerClock broker(clock);
    hear(broker, clock, Millis{0});
    clock.boot += seconds{60};
    hear(broker, clock, Millis{5}, seconds{-30});
    EXPECT_LE(broker.at(clock.boot), right(clock) - seconds{30});
}

TEST(BrokerClockTest, AFirstCommitThatTookLongIsNotBelievedUnlessAllDo) {
    const FakeClock clock;
    BrokerClock broker(clock);
    for (int slow = 1; slow < 5; ++slow) {
        hear(broker, clock, seconds{2});
        EXPECT_TRUE(broker.doubtful());
        EXPECT_FALSE(broker.known());
    }
    hear(broker, clock, seconds{2});
    EXPECT_TRUE(broker.known());
    EXPECT_FALSE(broker.doubtful());
}

}  // namespace
}  // namespace postlane
