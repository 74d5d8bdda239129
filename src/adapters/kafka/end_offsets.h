// Where suppression partitions end right now, asked on a handle that does nothing else.
#pragma once

#include <memory>
#include <vector>

#include "adapters/kafka/client.h"
#include "postlane/config.h"
#include "postlane/ports/end_offsets.h"

namespace postlane {

class KafkaEndOffsets final : public EndOffsets {
public:
    // `address_partitions`: how many partitions topics.address_suppressions has.
    static Result<std::unique_ptr<KafkaEndOffsets>> create(const Config& config,
                                                           PartitionId address_partitions,
                                                           kafka::LogSink log,
                                                           Millis timeout = Millis(1000));

    Result<Answer> ask(const std::vector<PartitionId>& suppressions) override;

private:
    KafkaEndOffsets(std::unique_ptr<kafka::Client> client, const Config& config,
                    PartitionId address_partitions, Millis timeout);
    void refresh_leaders();

    std::unique_ptr<kafka::Client> client_;
    std::string suppressions_;
    std::string address_suppressions_;
    PartitionId address_partitions_;
    Millis timeout_;
};

}  // namespace postlane
