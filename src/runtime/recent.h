// What was asked for lately, in bounded memory.
#pragma once

#include <cstddef>
#include <string>
#include <unordered_map>
#include <utility>

namespace postlane {

// The values of at least the last `generation` keys that were put or found, of at most twice as many. Two maps: when
// the younger is full it becomes the older one, and what was not asked for since the last time is forgotten. Nothing is
// forgotten while it is in use, and there is no list to keep in order.
template <class Value>
class Recent {
public:
    explicit Recent(std::size_t generation) : generation_(generation) {}

    // Valid until the next call. Null: not known.
    [[nodiscard]] const Value* find(const std::string& key) {
        if (const auto young = young_.find(key); young != young_.end()) {
            return &young->second;
        }
        auto old = old_.extract(key);
        if (!old) {
            return nullptr;
        }
        make_room();
        return &young_.insert(std::move(old)).position->second;
    }

    const Value& put(std::string key, Value value) {
        old_.erase(key);
        if (!young_.contains(key)) {
            make_room();
        }
        return young_.insert_or_assign(std::move(key), std::move(value)).first->second;
    }

    void forget(const std::string& key) {
        young_.erase(key);
        old_.erase(key);
    }

    void clear() {
        young_.clear();
        old_.clear();
    }

    [[nodiscard]] std::size_t size() const { return young_.size() + old_.size(); }

private:
    void make_room() {
        if (young_.size() >= generation_) {
            old_ = std::exchange(young_, {});
        }
    }

    std::size_t generation_;
    std::unordered_map<std::string, Value> young_;
    std::unordered_map<std::string, Value> old_;
};

}  // namespace postlane
