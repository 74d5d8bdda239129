// The Store port on RocksDB: one database per partition, in a directory of its own.
#pragma once

#include <atomic>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/rocksdb/shared_resources.h"
#include "postlane/ports/store.h"
#include "postlane/types.h"

namespace rocksdb {
class DB;
class Status;
}  // namespace rocksdb

namespace postlane {

// Reads may come from any thread while one thread writes; wipe() and reopen()
// need all others to keep away.
class RocksDbStore final : public Store {
public:
    // <ledger directory>/p007
    [[nodiscard]] static std::filesystem::path partition_directory(
        const std::filesystem::path& ledger_directory, PartitionId partition);

    // Opens what is there, or an empty database. A damaged one is set aside first, as
    // <directory>.corrupt-<time>; of those only the newest is kept. Errors: Unavailable (I/O, no
    // space, still open in this process), Misconfigured (another process has it, no permission).
    [[nodiscard]] static Result<std::unique_ptr<RocksDbStore>> open(
        const SharedResources& shared, std::filesystem::path directory);
    ~RocksDbStore() override;
    RocksDbStore(const RocksDbStore&) = delete;
    RocksDbStore& operator=(const RocksDbStore&) = delete;

    [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key) const override;
    [[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> scan(
        std::string_view begin, std::string_view end, std::size_t limit) const override;
    [[nodiscard]] Result<void> write(const StoreBatch& batch) override;
    [[nodiscard]] Result<void> load(StoreBatch& batch) override;
    // Sets the database aside instead of deleting it if it was found corrupt. After an error the
    // store answers Unavailable until wipe() or reopen() succeeds.
    [[nodiscard]] Result<void> wipe() override;
    [[nodiscard]] std::uint64_t size_bytes() const override;
    // Closes and opens again, which ends an error state that RocksDB itself does not leave (no
    // space).
    [[nodiscard]] Result<void> reopen();

    // Where open() put a damaged predecessor; empty if there was none. Worth a warning.
    [[nodiscard]] const std::filesystem::path& set_aside() const noexcept { return set_aside_; }

private:
    RocksDbStore(const SharedResources& shared, std::filesystem::path directory);

    [[nodiscard]] Result<void> open_or_replace();
    [[nodiscard]] Result<void> move_aside();
    [[nodiscard]] Error error_of(const rocksdb::Status& status, std::string_view doing) const;

    const SharedResources& shared_;
    const std::filesystem::path directory_;
    std::filesystem::path set_aside_;
    std::unique_ptr<rocksdb::DB> db_;
    mutable std::atomic<bool> corrupt_{false};  // a read or write said so
};

}  // namespace postlane
