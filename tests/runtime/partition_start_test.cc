// How a partition begins, with everything around it in memory.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "codec/ledger_codec.h"
#include "runner_bench.h"
#include "runtime/partition.h"

namespace postlane {
namespace {

using Stage = Partition::Stage;

constexpr Offset kLedgerEnd = 1'000'000;

class StillClock final : public Clock {
public:
    [[nodiscard]] BootInstant boot_now() const override { return BootInstant{Millis{1'000'000}}; }
    [[nodiscard]] Instant wall_now() const override { return Instant{Millis{1'764'579'600'000}}; }
};

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

class EmptyStream final : public InputStream {
public:
    [[nodiscard]] Result<void> start(Offset /*from*/) override { return {}; }
    [[nodiscard]] Result<Offset> resolve(Offset which) override { return which; }
    [[nodiscard]] Result<void> poll(std::vector<InputRecord>& /*out*/, std::size_t) override {
        return {};
    }
    [[nodiscard]] std::optional<Offset> end_seen() const override { return std::nullopt; }
    [[nodiscard]] std::optional<Offset> high_watermark() const override { return std::nullopt; }
};

class SilentEnds final : public EndOffsets {
public:
    [[nodiscard]] Result<Answer> ask(const std::vector<PartitionId>& /*partitions*/) override {
        return fail(ErrorCode::Unavailable, "silent");
    }
};

class PartitionStartTest : public testing::Test {
protected:
    PartitionStartTest() : flow_(config_) {
        PartitionPorts ports;
        ports.open_log = [this]() -> Result<std::unique_ptr<LedgerLog>> {
            return std::unique_ptr<LedgerLog>(std::make_unique<LongLedger>(
                read_, [this](Offset offset) { during_replay_(offset); }));
        };
        ports.open_store = []() -> Result<std::unique_ptr<Store>> {
            return std::unique_ptr<Store>(std::make_unique<MapStore>());
        };
        ports.sends = std::make_unique<EmptyStream>();
        ports.suppressions = std::make_unique<EmptyStream>();
        partition_ =
            std::make_unique<Partition>(around_, 0, std::move(ports), std::make_shared<Bell>());
    }

    Config config_ = runner_config();
    StillClock clock_;
    BrokerClock broker_clock_{clock_};
    FakeAddresses addresses_;
    ProviderFlow flow_;
    FakeDispatcher dispatcher_;
    FakeMetrics metrics_;
    AttemptRegistry registry_{1, config_, flow_, [](PartitionId) {},
                              [this] { return clock_.boot_now(); }};
    SilentEnds ends_;
    FreshnessService freshness_{ends_, clock_, Millis{250}, {}, {}};
    std::vector<std::string> logged_;
    CommitActivity commits_{1};
    Surroundings around_{.config = config_,
                         .partition_count = 1,
                         .max_record_bytes = 1'000'000,
                         .clock = clock_,
                         .broker_clock = broker_clock_,
                         .addresses = addresses_,
                         .flow = flow_,
                         .registry = registry_,
                         .dispatcher = dispatcher_,
                         .freshness = freshness_,
                         .metrics = metrics_,
                         .commits = commits_,
                         .show_progress = [](PartitionId, Offset) {},
                         .new_uuid = [] { return Hash128{}; },
                         .log = [this](Severity, std::string_view event,
                                       const std::string&) { logged_.emplace_back(event); }};
    Offset read_ = 0;
    std::function<void(Offset)> during_replay_ = [](Offset) {};
    std::unique_ptr<Partition> partition_;
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
