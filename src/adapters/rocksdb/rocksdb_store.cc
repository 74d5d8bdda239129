#include "adapters/rocksdb/rocksdb_store.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>
#include <rocksdb/perf_level.h>
#include <rocksdb/sst_file_writer.h>
#include <rocksdb/write_batch.h>

#include <algorithm>
#include <chrono>
#include <system_error>

namespace postlane {
namespace {

namespace fs = std::filesystem;

rocksdb::Slice slice(std::string_view bytes) {
    return {bytes.data(), bytes.size()};
}

// What a database looks like whose bytes, or set of files, make no sense.
bool is_damage(const rocksdb::Status& status) {
    return status.IsCorruption() || status.IsInvalidArgument() || status.IsNotSupported() ||
           status.IsPathNotFound();
}

bool is_lock_conflict(const rocksdb::Status& status) {
    // RocksDB has no code of its own for it: "While lock file: <path>/LOCK: ..." or "lock hold by
    // current process".
    const std::string text = status.ToString();
    return status.IsIOError() && (text.find("While lock file") != std::string::npos ||
                                  text.find("lock hold by current process") != std::string::npos);
}

// Message bodies hold addresses, so the directory is for this user alone.
std::error_code make_private_directory(const fs::path& directory) {
    std::error_code error;
    if (fs::create_directories(directory, error); error) {
        return error;
    }
    fs::permissions(directory, fs::perms::owner_all, error);
    return error;
}

std::string timestamp() {
    const auto now = std::chrono::system_clock::now();
    const auto millis =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()) % 1000;
    return fmt::format("{:%Y%m%dT%H%M%S}{:03}Z",
                       fmt::gmtime(std::chrono::system_clock::to_time_t(now)), millis.count());
}

}  // namespace

fs::path RocksDbStore::partition_directory(const fs::path& ledger_directory,
                                           PartitionId partition) {
    return ledger_directory / fmt::format("p{:03}", partition);
}

RocksDbStore::RocksDbStore(const SharedResources& shared, fs::path directory)
    : shared_(shared), directory_(std::move(directory)) {}

RocksDbStore::~RocksDbStore() = default;

Result<std::unique_ptr<RocksDbStore>> RocksDbStore::open(const SharedResources& shared,
                                                         fs::path directory) {
    // Of this thread, the one that will use it. By default RocksDB counts every comparison of keys.
    rocksdb::SetPerfLevel(rocksdb::PerfLevel::kDisable);
    std::unique_ptr<RocksDbStore> store(new RocksDbStore(shared, std::move(directory)));
    if (auto opened = store->open_or_replace(); !opened) {
        return tl::unexpected<Error>(std::move(opened.error()));
    }
    return store;
}

Result<void> RocksDbStore::open_or_replace() {
    for (const bool last_try : {false, true}) {
        if (const std::error_code error = make_private_directory(directory_)) {
            const bool denied = error == std::errc::permission_denied ||
                                error == std::errc::read_only_file_system ||
                                error == std::errc::not_a_directory;
            return fail(denied ? ErrorCode::Misconfigured : ErrorCode::NoStorage,
                        fmt::format("cannot create {}: {}; check ledger.directory",
                                    directory_.string(), error.message()));
        }
        rocksdb::DB* db = nullptr;
        const rocksdb::Status status =
            rocksdb::DB::Open(shared_.options(), directory_.string(), &db);
        if (status.ok()) {
            db_.reset(db);
            corrupt_ = false;
            return {};
        }
        if (!is_damage(status) || last_try) {
            return tl::unexpected<Error>(error_of(status, "open"));
        }
        if (auto moved = move_aside(); !moved) {
            return moved;
        }
    }
    return fail(ErrorCode::Corrupt,
                fmt::format("{}: an empty database does not open", directory_.string()));
}

Result<void> RocksDbStore::move_aside() {
    std::error_code error;
    const std::string prefix = directory_.filename().string() + ".corrupt-";
    for (fs::directory_iterator entry(directory_.parent_path(), error), end; !error && entry != end;
         entry.increment(error)) {
        if (entry->path().filename().string().rfind(prefix, 0) == 0) {
            std::error_code ignored;  // an old one that stays costs only space
            fs::remove_all(entry->path(), ignored);
        }
    }
    const fs::path target = directory_.parent_path() / (prefix + timestamp());
    fs::rename(directory_, target, error);
    if (error) {
        return fail(ErrorCode::NoStorage, fmt::format("cannot set the damaged {} aside: {}",
                                                      directory_.string(), error.message()));
    }
    set_aside_ = target;
    return {};
}

Error RocksDbStore::error_of(const rocksdb::Status& status, std::string_view doing) const {
    const std::string where =
        fmt::format("{}: {}: {}", directory_.string(), doing, status.ToString());
    if (is_lock_conflict(status)) {
        if (where.find("lock hold by current process") != std::string::npos) {
            return {ErrorCode::Unavailable, where + "; this process has not closed it yet"};
        }
        return {
            ErrorCode::Misconfigured,
            where +
                "; another process uses it: give each postlane process its own ledger.directory"};
    }
    if (is_damage(status)) {
        corrupt_ = true;
        return {ErrorCode::Corrupt, where};
    }
    return {ErrorCode::NoStorage, where};
}

