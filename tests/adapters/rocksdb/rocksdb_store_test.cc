#include "adapters/rocksdb/rocksdb_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fcntl.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdlib>

#include "scratch.h"

namespace postlane {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

std::string numbered(int number) {
    std::string digits = std::to_string(number);
    return "row" + std::string(8 - digits.size(), '0') + digits;
}

class RocksDbStoreTest : public testing::Test {
protected:
    [[nodiscard]] fs::path directory() const {
        return RocksDbStore::partition_directory(scratch_.path(), 7);
    }

    std::unique_ptr<RocksDbStore> open() {
        auto store = RocksDbStore::open(shared_, directory());
        EXPECT_TRUE(store.has_value()) << (store ? "" : store.error().detail);
        return store ? *std::move(store) : nullptr;
    }

    // Enough for several blocks, in a table file rather than in the log.
    void fill_tables(int rows) {
        auto store = open();
        StoreBatch batch;
        for (int i = 0; i < rows; ++i) {
            batch.operations.push_back(
                {numbered(i), numbered(i * 7919) + std::string(200, static_cast<char>(i))});
        }
        ASSERT_TRUE(store->write(batch).has_value());
        ASSERT_TRUE(store->reopen().has_value());  // what was in the log goes to a table
        store.reset();
        ASSERT_THAT(files_with(directory(), ".sst"), SizeIs(testing::Ge(1U)));
    }

