// What the log says of a view that sending waits for. Nothing else tells of a transaction that a producer left open.
#include <gmock/gmock.h>

#include <algorithm>
#include <memory>

#include "codec/ledger_codec.h"
#include "partition_bench.h"

namespace postlane {
namespace {

using std::chrono::seconds;
using testing::HasSubstr;

class ShortLedger final : public LedgerLog {
public:
    [[nodiscard]] Result<void> fence() override { return {}; }
    [[nodiscard]] Result<Range> range() override { return Range{0, 1}; }
    [[nodiscard]] Result<void> replay(Offset, Offset,
                                      const std::function<bool(const Record&)>& each) override {
        GenesisRow genesis;
        genesis.partition_count = 1;
        genesis.partitioner = "murmur2";
        const std::string key = ledger::genesis_key();
        const std::string value = ledger::encode(genesis);
        (void)each(Record{.offset = 0, .timestamp = {}, .key = key, .value = value});
        return {};
    }
    [[nodiscard]] Result<bool> group_offset_exists() override { return true; }
    [[nodiscard]] Result<CommitReceipt> commit(const Transaction& transaction) override {
        CommitReceipt receipt;
        for (std::size_t record = 0; record < transaction.records.size(); ++record) {
            receipt.ledger_offsets.push_back(next_++);
        }
        receipt.ledger_next = next_;
        receipt.broker_time = Instant{Millis{1'764'579'600'000}};
        return receipt;
    }

private:
    Offset next_ = 1;
};

class PartitionStalenessTest : public PartitionBench {
protected:
    PartitionStalenessTest() {
        config_.topics.address_suppressions = "addresses";
        make_partition([] { return std::make_unique<ShortLedger>(); },
                       [] { return std::make_unique<MapStore>(); });
        suppressions_end(0);
        partition_->turn();
        EXPECT_EQ(partition_->stage(), Partition::Stage::Running);
    }

    // None of it can be read here, as behind a transaction that is open.
    void suppressions_end(Offset end) {
        ends_.answer = EndOffsets::Answer{.suppressions = {{0, end}}, .address_suppressions = {}};
    }

    void pass(seconds time) {
        for (seconds passed{0}; passed < time; passed += seconds{1}) {
            clock_.boot += seconds{1};
            if (addresses_prove_) {
                addresses_.fresh = clock_.boot;
            }
            freshness_.turn(Millis{0});
            partition_->turn();
        }
    }

    [[nodiscard]] auto count(const char* event) const {
        return std::count(logged_.begin(), logged_.end(), event);
    }

    bool addresses_prove_ = true;
};

TEST_F(PartitionStalenessTest, AFreshViewIsNotWorthALine) {
    pass(seconds{60});
    EXPECT_EQ(count("freshness.stale") + count("freshness.fresh"), 0);
}

TEST_F(PartitionStalenessTest, AShortStandstillIsNotWorthALine) {
    pass(seconds{1});
    addresses_prove_ = false;
    pass(seconds{9});
    addresses_prove_ = true;
    pass(seconds{1});
    EXPECT_EQ(count("freshness.stale") + count("freshness.fresh"), 0);
}

TEST_F(PartitionStalenessTest, AnOpenTransactionAmongTheAddressesIsToldOnce) {
    pass(seconds{1});
    addresses_prove_ = false;
    pass(seconds{60});
    EXPECT_EQ(count("freshness.stale"), 1);
    EXPECT_THAT(texts_.back(), HasSubstr("addresses"));
    EXPECT_THAT(texts_.back(), HasSubstr("transaction"));
    addresses_prove_ = true;
    pass(seconds{60});
    EXPECT_EQ(count("freshness.stale"), 1);
    EXPECT_EQ(count("freshness.fresh"), 1);
    addresses_prove_ = false;
    pass(seconds{60});
    EXPECT_EQ(count("freshness.stale"), 2);
}

TEST_F(PartitionStalenessTest, AnOpenTransactionAmongTheSuppressionsIsToldOnce) {
    pass(seconds{1});
    suppressions_end(5);
    pass(seconds{60});
    EXPECT_EQ(count("freshness.stale"), 1);
    EXPECT_THAT(texts_.back(), HasSubstr("suppressions, partition 0, from offset 0"));
}

TEST_F(PartitionStalenessTest, OneThatDrainsIsNotToSendAnyway) {
    addresses_prove_ = false;
    pass(seconds{5});
    partition_->drain(clock_.boot + seconds{60});
    pass(seconds{30});
    EXPECT_EQ(count("freshness.stale"), 0);
}

}  // namespace
}  // namespace postlane
