// The consumer group's coordinator, eager: everybody gives up everything, then partitions are dealt out anew.
//
// Members that are paused or dead are noticed by their silence. One that was thrown out learns it when it next speaks,
// which may be long after somebody else got its partitions.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <vector>

#include "sim/instance.h"

namespace postlane::sim {

class Group {
public:
    Group(Env& env, std::int32_t partitions, Time session_timeout)
        : env_(env), partitions_(partitions), session_timeout_(session_timeout) {}

    void join(Instance* instance);
    // Says goodbye, its partitions being drained already.
    void leave(const Instance* instance);
    // The process is gone; the coordinator does not know yet.
    void died(const Instance* instance);
    void force_rebalance() { wanted_ = true; }

    // Every 100 ms or so.
    void tick();
    [[nodiscard]] bool stable() const { return !rebalancing_ && !wanted_; }
    // The group holds `id` to be this instance's.
    [[nodiscard]] const Instance* owner(PartitionId id) const;

private:
    struct Member {
        Instance* instance = nullptr;  // null once dead
        Time last_heard = 0;
        bool told = false;
        bool heard_it = false;
    };
    void hear();
    void begin();
    void deal();

    Env& env_;
    const std::int32_t partitions_;
    const Time session_timeout_;
    std::map<std::string, Member> members_;
    std::map<std::string, Instance*> thrown_out_;  // and do not know it
    std::map<PartitionId, std::string> owners_;
    bool wanted_ = false;
    bool rebalancing_ = false;
};

}  // namespace postlane::sim
