#include <gtest/gtest.h>

#include "codec/decode.h"

namespace postlane {
namespace {

// What librdkafka's murmur2 and consistent partitioners answer, and Java's default is the former.
struct Row {
    std::string name;
    std::string key;
    std::int32_t partitions;
    PartitionId murmur2;
    PartitionId crc32;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

class PartitionerTable : public testing::TestWithParam<Row> {};

TEST_P(PartitionerTable, AgreesWithTheProducers) {
    const Row& row = GetParam();
    EXPECT_EQ(partition_for(row.key, row.partitions, config::Partitioner::Murmur2), row.murmur2);
    EXPECT_EQ(partition_for(row.key, row.partitions, config::Partitioner::Crc32), row.crc32);
}

INSTANTIATE_TEST_SUITE_P(
    Table, PartitionerTable,
    testing::Values(Row{"Usual", "user-123", 1000, 668, 950}, Row{"One", "user-123", 1, 0, 0},
                    Row{"Three", "recipient-42", 3, 1, 1}, Row{"OneByte", "a", 1000, 524, 907},
                    Row{"TwoBytes", "ab", 1000, 434, 885}, Row{"ThreeBytes", "abc", 1000, 107, 578},
                    Row{"FourBytes", "abcd", 1000, 100, 369},
                    Row{"SevenBytes", "abcdefg", 1000, 473, 398},
                    Row{"HighBytes", "\xc3\xa4nn", 1000, 497, 686},
                    Row{"Long", "The quick brown fox jumps over the lazy dog", 1000, 318, 169}),
    [](const auto& row) { return row.param.name; });

TEST(Partitioner, AnEmptyKeyAndNoPartitionsAreHarmless) {
    EXPECT_LT(partition_for("", 8, config::Partitioner::Murmur2), 8);
    EXPECT_EQ(partition_for("x", 0, config::Partitioner::Murmur2), 0);
}

}  // namespace
}  // namespace postlane
