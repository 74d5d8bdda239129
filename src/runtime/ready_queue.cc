#include "runtime/ready_queue.h"

#include <algorithm>

namespace postlane {

ReadyQueue::Rank ReadyQueue::rank_of(const ReadyItem& item) {
    return Rank{item.due_at, item.input_offset, item.recipient.value(), item.message_id.value()};
}

void ReadyQueue::show(const Slot& slot) {
    for (const auto& [rank, item] : slot.items) {
        runnable_[item.route].insert(rank);
    }
}

void ReadyQueue::hide(const Slot& slot) {
    for (const auto& [rank, item] : slot.items) {
        runnable_[item.route].erase(rank);
    }
}

void ReadyQueue::check_empty(const RecipientId& recipient, Slot& slot) {
    if (!slot.items.empty()) {
        return;
    }
    if (slot.more_from) {
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
    if (slot.items.size() >= kPerRecipientMax) {
        return Offered::RecipientFull;
    }
    hungry_.erase(item.recipient.value());
    Rank rank = rank_of(item);
    if (!slot.busy) {
        runnable_[item.route].insert(rank);
    }
    slot.items.emplace(std::move(rank), std::move(item));
    size_ += 1;
    return Offered::Taken;
}

bool ReadyQueue::contains(const RecipientId& recipient, const MessageId& id) const {
    const auto slot = slots_.find(recipient.value());
    return slot != slots_.end() && std::any_of(slot->second.items.begin(), slot->second.items.end(),
                                               [&](const auto& entry) { return entry.second.message_id == id; });
}

void ReadyQueue::remove(const RecipientId& recipient, const MessageId& id) {
    const auto slot = slots_.find(recipient.value());
    if (slot == slots_.end()) {
        return;
    }
    auto& items = slot->second.items;
    const auto item = std::find_if(items.begin(), items.end(),
                                   [&](const auto& entry) { return entry.second.message_id == id; });
    if (item == items.end()) {
        return;
    }
    runnable_[item->second.route].erase(item->first);
    items.erase(item);
    size_ -= 1;
    check_empty(recipient, slot->second);
}

void ReadyQueue::set_busy(const RecipientId& recipient) {
    Slot& slot = slots_[recipient.value()];
    if (!slot.busy) {
        slot.busy = true;
        hide(slot);
    }
}

void ReadyQueue::set_free(const RecipientId& recipient) {
    const auto slot = slots_.find(recipient.value());
    if (slot == slots_.end() || !slot->second.busy) {
        return;
    }
    slot->second.busy = false;
    show(slot->second);
    check_empty(recipient, slot->second);
}

bool ReadyQueue::is_busy(const RecipientId& recipient) const {
    const auto slot = slots_.find(recipient.value());
    return slot != slots_.end() && slot->second.busy;
}

std::vector<const ReadyItem*> ReadyQueue::candidates(const std::set<std::string>& blocked, std::size_t limit) const {
    using Position = std::pair<std::set<Rank>::const_iterator, std::set<Rank>::const_iterator>;
    std::vector<Position> routes;
    for (const auto& [route, ranks] : runnable_) {
        if (!blocked.contains(route) && !ranks.empty()) {
            routes.emplace_back(ranks.begin(), ranks.end());
        }
    }
    std::vector<const ReadyItem*> found;
    std::set<std::string_view> seen;
    while (!routes.empty() && found.size() < limit) {
        const auto next = std::min_element(
            routes.begin(), routes.end(),
            [](const Position& left, const Position& right) { return *left.first < *right.first; });
        const Rank& rank = *next->first;
        const auto slot = slots_.find(rank.recipient);
        if (seen.insert(slot->first).second) {
            found.push_back(&slot->second.items.at(rank));
        }
        if (++next->first == next->second) {
            routes.erase(next);
        }
    }
    return found;
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
        const Rank last = *std::prev(ranks->second.end());
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

void ReadyQueue::note_more(const RecipientId& recipient, std::string wake_key) {
    Slot& slot = slots_[recipient.value()];
    if (!slot.more_from || wake_key < *slot.more_from) {
        slot.more_from = std::move(wake_key);
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
    More more{RecipientId(recipient), *std::move(slot.more_from)};
    slot.more_from.reset();
    if (!slot.busy) {
        slots_.erase(recipient);
    }
    return more;
}

}  // namespace postlane
