#include "adapters/kafka/address_log.h"

#include <algorithm>
#include <utility>

namespace postlane {
namespace {

constexpr std::size_t kTurn = 256;

}  // namespace

AddressLog::AddressLog(KafkaInput& input, const std::string& topic, PartitionId partitions,
                       const std::function<void()>& wake) {
    for (PartitionId partition = 0; partition < partitions; ++partition) {
        streams_.push_back(input.open(topic, partition, wake));
    }
}

Result<void> AddressLog::start(const std::map<PartitionId, Offset>& from) {
    for (std::size_t i = 0; i < streams_.size(); ++i) {
        const auto given = from.find(static_cast<PartitionId>(i));
        const Offset offset = given == from.end() ? InputStream::kBeginning : given->second;
        if (auto started = streams_[i]->start(offset); !started) {
            return started;
        }
    }
    return {};
}

Result<void> AddressLog::poll(std::vector<PartitionRecord>& out, std::size_t max) {
    std::size_t left = max;
    std::size_t idle = 0;
    while (left > 0 && idle < streams_.size()) {
        turn_ = (turn_ + 1) % streams_.size();
        taken_.clear();
        auto polled = streams_[turn_]->poll(taken_, std::min(kTurn, left));
        idle = taken_.empty() ? idle + 1 : 0;
        left -= taken_.size();
        for (InputRecord& record : taken_) {
            out.push_back({static_cast<PartitionId>(turn_), std::move(record)});
        }
        if (!polled) {
            return polled;
        }
    }
    return {};
}

std::optional<Offset> AddressLog::end_seen(PartitionId partition) const {
    return streams_.at(static_cast<std::size_t>(partition))->end_seen();
}

std::optional<Offset> AddressLog::high_watermark(PartitionId partition) const {
    return streams_.at(static_cast<std::size_t>(partition))->high_watermark();
}

}  // namespace postlane
