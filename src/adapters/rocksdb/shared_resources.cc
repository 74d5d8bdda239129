#include "adapters/rocksdb/shared_resources.h"

#include <rocksdb/cache.h>
#include <rocksdb/env.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/options.h>
#include <rocksdb/slice_transform.h>
#include <rocksdb/table.h>
#include <rocksdb/write_buffer_manager.h>

#include <cstdarg>

namespace postlane {
namespace {

constexpr std::size_t kKiB = 1024;
constexpr std::size_t kMiB = 1024 * kKiB;

rocksdb::BlockBasedTableOptions table_options(const std::shared_ptr<rocksdb::Cache>& cache) {
    rocksdb::BlockBasedTableOptions table;
    table.block_cache = cache;
    table.block_size = 8 * kKiB;
    // Most questions are about messages never seen: the filter answers them without a read.
    table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
    table.optimize_filters_for_memory = true;
    // Whole key filtering stays on: off, with partitioned filters, RocksDB 7.8 can miss keys.
    table.index_type = rocksdb::BlockBasedTableOptions::kTwoLevelIndexSearch;
    table.partition_filters = true;
    table.metadata_block_size = 4 * kKiB;
    table.cache_index_and_filter_blocks = true;
    table.cache_index_and_filter_blocks_with_high_priority = true;
    table.pin_top_level_index_and_filter = true;
    table.data_block_index_type = rocksdb::BlockBasedTableOptions::kDataBlockBinaryAndHash;
    return table;
}

// RocksDB 7.8 as Debian builds it aborts the process when a second line for its log file cannot be written, so on a
// full disk. What went wrong is in the status of the call that failed.
class NoLog final : public rocksdb::Logger {
public:
    using rocksdb::Logger::Logv;
    void Logv(const char* /*format*/, va_list /*arguments*/) override {}
};

}  // namespace

SharedResources::SharedResources() : SharedResources(Limits{}) {}

SharedResources::SharedResources(const Limits& limits)
    : limits_(limits), cache_(rocksdb::NewLRUCache(limits.cache_bytes, /*num_shard_bits=*/4)),
      write_buffers_(
          std::make_shared<rocksdb::WriteBufferManager>(limits.write_buffers_bytes, cache_)) {
    rocksdb::Env* const env = rocksdb::Env::Default();
    env->SetBackgroundThreads(limits.background_threads, rocksdb::Env::Priority::LOW);
    env->SetBackgroundThreads(1, rocksdb::Env::Priority::HIGH);
}

SharedResources::~SharedResources() = default;

rocksdb::Options SharedResources::options() const {
    rocksdb::Options options;
    options.create_if_missing = true;
    options.paranoid_checks = true;
    options.force_consistency_checks = true;
    // A crash leaves a prefix of what was written, and each batch carries the offset that it
    // accounts for.
    options.wal_recovery_mode = rocksdb::WALRecoveryMode::kPointInTimeRecovery;
    options.max_total_wal_size = 64 * kMiB;

    options.write_buffer_manager = write_buffers_;
    options.write_buffer_size = 8 * kMiB;
    options.max_write_buffer_number = 3;
    // Most keys that are asked for were never written; the filter spares walking the memtable for them.
    options.memtable_prefix_bloom_size_ratio = 0.05;
    options.memtable_whole_key_filtering = true;
    // Batches come sorted: a row goes in near the one before it. In ledgers the two bytes tell the kinds of keys apart.
    options.memtable_insert_with_hint_prefix_extractor.reset(rocksdb::NewFixedPrefixTransform(2));
    options.arena_block_size = 256 * kKiB;  // each database has at least one
    options.max_open_files = limits_.open_files_per_database;
    options.max_background_jobs = limits_.background_threads + 1;

    options.compression = rocksdb::kLZ4Compression;
    options.level_compaction_dynamic_level_bytes = true;
    options.bytes_per_sync = kMiB;
    options.wal_bytes_per_sync = kMiB;
    options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table_options(cache_)));

    options.info_log = std::make_shared<NoLog>();
    options.info_log_level = rocksdb::InfoLogLevel::FATAL_LEVEL;
    options.max_manifest_file_size = 16 * kMiB;
    options.stats_dump_period_sec = 0;
    options.stats_persist_period_sec = 0;
    return options;
}

}  // namespace postlane