Result<std::optional<std::string>> RocksDbStore::get(std::string_view key) const {
    if (!db_) {
        return fail(ErrorCode::NoStorage, directory_.string() + ": not open");
    }
    rocksdb::PinnableSlice value;
    const rocksdb::Status status =
        db_->Get(rocksdb::ReadOptions(), db_->DefaultColumnFamily(), slice(key), &value);
    if (status.IsNotFound()) {
        return std::optional<std::string>();
    }
    if (!status.ok()) {
        return tl::unexpected<Error>(error_of(status, "read"));
    }
    return std::optional<std::string>(std::in_place, value.data(), value.size());
}

Result<std::vector<std::pair<std::string, std::string>>> RocksDbStore::scan(
    std::string_view begin, std::string_view end, std::size_t limit) const {
    std::vector<std::pair<std::string, std::string>> found;
    if (!db_) {
        return fail(ErrorCode::NoStorage, directory_.string() + ": not open");
    }
    if (begin >= end) {
        return found;
    }
    const rocksdb::Slice bound = slice(end);
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &bound;
    const std::unique_ptr<rocksdb::Iterator> row(db_->NewIterator(options));
    for (row->Seek(slice(begin)); found.size() < limit && row->Valid(); row->Next()) {
        found.emplace_back(row->key().ToString(), row->value().ToString());
    }
    if (!row->status().ok()) {
        return tl::unexpected<Error>(error_of(row->status(), "scan"));
    }
    return found;
}

Result<void> RocksDbStore::write(const StoreBatch& batch) {
    if (!db_) {
        return fail(ErrorCode::NoStorage, directory_.string() + ": not open");
    }
    // By key, so that what follows one another in the batch is near one another in the memtable, where the insertion
    // goes on from the last place. Of one key, the last operation counts: their order stays.
    std::vector<const StoreBatch::Operation*> ordered;
    ordered.reserve(batch.operations.size());
    std::size_t bytes = 0;
    for (const StoreBatch::Operation& operation : batch.operations) {
        ordered.push_back(&operation);
        bytes += operation.key.size() + (operation.value ? operation.value->size() : 0) + 12;
    }
    std::stable_sort(ordered.begin(), ordered.end(),
                     [](const auto* left, const auto* right) { return left->key < right->key; });
    rocksdb::WriteBatch writes(bytes);
    rocksdb::Status status;
    for (const StoreBatch::Operation* operation : ordered) {
        status = operation->value ? writes.Put(slice(operation->key), slice(*operation->value))
                                  : writes.Delete(slice(operation->key));
        if (!status.ok()) {
            return tl::unexpected<Error>(error_of(status, "write"));
        }
    }
    rocksdb::WriteOptions options;
    options.sync = false;
    status = db_->Write(options, &writes);
    if (!status.ok()) {
        return tl::unexpected<Error>(error_of(status, "write"));
    }
    return {};
}

// Sorted into a table file that the database takes over: neither the log nor a memtable sees it. While it is filled
// nothing else is written, which RocksDB 7.8 needs: it may misorder files taken over beside a memtable that is in use.
Result<void> RocksDbStore::load(StoreBatch& batch) {
    if (!db_) {
        return fail(ErrorCode::NoStorage, directory_.string() + ": not open");
    }
    auto& operations = batch.operations;
    if (operations.empty()) {
        return {};
    }
    std::stable_sort(operations.begin(), operations.end(),
                     [](const auto& left, const auto& right) { return left.key < right.key; });
    const std::string file = (directory_ / "load.tmp").string();
    rocksdb::SstFileWriter writer(rocksdb::EnvOptions(), shared_.options());
    rocksdb::Status status = writer.Open(file);
    for (std::size_t i = 0; status.ok() && i < operations.size(); ++i) {
        const StoreBatch::Operation& operation = operations[i];
        if (i + 1 < operations.size() && operations[i + 1].key == operation.key) {
            continue;
        }
        status = operation.value ? writer.Put(slice(operation.key), slice(*operation.value))
                                 : writer.Delete(slice(operation.key));
    }
    if (status.ok()) {
        status = writer.Finish();
    }
    if (status.ok()) {
        rocksdb::IngestExternalFileOptions options;
        options.move_files = true;
        options.snapshot_consistency = false;
        status = db_->IngestExternalFile({file}, options);
    }
    if (!status.ok()) {
        return tl::unexpected<Error>(error_of(status, "load"));
    }
    return {};
}

Result<void> RocksDbStore::reopen() {
    db_.reset();
    return open_or_replace();
}

Result<void> RocksDbStore::wipe() {
    db_.reset();
    if (corrupt_) {
        if (auto moved = move_aside(); !moved) {
            return moved;
        }
    } else {
        std::error_code error;
        fs::remove_all(directory_, error);
        if (error) {
            return fail(ErrorCode::NoStorage,
                        fmt::format("cannot empty {}: {}", directory_.string(), error.message()));
        }
    }
    return open_or_replace();
}

std::uint64_t RocksDbStore::size_bytes() const {
    std::uint64_t tables = 0;
    std::uint64_t buffers = 0;  // about as much is in the write-ahead log
    if (db_) {
        db_->GetIntProperty(rocksdb::DB::Properties::kTotalSstFilesSize, &tables);
        db_->GetIntProperty(rocksdb::DB::Properties::kCurSizeAllMemTables, &buffers);
    }
    return tables + buffers;
}

}  // namespace postlane
