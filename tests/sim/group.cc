#include "sim/group.h"

#include <algorithm>

namespace postlane::sim {

void Group::join(Instance* instance) {
    members_[instance->process()->name()] = Member{instance, env_.now(), false, false};
    wanted_ = true;
}

void Group::leave(const Instance* instance) {
    members_.erase(instance->process()->name());
    thrown_out_.erase(instance->process()->name());
    wanted_ = true;
}

void Group::died(const Instance* instance) {
    thrown_out_.erase(instance->process()->name());
    if (const auto member = members_.find(instance->process()->name()); member != members_.end()) {
        member->second.instance = nullptr;
    }
}

void Group::hear() {
    for (auto member = members_.begin(); member != members_.end();) {
        Instance* instance = member->second.instance;
        if (instance != nullptr && !instance->process()->paused()) {
            member->second.last_heard = env_.now();
        }
        if (env_.now() - member->second.last_heard <= session_timeout_) {
            ++member;
            continue;
        }
        env_.trace("group", "", "{} is silent, thrown out", member->first);
        if (instance != nullptr) {
            thrown_out_.emplace(member->first, instance);
        }
        member = members_.erase(member);
        wanted_ = true;
    }
    for (auto out = thrown_out_.begin(); out != thrown_out_.end();) {
        Instance* instance = out->second;
        if (instance->process()->paused()) {
            ++out;
            continue;
        }
        // Its next heartbeat tells it, a moment after it woke.
        env_.scheduler.at(env_.now() + env_.random.between(0, 200 * kMillisecond),
                          instance->process(), [this, instance] {
                              env_.trace(instance->process()->name(), "",
                                         "learns that it lost its partitions");
                              env_.sometimes("partitions_lost");
                              instance->revoked(true);
                              join(instance);
                          });
        out = thrown_out_.erase(out);
    }
}

void Group::begin() {
    wanted_ = false;
    rebalancing_ = true;
    env_.trace("group", "", "rebalance, {} members", members_.size());
    for (auto& [name, member] : members_) {
        member.told = false;
        member.heard_it = false;
    }
}

void Group::deal() {
    rebalancing_ = false;
    owners_.clear();
    std::vector<Member*> members;
    for (auto& [name, member] : members_) {
        members.push_back(&member);
    }
    for (std::size_t index = 0; index < members.size(); ++index) {
        std::vector<PartitionId> dealt;
        for (PartitionId id = 0; id < partitions_; ++id) {
            if (static_cast<std::size_t>(id) % members.size() == index) {
                dealt.push_back(id);
            }
        }
        Instance* instance = members[index]->instance;
        if (instance == nullptr) {
            continue;  // died a moment ago: its silence will be noticed
        }
        for (const PartitionId id : dealt) {
            owners_[id] = instance->process()->name();
        }
        env_.scheduler.at(env_.now() + env_.random.between(0, 100 * kMillisecond),
                          instance->process(), [instance, dealt] { instance->assigned(dealt); });
    }
}

void Group::tick() {
    hear();
    if (wanted_ && !rebalancing_) {
        begin();
    }
    if (!rebalancing_) {
        return;
    }
    bool ready = !members_.empty();
    for (auto& [name, member] : members_) {
        Instance* instance = member.instance;
        if (instance == nullptr) {
            ready = false;  // until the session time-out
            continue;
        }
        if (!member.told) {
            member.told = true;
            env_.scheduler.at(env_.now() + env_.random.between(0, 100 * kMillisecond),
                              instance->process(), [this, instance] {
                                  instance->revoked(false);
                                  const auto self = members_.find(instance->process()->name());
                                  if (self != members_.end()) {
                                      self->second.heard_it = true;
                                  }
                              });
        }
        ready = ready && member.heard_it && !instance->holds_partitions() &&
                !instance->process()->paused();
    }
    if (ready) {
        deal();
    }
}

const Instance* Group::owner(PartitionId id) const {
    const auto owner = owners_.find(id);
    if (owner == owners_.end()) {
        return nullptr;
    }
    const auto member = members_.find(owner->second);
    return member == members_.end() ? nullptr : member->second.instance;
}

}  // namespace postlane::sim
