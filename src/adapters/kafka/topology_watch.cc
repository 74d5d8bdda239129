#include "adapters/kafka/topology_watch.h"

#include <pthread.h>

#include <utility>

#include "adapters/kafka/topology.h"

namespace postlane {
namespace {

constexpr Millis kPatience{5'000};  // a stop waits for it

}  // namespace

TopologyWatch::TopologyWatch(const Config& config, PartitionId partitions, Millis interval,
                             kafka::LogSink log, Refused refused)
    : config_(config), partitions_(partitions), interval_(interval), log_(std::move(log)),
      refused_(std::move(refused)), thread_([this] { run(); }) {}

TopologyWatch::~TopologyWatch() {
    {
        const std::lock_guard lock(mutex_);
        ending_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

void TopologyWatch::run() {
    pthread_setname_np(pthread_self(), "topology");
    std::unique_lock lock(mutex_);
    while (!changed_.wait_for(lock, interval_, [this] { return ending_; })) {
        lock.unlock();
        check_once();
        lock.lock();
    }
}

void TopologyWatch::check_once() {
    const auto topology = read_topology(config_, log_, kPatience);
    if (!topology) {
        return;
    }
    for (const Finding& finding : check_topology(config_, *topology)) {
        if (finding.severity == Finding::Severity::Refuse) {
            refused_(finding.topic + ": " + finding.text);
        }
    }
    const TopicFacts* sends = topology->find(config_.topics.sends);
    if (sends != nullptr && sends->partitions != partitions_) {
        refused_("the partition count of " + config_.topics.sends + " changed from " +
                 std::to_string(partitions_) + " to " + std::to_string(sends->partitions));
    }
}

}  // namespace postlane
