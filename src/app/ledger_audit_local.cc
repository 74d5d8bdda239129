#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <string>
#include <system_error>

#include "adapters/kafka/input_reader.h"
#include "adapters/rocksdb/read_only_store.h"
#include "adapters/rocksdb/rocksdb_store.h"
#include "app/ledger_audit.h"
#include "runtime/bell.h"

namespace postlane {
namespace {

namespace fs = std::filesystem;

std::vector<PartitionId> stored_partitions(const fs::path& directory) {
    std::vector<PartitionId> partitions;
    std::error_code error;
    for (fs::directory_iterator entry(directory, error), end; !error && entry != end;
         entry.increment(error)) {
        const std::string name = entry->path().filename().string();
        PartitionId partition = 0;
        const char* const last = name.data() + name.size();
        if (name.size() > 1 && name.front() == 'p') {
            const auto parsed = std::from_chars(name.data() + 1, last, partition);
            if (parsed.ec == std::errc{} && parsed.ptr == last) {
                partitions.push_back(partition);
            }
        }
    }
    std::sort(partitions.begin(), partitions.end());
    return partitions;
}

// Applies `question` to every local store.
template <class Answer, class Question>
Result<std::vector<Answer>> ask_stores(const Config& config, const Question& question) {
    const fs::path directory = config.ledger.directory;
    const std::vector<PartitionId> partitions = stored_partitions(directory);
    if (partitions.empty()) {
        return fail(ErrorCode::Unavailable,
                    fmt::format("{} holds no store of a partition; check ledger.directory",
                                directory.string()));
    }
    std::vector<Answer> answers;
    for (const PartitionId partition : partitions) {
        const auto store =
            ReadOnlyStore::open(RocksDbStore::partition_directory(directory, partition));
        if (!store) {
            return tl::unexpected(store.error());
        }
        auto answer = question(partition, **store);
        if (!answer) {
            return tl::unexpected(answer.error());
        }
        answers.push_back(std::move(*answer));
    }
    return answers;
}

}  // namespace

Result<LedgerPartitionVerdict> audit_ledger(PartitionId partition, const Store& store,
                                            KafkaInput& input, const Config& config,
                                            const std::function<bool()>& stopped) {
    Bell bell;
    const auto stream = input.open(config.topics.ledger, partition, [&bell] { bell.ring(); });
    return audit_ledger(partition, store, *stream, [&bell] { bell.wait(Millis{100}); }, stopped);
}

Result<std::vector<LedgerPartitionStats>> count_local_stores(const Config& config) {
    return ask_stores<LedgerPartitionStats>(config, [](PartitionId partition, const Store& store) {
        return count_ledger_rows(partition, store);
    });
}

Result<std::vector<LedgerPartitionVerdict>> audit_local_stores(
    const Config& config, const kafka::LogSink& log, const std::function<void(PartitionId)>& next) {
    const auto input = KafkaInput::create(config, {}, log);
    if (!input) {
        return tl::unexpected(input.error());
    }
    return ask_stores<LedgerPartitionVerdict>(
        config, [&](PartitionId partition, const Store& store) {
            next(partition);
            return audit_ledger(partition, store, **input, config, [] { return false; });
        });
}

}  // namespace postlane
