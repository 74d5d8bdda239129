#include "adapters/rocksdb/address_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "scratch.h"

namespace postlane {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

const AddressKey kAnn("ann@example.com");
const AddressKey kBob("bob@example.com");

Instant at(std::int64_t seconds) {
    return Instant(std::chrono::seconds(seconds));
}
BootInstant boot(std::int64_t microseconds) {
    return BootInstant(BootClock::duration(microseconds));
}

AddressSuppression complaint(const AddressKey& address, std::int64_t occurred_at) {
    SuppressionEvent event;
    event.reason = SuppressionReason::Complaint;
    event.occurred_at = at(occurred_at);
    return {address, event};
}
AddressSuppression pardon(const AddressKey& address, std::int64_t occurred_at) {
    AddressSuppression change = complaint(address, occurred_at);
    change.event.action = SuppressionEvent::Action::Unsuppress;
    return change;
}

class AddressStoreTest : public testing::Test {
protected:
    std::unique_ptr<AddressStore> open() {
        auto store = AddressStore::open(shared_, scratch_.path());
        EXPECT_TRUE(store.has_value()) << (store ? "" : store.error().detail);
        return store ? *std::move(store) : nullptr;
    }
    std::unique_ptr<AddressStore> open_attached() {
        auto store = open();
        EXPECT_TRUE(store->attach({{0, 1'000}, {1, 1'000}}).has_value());
        return store;
    }
    [[nodiscard]] fs::path directory() const { return scratch_.path() / "addresses"; }

    // Puts bytes where a row belongs, behind the store's back.
    void write_raw(const std::string& key, const std::string& value) {
        auto raw = RocksDbStore::open(shared_, directory());
        ASSERT_TRUE(raw.has_value());
        ASSERT_TRUE((*raw)->write({{{key, value}}}).has_value());
    }

