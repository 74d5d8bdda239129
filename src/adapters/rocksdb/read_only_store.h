// A partition's database, looked at from outside: nothing is created, repaired or locked, so this
// works beside a running instance too. What it sees is the moment it was opened.
#pragma once

#include <filesystem>
#include <memory>

#include "postlane/ports/store.h"

namespace rocksdb {
class DB;
}  // namespace rocksdb

namespace postlane {

// One thread.
class ReadOnlyStore final : public Store {
public:
    // Unavailable if there is no database, or it cannot be read.
    [[nodiscard]] static Result<std::unique_ptr<ReadOnlyStore>> open(
        const std::filesystem::path& directory);
    ~ReadOnlyStore() override;
    ReadOnlyStore(const ReadOnlyStore&) = delete;
    ReadOnlyStore& operator=(const ReadOnlyStore&) = delete;

    [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key) const override;
    [[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> scan(
        std::string_view begin, std::string_view end, std::size_t limit) const override;
    // Rejected, both.
    [[nodiscard]] Result<void> write(const StoreBatch& batch) override;
    [[nodiscard]] Result<void> wipe() override;
    [[nodiscard]] std::uint64_t size_bytes() const override;

private:
    ReadOnlyStore(std::unique_ptr<rocksdb::DB> db, std::filesystem::path directory);

    std::unique_ptr<rocksdb::DB> db_;
    std::filesystem::path directory_;
};

}  // namespace postlane
