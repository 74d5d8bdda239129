#include "runtime/ready_queue.h"

#include <algorithm>
#include <utility>

namespace postlane {

ReadyQueue::Rank ReadyQueue::rank_of(const ReadyItem& item) {
    return Rank{item.due_at, item.input_offset, item.recipient.value(), item.message_id.value()};
}

bool ReadyQueue::would_overtake(const ReadyItem& item, const Slot& slot) {
    return std::any_of(slot.more_from.begin(), slot.more_from.end(), [&](const auto& more) {
        const From& from = more.second;
        return std::pair(from.at, from.input_offset) < std::pair(item.due_at, item.input_offset);
    });
}

void ReadyQueue::show(const Rank& rank, const ReadyItem& item) {
    runnable_[item.route].emplace(rank, &item);
    runnable_since_.insert(item.ready_since);
}

void ReadyQueue::hide(const Rank& rank, const ReadyItem& item) {
    if (runnable_[item.route].erase(rank) > 0) {
        runnable_since_.erase(runnable_since_.find(item.ready_since));
    }
}

void ReadyQueue::check_empty(const RecipientId& recipient, Slot& slot) {
    if (!slot.items.empty()) {
        return;
    }
    if (!slot.more_from.empty()) {
        hungry_.insert(recipient.value());
    } else if (!slot.busy) {
        slots_.erase(recipient.value());
    }
}

ReadyQueue::Offered ReadyQueue::offer(ReadyItem item) {
    if (contains(item.recipient, item.message_id)) {
        return Offered::Known;
    }
    if (size_ >= kItemsMax) {
        return Offered::QueueFull;
    }
    Slot& slot = slots_[item.recipient.value()];
    if (slot.items.size() >= kPerRecipientMax || would_overtake(item, slot)) {
        return Offered::RecipientFull;
    }
    hungry_.erase(item.recipient.value());
    Rank rank = rank_of(item);
    const auto [entry, is_new] = slot.items.emplace(std::move(rank), std::move(item));
    if (!slot.busy) {
        show(entry->first, entry->second);
    }
    size_ += 1;
    return Offered::Taken;
}

bool ReadyQueue::contains(const RecipientId& recipient, const MessageId& id) const {
    const auto slot = slots_.find(recipient.value());
    return slot != slots_.end() &&
           std::any_of(slot->second.items.begin(), slot->second.items.end(),
                       [&](const auto& entry) { return entry.second.message_id == id; });
}

void ReadyQueue::remove(const RecipientId& recipient, const MessageId& id) {
    const auto slot = slots_.find(recipient.value());
    if (slot == slots_.end()) {
        return;
    }
    auto& items = slot->second.items;
    const auto item = std::find_if(items.begin(), items.end(), [&](const auto& entry) {
        return entry.second.message_id == id;
    });
    if (item == items.end()) {
        return;
    }
    hide(item->first, item->second);
    items.erase(item);
    size_ -= 1;
    check_empty(recipient, slot->second);
}

void ReadyQueue::set_busy(const RecipientId& recipient) {
    Slot& slot = slots_[recipient.value()];
    if (!slot.busy) {
        slot.busy = true;
        for (const auto& [rank, item] : slot.items) {
            hide(rank, item);
        }
    }
}

void ReadyQueue::set_free(const RecipientId& recipient) {
    const auto slot = slots_.find(recipient.value());
    if (slot == slots_.end() || !slot->second.busy) {
        return;
    }
    slot->second.busy = false;
    for (const auto& [rank, item] : slot->second.items) {
        show(rank, item);
    }
    check_empty(recipient, slot->second);
}

bool ReadyQueue::is_busy(const RecipientId& recipient) const {
    const auto slot = slots_.find(recipient.value());
    return slot != slots_.end() && slot->second.busy;
}

std::vector<ReadyItem> ReadyQueue::candidates(const std::set<std::string>& blocked,
                                              BootInstant fresh, std::size_t limit) const {
    using Iterator = std::map<Rank, const ReadyItem*>::const_iterator;
    std::vector<std::pair<Iterator, Iterator>> routes;
    for (const auto& [route, ranks] : runnable_) {
        if (!ranks.empty() && !blocked.contains(route)) {
            routes.emplace_back(ranks.begin(), ranks.end());
        }
    }
    std::vector<ReadyItem> found;
    std::set<std::string_view> seen;
    while (!routes.empty() && found.size() < limit) {
        const auto next =
            std::min_element(routes.begin(), routes.end(), [](const auto& left, const auto& right) {
                return left.first->first < right.first->first;
            });
        const ReadyItem& item = *next->first->second;
        if (item.ready_since <= fresh && seen.insert(item.recipient.value()).second) {
            found.push_back(item);
        }
        if (++next->first == next->second) {
            routes.erase(next);
        }
    }
    return found;
}

BootInstant ReadyQueue::latest_ready_since() const {
    return runnable_since_.empty() ? BootInstant{} : *runnable_since_.rbegin();
}

std::vector<std::pair<RecipientId, MessageId>> ReadyQueue::expired(Instant now) const {
    std::vector<std::pair<RecipientId, MessageId>> found;
    for (const auto& [recipient, slot] : slots_) {
        for (const auto& [rank, item] : slot.items) {
            if (item.expires_at <= now) {
                found.emplace_back(item.recipient, item.message_id);
            }
        }
    }
    std::sort(found.begin(), found.end());
    return found;
}

void ReadyQueue::shrink(const std::string& route, std::size_t keep) {
    const auto ranks = runnable_.find(route);
    while (ranks != runnable_.end() && ranks->second.size() > keep) {
        const Rank last = std::prev(ranks->second.end())->first;
        remove(RecipientId(last.recipient), MessageId(last.message_id));
    }
}

std::size_t ReadyQueue::runnable(const std::string& route) const {
    const auto ranks = runnable_.find(route);
    return ranks == runnable_.end() ? 0 : ranks->second.size();
}

std::size_t ReadyQueue::runnable() const {
    std::size_t count = 0;
    for (const auto& [route, ranks] : runnable_) {
        count += ranks.size();
    }
    return count;
}

void ReadyQueue::note_more(const RecipientId& recipient, const std::string& route, From from) {
    Slot& slot = slots_[recipient.value()];
    const auto [known, is_new] = slot.more_from.try_emplace(route, from);
    if (!is_new && from.wake_key < known->second.wake_key) {
        known->second = std::move(from);
    }
    check_empty(recipient, slot);
}

std::optional<ReadyQueue::More> ReadyQueue::take_more() {
    if (hungry_.empty()) {
        return std::nullopt;
    }
    const std::string recipient = *hungry_.begin();
    hungry_.erase(hungry_.begin());
    Slot& slot = slots_.at(recipient);
    More more{RecipientId(recipient), std::exchange(slot.more_from, {})};
    if (!slot.busy) {
        slots_.erase(recipient);
    }
    return more;
}

}  // namespace postlane
