#include "adapters/rocksdb/read_only_store.h"

#include <fmt/format.h>
#include <rocksdb/db.h>
#include <rocksdb/options.h>

#include <system_error>
#include <utility>

namespace postlane {
namespace {

rocksdb::Slice slice(std::string_view bytes) {
    return {bytes.data(), bytes.size()};
}

tl::unexpected<Error> failure(const rocksdb::Status& status) {
    return fail(status.IsCorruption() ? ErrorCode::Corrupt : ErrorCode::Unavailable,
                "the local store cannot be read: " + status.ToString());
}

tl::unexpected<Error> read_only() {
    return fail(ErrorCode::Rejected, "the local store was opened for reading only");
}

}  // namespace

ReadOnlyStore::ReadOnlyStore(std::unique_ptr<rocksdb::DB> db, std::filesystem::path directory)
    : db_(std::move(db)), directory_(std::move(directory)) {}

ReadOnlyStore::~ReadOnlyStore() = default;

Result<std::unique_ptr<ReadOnlyStore>> ReadOnlyStore::open(const std::filesystem::path& directory) {
    rocksdb::DB* db = nullptr;
    rocksdb::Options options;
    // All files are opened now: a running instance may delete them while they are read.
    options.max_open_files = -1;
    const rocksdb::Status status = rocksdb::DB::OpenForReadOnly(options, directory.string(), &db);
    if (!status.ok()) {
        return failure(status);
    }
    return std::unique_ptr<ReadOnlyStore>(
        new ReadOnlyStore(std::unique_ptr<rocksdb::DB>(db), directory));
}

Result<std::optional<std::string>> ReadOnlyStore::get(std::string_view key) const {
    std::string value;
    const rocksdb::Status status = db_->Get(rocksdb::ReadOptions(), slice(key), &value);
    if (status.IsNotFound()) {
        return std::optional<std::string>();
    }
    if (!status.ok()) {
        return failure(status);
    }
    return std::optional<std::string>(std::move(value));
}

Result<std::vector<std::pair<std::string, std::string>>> ReadOnlyStore::scan(
    std::string_view begin, std::string_view end, std::size_t limit) const {
    const rocksdb::Slice upper = slice(end);
    rocksdb::ReadOptions options;
    options.iterate_upper_bound = &upper;
    const std::unique_ptr<rocksdb::Iterator> rows(db_->NewIterator(options));
    std::vector<std::pair<std::string, std::string>> found;
    for (rows->Seek(slice(begin)); rows->Valid() && found.size() < limit; rows->Next()) {
        found.emplace_back(rows->key().ToString(), rows->value().ToString());
    }
    if (!rows->status().ok()) {
        return failure(rows->status());
    }
    return found;
}

Result<void> ReadOnlyStore::write(const StoreBatch&) {
    return read_only();
}

Result<void> ReadOnlyStore::wipe() {
    return read_only();
}

std::uint64_t ReadOnlyStore::size_bytes() const {
    std::uint64_t bytes = 0;
    std::error_code error;
    for (std::filesystem::directory_iterator file(directory_, error), end; !error && file != end;
         file.increment(error)) {
        std::error_code gone;  // a running instance may have deleted it
        const std::uintmax_t size = file->is_regular_file(gone) ? file->file_size(gone) : 0;
        bytes += gone ? 0 : size;
    }
    return bytes;
}

}  // namespace postlane
