// What all databases of a process share, so that their memory does not grow with the number of
// partitions.
#pragma once

#include <cstddef>
#include <memory>

namespace rocksdb {
class Cache;
class WriteBufferManager;
struct Options;
}  // namespace rocksdb

namespace postlane {

// Made once per process; must outlive every store opened with it. Thread-safe.
class SharedResources {
public:
    struct Limits {
        std::size_t cache_bytes = std::size_t{64} << 20;  // blocks, indexes, filters, write buffers
        std::size_t write_buffers_bytes = std::size_t{32} << 20;  // of the cache
        int open_files_per_database = 64;
        int background_threads = 2;
    };
    SharedResources();
    explicit SharedResources(const Limits& limits);
    ~SharedResources();
    SharedResources(const SharedResources&) = delete;
    SharedResources& operator=(const SharedResources&) = delete;

    // For one database.
    [[nodiscard]] rocksdb::Options options() const;

private:
    Limits limits_;
    std::shared_ptr<rocksdb::Cache> cache_;
    std::shared_ptr<rocksdb::WriteBufferManager> write_buffers_;
};

}  // namespace postlane
