// A topic read whole, all its partitions, by one thread: the suppressions by address, and control.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "adapters/kafka/input_reader.h"
#include "postlane/error.h"
#include "postlane/ports/input_stream.h"
#include "postlane/types.h"

namespace postlane {

struct PartitionRecord {
    PartitionId partition = 0;
    InputRecord record;
};

// Used by one thread. What InputStream says about poll, end_seen and lost records holds for each
// partition.
class AddressLog {
public:
    // `wake`: see KafkaInput::open.
    AddressLog(KafkaInput& input, const std::string& topic, PartitionId partitions,
               const std::function<void()>& wake);

    // Where each partition is read from; one that is not named begins at its first record.
    [[nodiscard]] Result<void> start(const std::map<PartitionId, Offset>& from);
    // At most `max` records, taking turns, so that one busy partition does not starve the others.
    [[nodiscard]] Result<void> poll(std::vector<PartitionRecord>& out, std::size_t max);
    [[nodiscard]] std::optional<Offset> end_seen(PartitionId partition) const;
    [[nodiscard]] std::optional<Offset> high_watermark(PartitionId partition) const;
    [[nodiscard]] PartitionId partitions() const noexcept {
        return static_cast<PartitionId>(streams_.size());
    }

private:
    std::vector<std::unique_ptr<InputStream>> streams_;  // by partition
    std::size_t turn_ = 0;
    std::vector<InputRecord> taken_;
};

}  // namespace postlane
