// How a partition begins, with everything around it in memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "codec/ledger_codec.h"
#include "partition_bench.h"

namespace postlane {
namespace {

using Stage = Partition::Stage;

constexpr Offset kLedgerEnd = 1'000'000;

// A ledger of a genesis and a million messages.
class LongLedger final : public LedgerLog {
public:
    LongLedger(Offset& read, std::function<void(Offset)> at) : read_(read), at_(std::move(at)) {}
    [[nodiscard]] Result<void> fence() override { return {}; }
    [[nodiscard]] Result<Range> range() override { return Range{0, kLedgerEnd}; }
    [[nodiscard]] Result<void> replay(Offset from, Offset end,
                                      const std::function<bool(const Record&)>& each) override {
        GenesisRow genesis;
        genesis.partition_count = 1;
        genesis.partitioner = "murmur2";
        const std::string first = ledger::encode(genesis);
        MessageRow row;
        row.state = MessageState::Sent;
        const std::string value = ledger::encode(row);
        for (Offset offset = from; offset < end; ++offset) {
            at_(offset);
            const std::string key =
                offset == 0
                    ? ledger::genesis_key()
                    : ledger::message_key(RecipientId("ann"), MessageId(std::to_string(offset)));
            Record record{.offset = offset, .timestamp = {}, .key = key, .value = value};
            if (offset == 0) {
                record.value = first;
            }
            if (!each(record)) {
                return fail(ErrorCode::Corrupt, "stopped by the reader");
            }
            read_ = std::max(read_, offset);
        }
        return {};
    }
    [[nodiscard]] Result<bool> group_offset_exists() override { return true; }
    [[nodiscard]] Result<CommitReceipt> commit(const Transaction& /*transaction*/) override {
        return fail(ErrorCode::Unavailable, "nothing is to be committed here");
    }

private:
    Offset& read_;
    const std::function<void(Offset)> at_;
};

class PartitionStartTest : public PartitionBench {
protected:
    PartitionStartTest() {
        make_partition(
            [this] {
                return std::make_unique<LongLedger>(
                    read_, [this](Offset offset) { during_replay_(offset); });
            },
            [] { return std::make_unique<MapStore>(); });
    }

    Offset read_ = 0;
    std::function<void(Offset)> during_replay_ = [](Offset) {};
};

// SIGTERM, or a revocation, while millions of records are still to be read.
TEST_F(PartitionStartTest, ADrainEndsARestore) {
    during_replay_ = [this](Offset offset) {
        if (offset == 10) {
            partition_->drain(clock_.boot_now() + std::chrono::seconds{20});
        }
    };
    EXPECT_EQ(partition_->turn(), clock_.boot_now());
    partition_->turn();
    EXPECT_EQ(partition_->stage(), Stage::Stopped);
    EXPECT_LT(read_, 100);
    EXPECT_EQ(partition_->failure(), std::nullopt);
    EXPECT_EQ(std::count(logged_.begin(), logged_.end(), "partition.start_failed"), 0);
}

TEST_F(PartitionStartTest, ALossEndsARestore) {
    during_replay_ = [this](Offset offset) {
        if (offset == 10) {
            partition_->discard();
        }
    };
    EXPECT_EQ(partition_->turn(), clock_.boot_now());
    partition_->turn();
    EXPECT_EQ(partition_->stage(), Stage::Stopped);
    EXPECT_LT(read_, 100);
}

}  // namespace
}  // namespace postlane
