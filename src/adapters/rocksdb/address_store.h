// Suppressions by address: the whole topic, folded, in one database of this process.
//
// The address thread is the only writer: it applies what it read, then calls the view fresh. Every
// other thread only reads. Rows and the offsets that account for them are written together, so a
// crash loses at most events that will be read again.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "adapters/rocksdb/rocksdb_store.h"
#include "postlane/error.h"
#include "postlane/event.h"
#include "postlane/ports/address_view.h"

namespace postlane {

struct AddressSuppression {
    AddressKey address;
    SuppressionEvent event;
};

class AddressStore final : public AddressView {
public:
    static constexpr std::size_t kStripes = 4096;

    // <ledger directory>/addresses. Errors as RocksDbStore::open.
    [[nodiscard]] static Result<std::unique_ptr<AddressStore>> open(
        const SharedResources& shared, const std::filesystem::path& ledger_directory);

    // --- the address thread ---

    // Before the first record is read: `ends` are the topic's end offsets, one for each of its
    // partitions. If what is stored belongs to another topic (another number of partitions, or
    // offsets beyond an end) it is dropped, and everything is read again.
    [[nodiscard]] Result<void> attach(const std::map<PartitionId, Offset>& ends);
    // Where to read on, for every partition of the topic.
    [[nodiscard]] const std::map<PartitionId, Offset>& next_offsets() const noexcept {
        return next_;
    }
    // Folds the events, in order, and moves to the offsets, all of it or nothing; then bumps the
    // counters. After an error the view is not fresh until recover().
    [[nodiscard]] Result<void> apply(const std::vector<AddressSuppression>& events,
                                     const std::map<PartitionId, Offset>& next_offsets);
    // Everything acknowledged before `since` has been applied. Ignored while failed().
    void set_fresh_since(BootInstant since) noexcept;
    // The view can no longer be proven fresh: a restart, an error of the topic.
    void set_unproven() noexcept;
    // A read or write went wrong, in whatever thread: nothing is sent until recover() succeeds. It
    // opens the database again, or an empty one in place of a damaged one; then read on from
    // next_offsets().
    [[nodiscard]] bool failed() const noexcept { return failed_.load(std::memory_order_acquire); }
    [[nodiscard]] Result<void> recover();

    // --- any thread ---

    [[nodiscard]] std::optional<SuppressionRow> find(const AddressKey& key) const override;
    [[nodiscard]] BootInstant fresh_since() const noexcept override;
    [[nodiscard]] const std::atomic<std::uint64_t>& changes(
        const AddressKey& key) const noexcept override;
    [[nodiscard]] std::uint64_t size_bytes() const;
    // Where a damaged database was put; empty if there was none.
    [[nodiscard]] std::filesystem::path set_aside() const;

private:
    using Counter = std::atomic<std::uint64_t>;

    explicit AddressStore(std::unique_ptr<RocksDbStore> store) : store_(std::move(store)) {}

    [[nodiscard]] Result<void> load();
    [[nodiscard]] Result<void> wipe();
    void change_every_counter() noexcept;
    [[nodiscard]] Counter& counter(const AddressKey& key) const noexcept;
    void fail_closed(ErrorCode code) const noexcept;

    std::unique_ptr<RocksDbStore> store_;
    // Held exclusively only while the database is replaced.
    mutable std::shared_mutex replacing_;
    std::map<PartitionId, Offset> next_;   // address thread
    std::map<PartitionId, Offset> start_;  // address thread: 0 for each partition of the topic
    std::atomic<bool> empty_{true};        // no row at all: most installations, most of the time
    mutable std::atomic<bool> failed_{false};
    mutable std::atomic<bool> damaged_{false};  // failed, and reading again would not help
    std::atomic<BootInstant::rep> fresh_since_{0};
    mutable std::array<Counter, kStripes> counters_{};
};

}  // namespace postlane
