// Which local store a partition trusts when it begins, and which ledger.
#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>

#include "codec/ledger_codec.h"
#include "partition_bench.h"

namespace postlane {
namespace {

using Stage = Partition::Stage;

constexpr Instant kBrokerTime{Millis{1'764'579'600'000}};
constexpr Hash128 kThisLedger{1, 2};
constexpr Hash128 kAnotherLedger{3, 4};

struct KeyAndValue {
    std::string key;
    std::string value;
};

// What lies on the broker; it remembers from where it was read last.
struct Topic {
    Offset start = 0;
    std::map<Offset, KeyAndValue> records;
    std::optional<Offset> read_from;
    bool group_was_here = true;

    [[nodiscard]] Offset end() const {
        return records.empty() ? start : records.rbegin()->first + 1;
    }
};

class TopicLog final : public LedgerLog {
public:
    explicit TopicLog(Topic& topic) : topic_(topic) {}
    [[nodiscard]] Result<void> fence() override { return {}; }
    [[nodiscard]] Result<Range> range() override { return Range{topic_.start, topic_.end()}; }
    [[nodiscard]] Result<void> replay(Offset from, Offset end,
                                      const std::function<bool(const Record&)>& each) override {
        topic_.read_from = from;
        for (auto at = topic_.records.lower_bound(from);
             at != topic_.records.end() && at->first < end; ++at) {
            if (!each(Record{.offset = at->first,
                             .timestamp = kBrokerTime,
                             .key = at->second.key,
                             .value = at->second.value})) {
                return fail(ErrorCode::Corrupt, "stopped by the reader");
            }
        }
        return {};
    }
    [[nodiscard]] Result<bool> group_offset_exists() override { return topic_.group_was_here; }
    [[nodiscard]] Result<CommitReceipt> commit(const Transaction& transaction) override {
        CommitReceipt receipt;
        Offset next = topic_.end();
        for (std::size_t record = 0; record < transaction.records.size(); ++record) {
            receipt.ledger_offsets.push_back(next++);
        }
        receipt.ledger_next = next;
        receipt.broker_time = kBrokerTime;
        return receipt;
    }

private:
    Topic& topic_;
};

// The rows outlive the store that is opened on them, as a disk does.
class StoreOnDisk final : public Store {
public:
    explicit StoreOnDisk(MapStore& disk) : disk_(disk) {}
    [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key) const override {
        return disk_.get(key);
    }
    [[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> scan(
        std::string_view begin, std::string_view end, std::size_t limit) const override {
        return disk_.scan(begin, end, limit);
    }
    [[nodiscard]] Result<void> write(const StoreBatch& batch) override {
        return disk_.write(batch);
    }
    [[nodiscard]] Result<void> wipe() override { return disk_.wipe(); }
    [[nodiscard]] std::uint64_t size_bytes() const override { return disk_.size_bytes(); }

private:
    MapStore& disk_;
};

std::string message(int number) {
    return ledger::message_key(RecipientId("ann"), MessageId(std::to_string(number)));
}

class PartitionTrustTest : public PartitionBench {
protected:
    PartitionTrustTest() {
        make_partition([this] { return std::make_unique<TopicLog>(topic_); },
                       [this] { return std::make_unique<StoreOnDisk>(disk_); });
    }

    // The ledger begins at `start`, with its genesis, and holds the messages of the offsets after it.
    void ledger_of(const Hash128& uuid, Offset start, int messages) {
        topic_.start = start;
        topic_.records[start] = {ledger::genesis_key(), ledger::encode(genesis_of(uuid))};
        MessageRow row;
        row.state = MessageState::Sent;
        for (int number = 1; number <= messages; ++number) {
            topic_.records[start + number] = {message(number), ledger::encode(row)};
        }
    }

    // A store that has seen `uuid`'s ledger up to `next`, and a message that no ledger here has.
    void store_of(const Hash128& uuid, Offset next) {
        StoreBatch batch;
        MessageRow row;
        row.state = MessageState::Sent;
        batch.operations.push_back({ledger::genesis_key(), ledger::encode(genesis_of(uuid))});
        batch.operations.push_back({message(kOnlyInTheStore), ledger::encode(row)});
        batch.operations.push_back(
            {ledger::position_key(), ledger::encode(ledger::Position{uuid, next, kBrokerTime})});
        ASSERT_TRUE(disk_.write(batch));
    }

    [[nodiscard]] bool remembers(int number) const { return disk_.rows.contains(message(number)); }

    void expect_rebuilt(int messages) {
        partition_->turn();
        ASSERT_EQ(partition_->stage(), Stage::Running);
        EXPECT_EQ(topic_.read_from, topic_.start);
        EXPECT_FALSE(remembers(kOnlyInTheStore));
        for (int number = 1; number <= messages; ++number) {
            EXPECT_TRUE(remembers(number)) << number;
        }
        const auto position = ledger::decode_position(disk_.rows.at(ledger::position_key()));
        ASSERT_TRUE(position);
        EXPECT_EQ(position->genesis, kThisLedger);
    }

    void expect_refused(const std::string& word) {
        partition_->turn();
        ASSERT_EQ(partition_->stage(), Stage::Failed);
        EXPECT_EQ(partition_->failure()->code, ErrorCode::Misconfigured);
        EXPECT_NE(partition_->failure()->detail.find(word), std::string::npos)
            << partition_->failure()->detail;
        EXPECT_TRUE(remembers(kOnlyInTheStore)) << "what a person may need was destroyed";
    }

    static GenesisRow genesis_of(const Hash128& uuid) {
        GenesisRow genesis;
        genesis.uuid = uuid;
        genesis.partition_count = 1;
        genesis.partitioner = "murmur2";
        return genesis;
    }

    static constexpr int kOnlyInTheStore = 1'000;
    Topic topic_;
    MapStore disk_;
};

TEST_F(PartitionTrustTest, AStoreOfThisLedgerGoesOnWhereItStopped) {
    ledger_of(kThisLedger, 0, 5);
    store_of(kThisLedger, 4);
    partition_->turn();
    ASSERT_EQ(partition_->stage(), Stage::Running);
    EXPECT_EQ(topic_.read_from, 4);
    EXPECT_TRUE(remembers(kOnlyInTheStore));
    EXPECT_FALSE(remembers(3));
    EXPECT_TRUE(remembers(4));
    EXPECT_TRUE(remembers(5));
}

// Whoever had the partition before may have died without telling the group how far it had come. Nobody would ever tell,
// if no more input came, and a ledger that is lost then would look like a first start.
TEST_F(PartitionTrustTest, TheGroupLearnsAtOnceHowFarTheLedgerStands) {
    ledger_of(kThisLedger, 0, 5);
    topic_.records[6] = {ledger::offsets_key(), ledger::encode(OffsetsRow{42, 7})};
    partition_->turn();
    ASSERT_EQ(partition_->stage(), Stage::Running);
    EXPECT_EQ(shown_, 42);
}

// Else a first start whose first commit fails would find the group's offsets without a ledger, and refuse for ever.
TEST_F(PartitionTrustTest, TheGroupHearsOfALedgerOnceItIsCommitted) {
    topic_.group_was_here = false;
    input_end_ = 1'000;
    make_partition([this] { return std::make_unique<TopicLog>(topic_); },
                   [this] { return std::make_unique<StoreOnDisk>(disk_); });
    CommitReceipt receipt;
    receipt.broker_time = kBrokerTime;
    broker_clock_.learn(receipt, Millis{1});
    partition_->turn();
    ASSERT_EQ(partition_->stage(), Stage::Running);
    EXPECT_EQ(shown_, std::nullopt) << "its genesis is not committed";
    partition_->turn();
    EXPECT_EQ(shown_, 1'000);
}

TEST_F(PartitionTrustTest, WhereNothingWasReadThereIsNothingToTell) {
    ledger_of(kThisLedger, 0, 0);
    topic_.records[1] = {ledger::offsets_key(), ledger::encode(OffsetsRow{0, 0})};
    partition_->turn();
    ASSERT_EQ(partition_->stage(), Stage::Running);
    EXPECT_EQ(shown_, std::nullopt);
}

// KAFKA-20663: the topic has forgotten records that the store never saw.
TEST_F(PartitionTrustTest, AStoreBehindTheStartOfTheLedgerIsRebuilt) {
    ledger_of(kThisLedger, 5'000, 5);
    store_of(kThisLedger, 4'999);
    expect_rebuilt(5);
}

TEST_F(PartitionTrustTest, AStoreExactlyAtTheStartOfTheLedgerIsKept) {
    ledger_of(kThisLedger, 5'000, 5);
    store_of(kThisLedger, 5'000);
    partition_->turn();
    ASSERT_EQ(partition_->stage(), Stage::Running);
    EXPECT_TRUE(remembers(kOnlyInTheStore));
    EXPECT_TRUE(remembers(1));
}

// The topic was deleted and made anew. Its offsets say nothing about the store's: those may even lie beyond its end.
TEST_F(PartitionTrustTest, AStoreOfAnotherLedgerIsRebuilt) {
    for (const Offset next : {3, 6, 2'000}) {
        disk_.rows.clear();
        ledger_of(kThisLedger, 0, 5);
        store_of(kAnotherLedger, next);
        make_partition([this] { return std::make_unique<TopicLog>(topic_); },
                       [this] { return std::make_unique<StoreOnDisk>(disk_); });
        expect_rebuilt(5);
    }
}

TEST_F(PartitionTrustTest, ALedgerThatEndsBeforeItsStoreHasLostRecords) {
    ledger_of(kThisLedger, 0, 5);
    store_of(kThisLedger, 7);
    expect_refused("ledger_truncated");
}

TEST_F(PartitionTrustTest, ALedgerWithoutItsGenesisIsRefused) {
    ledger_of(kThisLedger, 5'000, 5);
    topic_.records.erase(5'000);
    topic_.start = 5'001;
    store_of(kThisLedger, 4'000);
    expect_refused("genesis");
}

TEST_F(PartitionTrustTest, AnEmptyLedgerOfAGroupThatWasHereIsMissing) {
    store_of(kThisLedger, 4);
    expect_refused("ledger_missing");
}

}  // namespace
}  // namespace postlane
