#include "runtime/commit_pacer.h"

#include <gtest/gtest.h>

namespace postlane {
namespace {

BootInstant at(Millis since_start) {
    return BootInstant{std::chrono::seconds{1'000}} + since_start;
}

CommitPacer::Load load(bool busy, std::size_t partitions) {
    return {.records = 1,
            .bytes = 100,
            .busy = busy,
            .active_partitions = partitions,
            .staleness_max = Millis{600}};
}

TEST(CommitPacer, TheFirstCommitIsDueAtOnce) {
    EXPECT_LE(CommitPacer().due(load(false, 8)), at(Millis{0}));
}

struct Row {
    std::string name;
    bool busy;
    std::size_t partitions;
    Millis took;
    Millis interval;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}
class Interval : public testing::TestWithParam<Row> {};

TEST_P(Interval, SinceTheLastOneBegan) {
    const Row& row = GetParam();
    CommitPacer pacer;
    for (int i = 0; i < 30; ++i) {
        pacer.committed(at(Millis{0}), row.took);
    }
    const BootClock::duration interval = pacer.due(load(row.busy, row.partitions)) - at(Millis{0});
    EXPECT_LE(std::chrono::abs(interval - row.interval), Millis{2});
}

INSTANTIATE_TEST_SUITE_P(
    Table, Interval,
    testing::Values(Row{"Alone", false, 1, Millis{3}, Millis{10}},
                    Row{"SharesWithEight", false, 8, Millis{3}, Millis{16}},
                    Row{"SlowCommitsAlone", false, 1, Millis{40}, Millis{80}},
                    Row{"SlowCommits", false, 8, Millis{40}, Millis{160}},
                    Row{"NeverLongerThanThis", false, 1'000, Millis{3}, Millis{250}},
                    Row{"BusyAlone", true, 1, Millis{3}, Millis{40}},
                    Row{"BusyWithEight", true, 8, Millis{3}, Millis{192}},
                    Row{"BusyWithinTheFreshnessBound", true, 100, Millis{3}, Millis{400}}),
    [](const auto& row) { return row.param.name; });

TEST(CommitPacer, ALargeBatchDoesNotWait) {
    CommitPacer pacer;
    pacer.committed(at(Millis{0}), Millis{3});
    CommitPacer::Load large = load(true, 8);
    large.records = CommitPacer::kRecordsEnough;
    EXPECT_LE(pacer.due(large), at(Millis{0}));
    large.records = 1;
    large.bytes = CommitPacer::kBytesEnough;
    EXPECT_LE(pacer.due(large), at(Millis{0}));
}

TEST(CommitActivity, CountsThoseThatCommittedRecently) {
    CommitActivity activity(4);
    EXPECT_EQ(activity.partitions(BootInstant{Millis{1}}), 0U);
    activity.committed(0, at(Millis{0}));
    activity.committed(3, at(Millis{100}));
    EXPECT_EQ(activity.partitions(at(Millis{499})), 2U);
    EXPECT_EQ(activity.partitions(at(Millis{500})), 1U);
    EXPECT_EQ(activity.partitions(at(Millis{600})), 0U);
}

}  // namespace
}  // namespace postlane