    ScratchDirectory scratch_;
    SharedResources shared_;
};

TEST_F(AddressStoreTest, FindsWhatWasAppliedAlsoAfterAReopen) {
    {
        const auto store = open_attached();
        EXPECT_EQ(store->find(kAnn), std::nullopt);
        EXPECT_THAT(store->next_offsets(), ElementsAre(Pair(0, 0), Pair(1, 0)));
        ASSERT_TRUE(store->apply({complaint(kAnn, 5)}, {{1, 7}}).has_value());
        ASSERT_TRUE(store->find(kAnn).has_value());
        EXPECT_EQ(store->find(kBob), std::nullopt);
    }
    const auto store = open();
    EXPECT_THAT(store->next_offsets(), ElementsAre(Pair(0, 0), Pair(1, 7)));
    ASSERT_TRUE(store->attach({{0, 0}, {1, 7}}).has_value());
    const auto row = store->find(kAnn);
    ASSERT_TRUE(row.has_value());
    ASSERT_EQ(row->entries.size(), 1U);
    EXPECT_EQ(row->entries[0].reason, SuppressionReason::Complaint);
    EXPECT_EQ(row->entries[0].occurred_at, at(5));
}

TEST_F(AddressStoreTest, FoldsWithinABatchAndOverStoredRows) {
    const auto store = open_attached();
    ASSERT_TRUE(store->apply({complaint(kAnn, 5), pardon(kAnn, 6), complaint(kBob, 1)}, {{0, 3}})
                    .has_value());
    EXPECT_THAT(store->find(kAnn)->entries, IsEmpty());
    ASSERT_TRUE(store->apply({complaint(kAnn, 4), pardon(kBob, 9)}, {{0, 5}}).has_value());
    EXPECT_THAT(store->find(kAnn)->entries, IsEmpty()) << "the clearing is remembered";
    EXPECT_THAT(store->find(kBob)->entries, IsEmpty());
}

TEST_F(AddressStoreTest, CountersMoveWithTheirStripe) {
    const auto store = open_attached();
    const auto& ann = store->changes(kAnn);
    const auto& bob = store->changes(kBob);
    ASSERT_NE(&ann, &bob);
    const std::uint64_t ann_before = ann;
    const std::uint64_t bob_before = bob;
    ASSERT_TRUE(store->apply({complaint(kAnn, 5)}, {{0, 1}}).has_value());
    EXPECT_EQ(ann, ann_before + 1);
    EXPECT_EQ(bob, bob_before);
    ASSERT_TRUE(store->apply({complaint(kAnn, 4)}, {{0, 2}}).has_value());
    EXPECT_EQ(ann, ann_before + 1) << "nothing changed";
    EXPECT_THAT(store->next_offsets(), ElementsAre(Pair(0, 2), Pair(1, 0))) << "but it was read";
}

TEST_F(AddressStoreTest, FreshOnlyOnceSaid) {
    const auto store = open_attached();
    EXPECT_EQ(store->fresh_since(), BootInstant{});
    store->set_fresh_since(boot(77));
    EXPECT_EQ(store->fresh_since(), boot(77));
    store->set_unproven();
    EXPECT_EQ(store->fresh_since(), BootInstant{});
}

struct OtherTopicRow {
    std::string name;
    std::map<PartitionId, Offset> ends;
    bool kept;
};
void PrintTo(const OtherTopicRow& row, std::ostream* out) {
    *out << row.name;
}
class OtherTopic : public AddressStoreTest, public testing::WithParamInterface<OtherTopicRow> {};

TEST_P(OtherTopic, IsReadFromTheBeginning) {
    ASSERT_TRUE(open_attached()->apply({complaint(kAnn, 5)}, {{0, 10}, {1, 20}}).has_value());
    const auto store = open();
    store->set_fresh_since(boot(77));
    const std::uint64_t before = store->changes(kAnn);
    ASSERT_TRUE(store->attach(GetParam().ends).has_value());
    EXPECT_EQ(store->find(kAnn).has_value(), GetParam().kept);
    EXPECT_EQ(store->next_offsets().size(), GetParam().ends.size());
    EXPECT_EQ(store->next_offsets().at(0), GetParam().kept ? 10 : 0);
    if (!GetParam().kept) {
        EXPECT_EQ(store->fresh_since(), BootInstant{});
        EXPECT_NE(store->changes(kAnn), before);
    }
    ASSERT_TRUE(store->apply({complaint(kBob, 5)}, {{0, 11}}).has_value());
    EXPECT_TRUE(store->find(kBob).has_value());
}

INSTANTIATE_TEST_SUITE_P(Table, OtherTopic,
                         testing::Values(OtherTopicRow{"Same", {{0, 10}, {1, 20}}, true},
                                         OtherTopicRow{"Grown", {{0, 10'000}, {1, 20}}, true},
                                         OtherTopicRow{"Shorter", {{0, 9}, {1, 20}}, false},
                                         OtherTopicRow{
                                             "MorePartitions", {{0, 10}, {1, 20}, {2, 0}}, false},
                                         OtherTopicRow{"FewerPartitions", {{0, 10}}, false}),
                         [](const auto& row) { return row.param.name; });

// --- failures close the view ---

TEST_F(AddressStoreTest, ARowThatMakesNoSenseClosesTheViewUntilRecovered) {
    ASSERT_TRUE(
        open_attached()->apply({complaint(kAnn, 5), complaint(kBob, 5)}, {{0, 10}}).has_value());
    write_raw("\1" + kAnn.value(), "\7nonsense");
    const auto store = open_attached();
    store->set_fresh_since(boot(77));
    EXPECT_TRUE(store->find(kBob).has_value());
    EXPECT_EQ(store->fresh_since(), boot(77));

    const std::uint64_t before = store->changes(kAnn);
    EXPECT_EQ(store->find(kAnn), std::nullopt);
    EXPECT_TRUE(store->failed());
    EXPECT_EQ(store->fresh_since(), BootInstant{});
    EXPECT_NE(store->changes(kAnn), before) << "a decision made on this answer is refused later";
    EXPECT_FALSE(store->apply({complaint(kAnn, 6)}, {{0, 11}}).has_value());
    store->set_fresh_since(boot(99));
    EXPECT_EQ(store->fresh_since(), BootInstant{}) << "saying so does not help";

    ASSERT_TRUE(store->recover().has_value());
    EXPECT_FALSE(store->failed());
    EXPECT_EQ(store->fresh_since(), BootInstant{});
    EXPECT_THAT(store->next_offsets(), ElementsAre(Pair(0, 0), Pair(1, 0)))
        << "everything is read again";
    ASSERT_TRUE(store->apply({complaint(kAnn, 5)}, {{0, 1}}).has_value());
    EXPECT_TRUE(store->find(kAnn).has_value());
}

TEST_F(AddressStoreTest, DamageInATableIsSetAside) {
    {
        const auto store = open_attached();
        std::vector<AddressSuppression> many;
        for (int i = 0; i < 5'000; ++i) {
            many.push_back(
                complaint(AddressKey("a" + std::to_string(i * 7919) + "@example.com"), 5));
        }
        ASSERT_TRUE(store->apply(many, {{0, 10}}).has_value());
    }
    static_cast<void>(open());  // what was in the log goes to a table
    for (const fs::path& file : files_with(directory(), ".sst")) {
        damage(file, fs::file_size(file) / 3, fs::file_size(file));
    }
    const auto store = open_attached();
    store->set_fresh_since(boot(77));
    int unknown = 0;
    for (int i = 0; i < 5'000; ++i) {
        unknown += store->find(AddressKey("a" + std::to_string(i * 7919) + "@example.com")) ? 0 : 1;
    }
    EXPECT_GT(unknown, 0) << "one block of them";
    EXPECT_LT(unknown, 2'500);
    EXPECT_TRUE(store->failed());
    EXPECT_EQ(store->fresh_since(), BootInstant{});
    ASSERT_TRUE(store->recover().has_value());
    EXPECT_TRUE(fs::exists(store->set_aside()));
    EXPECT_THAT(store->next_offsets(), ElementsAre(Pair(0, 0), Pair(1, 0)));
}

TEST_F(AddressStoreTest, OffsetsThatMakeNoSenseStartOver) {
    ASSERT_TRUE(open_attached()->apply({complaint(kAnn, 5)}, {{0, 10}}).has_value());
    write_raw(std::string("\0O", 2), "\1\2");
    const auto store = open_attached();
    EXPECT_EQ(store->find(kAnn), std::nullopt);
    EXPECT_FALSE(store->failed());
    EXPECT_THAT(store->next_offsets(), ElementsAre(Pair(0, 0), Pair(1, 0)));
}

TEST_F(AddressStoreTest, FullDiskClosesTheViewAndNothingIsLost) {
    const auto store = open_attached();
    store->set_fresh_since(boot(77));
    Offset applied = 0;
    {
        const FullDisk full(std::size_t{64} << 10);
        for (Offset next = 1; next < 10'000; ++next) {
            const AddressKey address("a" + std::to_string(next) + "@example.com");
            if (!store->apply({complaint(address, 5)}, {{0, next}})) {
                break;
            }
            applied = next;
        }
        ASSERT_LT(applied, 5'000);
        EXPECT_TRUE(store->failed());
        EXPECT_EQ(store->fresh_since(), BootInstant{});
        EXPECT_EQ(store->next_offsets().at(0), applied);
    }
    ASSERT_TRUE(store->recover().has_value());
    EXPECT_EQ(store->next_offsets().at(0), applied);
    EXPECT_TRUE(
        store->find(AddressKey("a" + std::to_string(applied) + "@example.com")).has_value());
    EXPECT_EQ(store->find(AddressKey("a" + std::to_string(applied + 1) + "@example.com")),
              std::nullopt);
    EXPECT_TRUE(store->set_aside().empty());
}

// --- kill -9 ---

AddressKey victim_address(Offset offset) {
    return AddressKey("a" + std::to_string(offset) + "@example.com");
}

// Run by KillLeavesOffsetsThatMatchTheRows only.
TEST(AddressStoreVictim, DISABLED_Applies) {
    const char* const directory = std::getenv(kVictimDirectory);
    ASSERT_NE(directory, nullptr);
    const SharedResources shared;
    const auto store = AddressStore::open(shared, directory).value();
    ASSERT_TRUE(store->attach({{0, 1'000'000'000}}).has_value());
    for (Offset next = store->next_offsets().at(0);; next += 3) {
        ASSERT_TRUE(
            store
                ->apply({complaint(victim_address(next), 5), complaint(victim_address(next + 1), 5),
                         complaint(victim_address(next + 2), 5)},
                        {{0, next + 3}})
                .has_value());
        if (next % 300 == 0) {
            report_to_killer();
        }
    }
}

TEST_F(AddressStoreTest, KillLeavesOffsetsThatMatchTheRows) {
    for (int round = 1; round <= 3; ++round) {
        run_victim_and_kill("AddressStoreVictim.DISABLED_Applies", scratch_.path(), 5 * round);
        const auto store = open();
        ASSERT_TRUE(store->attach({{0, 1'000'000'000}}).has_value());
        const Offset next = store->next_offsets().at(0);
        ASSERT_GT(next, 1'000);
        for (Offset offset = 0; offset < next; ++offset) {
            ASSERT_TRUE(store->find(victim_address(offset)).has_value())
                << offset << " of " << next;
        }
        EXPECT_FALSE(store->find(victim_address(next)).has_value());
    }
}

// --- threads ---

// What the decision and the last check rely on: what a freshness includes can be found, and whoever
// decided before it was applied sees another counter.
TEST_F(AddressStoreTest, ReadersNeverTrustWhatTheyMissed) {
    constexpr int kEvents = 3'000;
    const auto store = open_attached();
    std::atomic<bool> done{false};
    std::atomic<int> trusted{0};
    const auto seen = [&] {
        const auto row = store->find(kAnn);
        return row && !row->entries.empty() ? row->entries[0].occurred_at.time_since_epoch()
                                            : Millis(0);
    };
    const auto reader = [&] {
        while (!done) {
            const BootInstant fresh = store->fresh_since();
            const std::uint64_t counter = store->changes(kAnn);
            const auto latest = seen();
            EXPECT_GE(latest, std::chrono::seconds(fresh.time_since_epoch().count()));
            // Later, the last check.
            const BootInstant fresh_now = store->fresh_since();
            if (store->changes(kAnn) == counter) {
                trusted.fetch_add(1);
                EXPECT_GE(latest, std::chrono::seconds(fresh_now.time_since_epoch().count()));
            }
        }
    };
    std::vector<std::jthread> readers;
    for (int i = 0; i < 3; ++i) {
        readers.emplace_back(reader);
    }
    for (int i = 1; i <= kEvents; ++i) {
        ASSERT_TRUE(store->apply({complaint(kAnn, i)}, {{0, i}}).has_value());
        store->set_fresh_since(boot(i));
        if (i % 1'000 == 0) {
            ASSERT_TRUE(
                store->recover().has_value());  // opens the database again, under the readers' feet
        }
    }
    done = true;
    readers.clear();
    EXPECT_GT(trusted, 0);
    EXPECT_FALSE(store->failed());
}

}  // namespace
}  // namespace postlane