    ScratchDirectory scratch_;
    SharedResources shared_;
};

TEST_F(RocksDbStoreTest, KeepsWhatWasWrittenAcrossProcesses) {
    {
        const auto store = open();
        ASSERT_TRUE(
            store->write({{{"a", "1"}, {"b", "2"}, {std::string("c\0d", 3), ""}}}).has_value());
        ASSERT_TRUE(
            store->write({{{"a", std::nullopt}, {"b", "3"}, {"never", std::nullopt}}}).has_value());
        ASSERT_TRUE(store->write({}).has_value());
        EXPECT_TRUE(store->set_aside().empty());
    }
    const auto store = open();
    EXPECT_EQ(store->get("a").value(), std::nullopt);
    EXPECT_EQ(store->get("b").value(), "3");
    EXPECT_EQ(store->get(std::string_view("c\0d", 3)).value(), "");
    EXPECT_EQ(store->get("c").value(), std::nullopt);
    EXPECT_GT(store->size_bytes(), 0U);
}

TEST_F(RocksDbStoreTest, ScansWithinBoundsInOrder) {
    const auto store = open();
    ASSERT_TRUE(store->write({{{"b", "2"}, {"a", "1"}, {"d", "4"}, {"c", "3"}, {"\xff", "5"}}})
                    .has_value());
    EXPECT_THAT(store->scan("b", "d", 10).value(), ElementsAre(Pair("b", "2"), Pair("c", "3")));
    EXPECT_THAT(store->scan("a0", "zz", 2).value(), ElementsAre(Pair("b", "2"), Pair("c", "3")));
    EXPECT_THAT(store->scan("a", "z", 0).value(), IsEmpty());
    EXPECT_THAT(store->scan("c", "c", 10).value(), IsEmpty());
    EXPECT_THAT(store->scan("d", "a", 10).value(), IsEmpty());
    EXPECT_THAT(store->scan("e", "f", 10).value(), IsEmpty());
}

TEST_F(RocksDbStoreTest, OfABatchTheLastOperationOfAKeyCounts) {
    const auto store = open();
    ASSERT_TRUE(store
                    ->write({{{"c", "old"},
                              {"a", "1"},
                              {"d", "never"},
                              {"c", std::nullopt},
                              {"e", std::nullopt},
                              {"c", "new"},
                              {"d", std::nullopt},
                              {"e", "5"}}})
                    .has_value());
    EXPECT_THAT(store->scan("a", "z", 10).value(),
                ElementsAre(Pair("a", "1"), Pair("c", "new"), Pair("e", "5")));
}

TEST_F(RocksDbStoreTest, WipeEmptiesIt) {
    const auto store = open();
    ASSERT_TRUE(store->write({{{"a", "1"}}}).has_value());
    ASSERT_TRUE(store->wipe().has_value());
    EXPECT_EQ(store->get("a").value(), std::nullopt);
    ASSERT_TRUE(store->write({{{"b", "2"}}}).has_value());
    EXPECT_EQ(store->get("b").value(), "2");
    EXPECT_THAT(scratch_.names(), ElementsAre("p007"))
        << "an intact database is deleted, not set aside";
}

TEST_F(RocksDbStoreTest, OnlyThisUserCanReadIt) {
    const auto store = open();
    EXPECT_EQ(fs::status(directory()).permissions(), fs::perms::owner_all);
}

// --- damage ---

TEST_F(RocksDbStoreTest, DamagedTableIsCorruptAndWipeSetsItAside) {
    fill_tables(2'000);
    for (const fs::path& file : files_with(directory(), ".sst")) {
        damage(file, 2'000, 4'000);
    }
    const auto store = open();
    bool found = false;
    for (int i = 0; i < 2'000 && !found; ++i) {
        const auto value = store->get(numbered(i));
        found = !value.has_value();
        if (found) {
            EXPECT_EQ(value.error().code, ErrorCode::Corrupt);
        } else {
            ASSERT_TRUE(value->has_value()) << "damage must not look like absence";
        }
    }
    ASSERT_TRUE(found);
    const auto rows = store->scan("row", "rox", 10'000);
    ASSERT_FALSE(rows.has_value());
    EXPECT_EQ(rows.error().code, ErrorCode::Corrupt);

    ASSERT_TRUE(store->wipe().has_value());
    EXPECT_EQ(store->get(numbered(1)).value(), std::nullopt);
    EXPECT_TRUE(fs::exists(store->set_aside()));
    EXPECT_THAT(store->set_aside().filename().string(), HasSubstr("p007.corrupt-2"));
    ASSERT_TRUE(store->write({{{"b", "2"}}}).has_value());
    ASSERT_TRUE(store->wipe().has_value());
    EXPECT_THAT(scratch_.names(), SizeIs(2U)) << "the second wipe had nothing to set aside";
}

TEST_F(RocksDbStoreTest, DatabaseThatDoesNotOpenIsSetAsideAndOnlyTheNewestKept) {
    std::string previous;
    for (int round = 0; round < 3; ++round) {
        fill_tables(200);
        for (const fs::path& file : files_with(directory(), "MANIFEST")) {
            damage(file, 10, 20);
        }
        const auto store = open();
        ASSERT_NE(store, nullptr);
        EXPECT_EQ(store->get(numbered(1)).value(), std::nullopt);
        EXPECT_THAT(scratch_.names(), SizeIs(2U));
        EXPECT_NE(store->set_aside().string(), previous);
        EXPECT_TRUE(fs::exists(store->set_aside()));
        previous = store->set_aside().string();
    }
}

TEST_F(RocksDbStoreTest, MissingTableIsDamage) {
    fill_tables(2'000);
    for (const fs::path& file : files_with(directory(), ".sst")) {
        fs::remove(file);
    }
    const auto store = open();
    ASSERT_NE(store, nullptr);
    const auto value = store->get(numbered(1));
    if (value) {
        EXPECT_FALSE(store->set_aside().empty()) << "found at open: an empty one in its place";
        EXPECT_EQ(*value, std::nullopt);
    } else {
        EXPECT_EQ(value.error().code, ErrorCode::Corrupt);
    }
}

TEST_F(RocksDbStoreTest, DamagedLogLeavesAPrefix) {
    {
        const auto store = open();
        for (int i = 1; i <= 500; ++i) {
            ASSERT_TRUE(
                store->write({{{numbered(i), "x"}, {"offset", std::to_string(i)}}}).has_value());
        }
    }
    const auto logs = files_with(directory(), ".log");
    ASSERT_THAT(logs, SizeIs(1U));
    damage(logs[0], fs::file_size(logs[0]) / 2, fs::file_size(logs[0]));
    const auto store = open();
    const int offset = std::stoi(store->get("offset").value().value());
    EXPECT_GT(offset, 100);
    EXPECT_LT(offset, 400);
    for (int i = 1; i <= 500; ++i) {
        ASSERT_EQ(store->get(numbered(i)).value().has_value(), i <= offset) << i;
    }
}

// --- the rest of the machine ---

TEST_F(RocksDbStoreTest, FullDiskIsNoStorageAndReopeningEndsIt) {
    auto store = open();
    ASSERT_TRUE(store->write({{{"offset", "0"}}}).has_value());
    int written = 0;
    {
        const FullDisk full(std::size_t{256} << 10);
        for (int i = 1; i < 1'000; ++i) {
            const auto result = store->write(
                {{{numbered(i), std::string(2'000, 'x')}, {"offset", std::to_string(i)}}});
            if (!result) {
                EXPECT_EQ(result.error().code, ErrorCode::NoStorage);
                break;
            }
            written = i;
        }
        ASSERT_GT(written, 50);
        ASSERT_LT(written, 500);
        EXPECT_EQ(store->get("offset").value(), std::to_string(written)) << "reads still work";
    }
    ASSERT_TRUE(store->reopen().has_value());
    EXPECT_EQ(store->get("offset").value(), std::to_string(written));
    EXPECT_EQ(store->get(numbered(written + 1)).value(), std::nullopt);
    EXPECT_TRUE(store->write({{{"offset", "more"}}}).has_value());
    EXPECT_TRUE(store->set_aside().empty());
}

TEST_F(RocksDbStoreTest, SecondOpenInThisProcessIsUnavailable) {
    const auto first = open();
    const auto second = RocksDbStore::open(shared_, directory());
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, ErrorCode::Unavailable);
    EXPECT_EQ(first->get("a").value(), std::nullopt);
}

TEST_F(RocksDbStoreTest, AnotherProcessesDatabaseIsLeftAlone) {
    static_cast<void>(open());
    const std::string lock_file = (directory() / "LOCK").string();
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        const int file = ::open(lock_file.c_str(), O_RDWR);
        struct flock lock{};
        lock.l_type = F_WRLCK;
        lock.l_whence = SEEK_SET;
        const char result = file >= 0 && fcntl(file, F_SETLK, &lock) == 0 ? '+' : '-';
        [[maybe_unused]] const ssize_t written = write(ends[1], &result, 1);
        pause();
        _exit(0);
    }
    char locked = 0;
    ASSERT_EQ(read(ends[0], &locked, 1), 1);
    ASSERT_EQ(locked, '+');
    const auto store = RocksDbStore::open(shared_, directory());
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
    close(ends[0]);
    close(ends[1]);
    ASSERT_FALSE(store.has_value());
    EXPECT_EQ(store.error().code, ErrorCode::Misconfigured);
    EXPECT_THAT(store.error().detail, HasSubstr("another process uses it"));
    EXPECT_THAT(scratch_.names(), ElementsAre("p007"));
}

TEST_F(RocksDbStoreTest, DirectoryThatCannotBeMadeIsAPersonsBusiness) {
    std::ofstream(scratch_.path() / "file") << "x";
    const auto store = RocksDbStore::open(shared_, scratch_.path() / "file" / "p000");
    ASSERT_FALSE(store.has_value());
    EXPECT_EQ(store.error().code, ErrorCode::Misconfigured);
    EXPECT_THAT(store.error().detail, HasSubstr("ledger.directory"));
}

// --- kill -9 ---

// Run by KillLeavesAPrefix only: writes until it is killed.
TEST(RocksDbStoreVictim, DISABLED_Writes) {
    const char* const directory = std::getenv(kVictimDirectory);
    ASSERT_NE(directory, nullptr);
    const SharedResources shared;
    const auto store = RocksDbStore::open(shared, directory).value();
    const auto stored = store->get("offset").value();
    for (int i = std::stoi(stored.value_or("0")) + 1;; ++i) {
        ASSERT_TRUE(store
                        ->write({{{numbered(i), std::string(500, 'x')},
                                  {numbered(i - 100), std::nullopt},
                                  {"offset", std::to_string(i)}}})
                        .has_value());
        if (i % 1'000 == 0) {
            report_to_killer();
        }
    }
}

TEST_F(RocksDbStoreTest, KillLeavesAPrefix) {
    int previous = 0;
    for (int round = 1; round <= 4; ++round) {
        run_victim_and_kill("RocksDbStoreVictim.DISABLED_Writes", directory(), 3 * round);
        const auto store = open();
        ASSERT_TRUE(store->set_aside().empty());
        const int offset = std::stoi(store->get("offset").value().value());
        EXPECT_GE(offset, previous + 3'000 * round - 1'000)
            << "what was written survives the process";
        const auto rows = store->scan("row", "rox", 1'000).value();
        ASSERT_THAT(rows, SizeIs(100U));
        EXPECT_EQ(rows.back().first, numbered(offset)) << "the offset is that of the data";
        previous = offset;
    }
}

TEST_F(RocksDbStoreTest, LoadsUnsortedBatchesOfWhichTheLastOperationOfAKeyCounts) {
    {
        const auto store = open();
        StoreBatch first{{{"c", "old"}, {"a", "1"}, {"c", "new"}, {"d", "gone later"}}};
        StoreBatch second{{{"e", "5"}, {"d", std::nullopt}, {"b", "2"}, {"e", "6"}}};
        StoreBatch nothing;
        ASSERT_TRUE(store->load(first).has_value());
        ASSERT_TRUE(store->load(second).has_value());
        ASSERT_TRUE(store->load(nothing).has_value());
        ASSERT_TRUE(store->write({{{"b", "3"}}}).has_value());
    }
    const auto store = open();
    EXPECT_THAT(store->scan("a", "z", 10).value(),
                ElementsAre(Pair("a", "1"), Pair("b", "3"), Pair("c", "new"), Pair("e", "6")));
    EXPECT_EQ(store->get("d").value(), std::nullopt);
    EXPECT_THAT(files_with(directory(), ".tmp"), IsEmpty());
}

// In a process of its own, whose files must not grow any more.
[[noreturn]] void fill_the_disk_and_close(const fs::path& directory) {
    std::signal(SIGXFSZ, SIG_IGN);
    const SharedResources shared;
    auto store = RocksDbStore::open(shared, directory);
    const rlimit nothing{1, 1};
    if (!store || setrlimit(RLIMIT_FSIZE, &nothing) != 0) {
        std::_Exit(2);
    }
    for (int i = 0; i < 3; ++i) {
        const auto written = (*store)->write({{{numbered(i), std::string(100'000, 'x')}}});
        if (written || written.error().code != ErrorCode::NoStorage) {
            std::_Exit(3);
        }
    }
    store->reset();
    std::_Exit(0);
}

TEST_F(RocksDbStoreTest, AFullDiskIsAnErrorAndNotTheEndOfTheProcess) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_EXIT(fill_the_disk_and_close(scratch_.path() / "full"), testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace postlane
