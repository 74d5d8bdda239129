#include "adapters/rocksdb/address_store.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <mutex>
#include <utility>

#include "codec/ledger_codec.h"
#include "codec/wire.h"
#include "postlane/suppression_gate.h"

namespace postlane {
namespace {

constexpr std::uint8_t kVersion = 1;
constexpr std::string_view kRows("\1", 1);
constexpr std::string_view kRowsEnd("\2", 1);

std::string offsets_key() {
    return std::string("\0O", 2);
}

std::string row_key(const AddressKey& address) {
    std::string key(kRows);
    key += address.value();
    return key;
}

std::string encode_offsets(const std::map<PartitionId, Offset>& next) {
    wire::Writer out;
    out.u8(kVersion);
    out.varint(next.size());
    for (const auto& [partition, offset] : next) {
        out.zigzag(partition);
        out.zigzag(offset);
    }
    return out.take();
}

std::optional<std::map<PartitionId, Offset>> decode_offsets(std::string_view bytes) {
    wire::Reader in(bytes);
    in.require(in.u8() == kVersion);
    std::map<PartitionId, Offset> next;
    const std::size_t count = in.count();
    for (std::size_t i = 0; i < count && in.ok(); ++i) {
        const std::int64_t partition = in.zigzag();
        in.require(partition >= 0 && partition <= INT32_MAX);
        const Offset offset = in.zigzag();
        in.require(offset >= 0 && next.emplace(static_cast<PartitionId>(partition), offset).second);
    }
    return in.finish() ? std::optional(std::move(next)) : std::nullopt;
}

// Whether offsets that are stored can belong to a topic that ends there.
bool belongs_to(const std::map<PartitionId, Offset>& next,
                const std::map<PartitionId, Offset>& ends) {
    if (next.size() != ends.size()) {
        return false;
    }
    for (const auto& [partition, end] : ends) {
        const auto stored = next.find(partition);
        if (stored == next.end() || stored->second > end) {
            return false;
        }
    }
    return true;
}

}  // namespace

Result<std::unique_ptr<AddressStore>> AddressStore::open(
    const SharedResources& shared, const std::filesystem::path& ledger_directory) {
    auto database = RocksDbStore::open(shared, ledger_directory / "addresses");
    if (!database) {
        return tl::unexpected<Error>(std::move(database.error()));
    }
    std::unique_ptr<AddressStore> store(new AddressStore(*std::move(database)));
    auto loaded = store->load();
    if (!loaded && loaded.error().code == ErrorCode::Corrupt) {
        loaded = store->wipe();
    }
    if (!loaded) {
        return tl::unexpected<Error>(std::move(loaded.error()));
    }
    return store;
}

Result<void> AddressStore::load() {
    next_.clear();
    const auto offsets = store_->get(offsets_key());
    if (!offsets) {
        return tl::unexpected<Error>(offsets.error());
    }
    if (*offsets) {
        auto next = decode_offsets(**offsets);
        if (!next) {
            return fail(ErrorCode::Corrupt, "addresses: the stored offsets make no sense");
        }
        next_ = *std::move(next);
    }
    const auto first = store_->scan(kRows, kRowsEnd, 1);
    if (!first) {
        return tl::unexpected<Error>(first.error());
    }
    if (!first->empty() && next_.empty()) {
        return fail(ErrorCode::Corrupt, "addresses: rows without offsets");
    }
    empty_.store(first->empty(), std::memory_order_release);
    return {};
}

Result<void> AddressStore::wipe() {
    set_unproven();
    {
        const std::unique_lock lock(replacing_);
        if (auto wiped = store_->wipe(); !wiped) {
            fail_closed(wiped.error().code);
            return wiped;
        }
        empty_.store(true, std::memory_order_release);
    }
    next_ = start_;
    change_every_counter();
    return {};
}

// Whoever decided on the rows that were there must decide again.
void AddressStore::change_every_counter() noexcept {
    for (Counter& each : counters_) {
        each.fetch_add(1, std::memory_order_acq_rel);
    }
}

Result<void> AddressStore::attach(const std::map<PartitionId, Offset>& ends) {
    start_.clear();
    for (const auto& [partition, end] : ends) {
        start_[partition] = 0;
    }
    if (next_.empty()) {
        next_ = start_;
        return {};
    }
    return belongs_to(next_, ends) ? Result<void>() : wipe();
}

Result<void> AddressStore::apply(const std::vector<AddressSuppression>& events,
                                 const std::map<PartitionId, Offset>& next_offsets) {
    std::map<AddressKey, SuppressionRow> rows;  // as they will be
    std::map<AddressKey, bool> changed;
    for (const auto& [address, event] : events) {
        auto row = rows.find(address);
        if (row == rows.end()) {
            auto stored = find(address);
            if (failed()) {
                return fail(ErrorCode::Unavailable,
                            "addresses: a read failed, the batch was not applied");
            }
            row = rows.emplace(address, std::move(stored).value_or(SuppressionRow{})).first;
        }
        const SuppressionRow before = row->second;
        fold(row->second, event);
        changed[address] |= row->second != before;
    }

    StoreBatch batch;
    for (const auto& [address, differs] : changed) {
        if (differs) {
            batch.operations.push_back({row_key(address), ledger::encode(rows.at(address))});
        }
    }
    const bool has_rows = !batch.operations.empty();
    std::map<PartitionId, Offset> next = next_;
    for (const auto& [partition, offset] : next_offsets) {
        next[partition] = offset;
    }
    batch.operations.push_back({offsets_key(), encode_offsets(next)});
    if (auto written = store_->write(batch); !written) {
        fail_closed(written.error().code);
        return written;
    }
    next_ = std::move(next);
    if (has_rows) {
        empty_.store(false, std::memory_order_release);
    }
    for (const auto& [address, differs] : changed) {
        if (differs) {
            counter(address).fetch_add(1, std::memory_order_acq_rel);
        }
    }
    return {};
}

void AddressStore::set_fresh_since(BootInstant since) noexcept {
    fresh_since_.store(since.time_since_epoch().count(), std::memory_order_release);
}

void AddressStore::set_unproven() noexcept {
    set_fresh_since(BootInstant{});
}

void AddressStore::fail_closed(ErrorCode code) const noexcept {
    if (code == ErrorCode::Corrupt) {
        damaged_.store(true, std::memory_order_release);
    }
    failed_.store(true, std::memory_order_release);
}

Result<void> AddressStore::recover() {
    set_unproven();
    Result<void> done;
    if (!damaged_.load(std::memory_order_acquire)) {
        {
            const std::unique_lock lock(replacing_);
            done = store_->reopen();
        }
        if (done) {
            done = load();
        }
        if (!done && done.error().code != ErrorCode::Corrupt) {
            return done;
        }
    }
    if (damaged_.load(std::memory_order_acquire) || !done) {
        if (done = wipe(); !done) {
            return done;
        }
    }
    if (next_.empty()) {  // it was set aside when it was opened
        next_ = start_;
    }
    change_every_counter();
    damaged_.store(false, std::memory_order_release);
    failed_.store(false, std::memory_order_release);
    return {};
}

std::optional<SuppressionRow> AddressStore::find(const AddressKey& key) const {
    if (empty_.load(std::memory_order_acquire)) {
        return std::nullopt;
    }
    const std::shared_lock lock(replacing_);
    const auto value = store_->get(row_key(key));
    if (value && !*value) {
        return std::nullopt;
    }
    ErrorCode why = ErrorCode::Corrupt;
    if (!value) {
        why = value.error().code;
    } else if (auto row = ledger::decode_suppressions(**value)) {
        return *std::move(row);
    }
    // Nothing known is not "not suppressed": first the view stops being fresh, then the counter
    // moves, so a decision made on this answer is refused by the last check even if the view has
    // recovered by then.
    fail_closed(why);
    counter(key).fetch_add(1, std::memory_order_acq_rel);
    return std::nullopt;
}

BootInstant AddressStore::fresh_since() const noexcept {
    // The order matters: a failure after the freshness was read is caught by the counters.
    const BootInstant since{BootClock::duration{fresh_since_.load(std::memory_order_acquire)}};
    return failed() ? BootInstant{} : since;
}

const std::atomic<std::uint64_t>& AddressStore::changes(const AddressKey& key) const noexcept {
    return counter(key);
}

AddressStore::Counter& AddressStore::counter(const AddressKey& key) const noexcept {
    return counters_[XXH3_64bits(key.value().data(), key.value().size()) % kStripes];
}

std::uint64_t AddressStore::size_bytes() const {
    const std::shared_lock lock(replacing_);
    return store_->size_bytes();
}

std::filesystem::path AddressStore::set_aside() const {
    const std::shared_lock lock(replacing_);
    return store_->set_aside();
}

}  // namespace postlane
