#include "runtime/partition_runner.h"

#include <gtest/gtest.h>

#include "runner_bench.h"

namespace postlane {
namespace {

using enum MessageState;

TEST(PartitionRunnerTest, StepGoesOnceTheOneBeforeIt) {
    RunnerBench bench;
    bench.send_step("ann", "m1", 1);
    bench.send_step("ann", "m2", 2);
    bench.settle();
    ASSERT_EQ(bench.on_the_wire(), 1U);
    EXPECT_EQ(bench.state("ann", "m2"), Waiting);

    bench.answer(202);
    bench.settle();

    EXPECT_EQ(bench.state("ann", "m1"), Sent);
    EXPECT_EQ(bench.state("ann", "m2"), Sending);
    EXPECT_EQ(bench.on_the_wire(), 1U);
}

}  // namespace
}  // namespace postlane
