#include "sandbox/idempotency.h"

#include <utility>

namespace postlane::sandbox {

IdempotencyStore::Found IdempotencyStore::find(const std::string& key, const Digest& body,
                                               std::int64_t now_us,
                                               std::uint64_t lifetime_ms) const {
    const auto entry = entries_.find(key);
    if (entry == entries_.end()) {
        return {};
    }
    const std::int64_t age_us = now_us - entry->second.stored_at_us;
    if (age_us > 0 && static_cast<std::uint64_t>(age_us) / 1000 >= lifetime_ms) {
        return {};
    }
    if (entry->second.body != body) {
        return {.state = KeyState::OtherBody, .answer_id = {}};
    }
    if (now_us < entry->second.ready_at_us) {
        return {.state = KeyState::InProgress, .answer_id = {}};
    }
    return {.state = KeyState::Replay, .answer_id = entry->second.answer_id};
}

void IdempotencyStore::store(const std::string& key, const Digest& body, std::string answer_id,
                             std::int64_t now_us, std::int64_t ready_at_us) {
    const auto [entry, is_new] =
        entries_.insert_or_assign(key, Entry{.body = body,
                                             .answer_id = std::move(answer_id),
                                             .stored_at_us = now_us,
                                             .ready_at_us = ready_at_us});
    if (is_new) {
        order_.push_back(&entry->first);
    }
    while (entries_.size() > capacity_) {
        const auto oldest = entries_.find(*order_.front());
        order_.pop_front();
        if (oldest != entries_.end()) {
            entries_.erase(oldest);
        }
    }
}

void IdempotencyStore::clear() {
    order_.clear();
    entries_.clear();
}

}  // namespace postlane::sandbox
