// Topics can be changed under a running program. What would be refused at the start is refused later as well.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

#include "adapters/kafka/client.h"
#include "postlane/config.h"
#include "postlane/types.h"

namespace postlane {

// Repeats the checks of topology.h every `interval`, the first time after one, on a thread of its own.
class TopologyWatch {
public:
    // `refused` is called on that thread with what is wrong, every time that something is. Brokers that are away are no
    // reason: the partitions notice them.
    using Refused = std::function<void(const std::string& why)>;
    TopologyWatch(const Config& config, PartitionId partitions, Millis interval, kafka::LogSink log,
                  Refused refused);
    ~TopologyWatch();  // waits for a question under way
    TopologyWatch(const TopologyWatch&) = delete;
    TopologyWatch& operator=(const TopologyWatch&) = delete;

private:
    void run();
    void check_once();

    const Config& config_;
    const PartitionId partitions_;  // of the input, at the start
    const Millis interval_;
    const kafka::LogSink log_;
    const Refused refused_;
    std::mutex mutex_;
    std::condition_variable changed_;
    bool ending_ = false;  // under mutex_
    std::thread thread_;   // last: it uses everything above
};

}  // namespace postlane
