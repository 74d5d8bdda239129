// Which message may go next, among those in memory: in (due, input offset) order per recipient, one request in flight
// per recipient, and no recipient or blocked route in the way of another.
//
// Bounded: what does not fit stays in the store under its wake and is offered again later. Pure.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "postlane/event.h"
#include "postlane/types.h"

namespace postlane {

struct ReadyItem {
    RecipientId recipient;
    MessageId message_id;
    std::string route;
    Instant due_at{};
    Offset input_offset = 0;
    Instant expires_at{};
    BootInstant ready_since{};               // decidable once the view is fresh as of this moment
    std::shared_ptr<const SendEvent> event;  // if it is at hand
};

class ReadyQueue {
public:
    static constexpr std::size_t kItemsMax = 2'048;
    static constexpr std::size_t kPerRecipientMax = 16;

    enum class Offered : std::uint8_t { Taken, Known, QueueFull, RecipientFull };
    Offered offer(ReadyItem item);
    [[nodiscard]] bool contains(const RecipientId& recipient, const MessageId& id) const;
    void remove(const RecipientId& recipient, const MessageId& id);

    // A recipient with a request in flight is passed over.
    void set_busy(const RecipientId& recipient);
    void set_free(const RecipientId& recipient);
    [[nodiscard]] bool is_busy(const RecipientId& recipient) const;

    // Up to `limit` items of free recipients whose route is not in `blocked`, at most one per recipient, in
    // (due, offset) order, leaving out those that became ready after `fresh`.
    [[nodiscard]] std::vector<ReadyItem> candidates(const std::set<std::string>& blocked,
                                                    BootInstant fresh, std::size_t limit) const;
    // When the latest item of a free recipient became ready; the epoch if there is none.
    [[nodiscard]] BootInstant latest_ready_since() const;
    // All items whose time to live has passed.
    [[nodiscard]] std::vector<std::pair<RecipientId, MessageId>> expired(Instant now) const;
    // Takes the items of a route out of memory, all but `keep` of them.
    void shrink(const std::string& route, std::size_t keep);

    // Where in the store the messages of one route go on.
    struct From {
        std::string wake_key;
        Instant at{};
        Offset input_offset = 0;
    };
    // The recipient had more ready messages of this route than fit; the store has them from there on. Until they are
    // taken out again nothing of the recipient that comes after them is accepted: it would overtake them.
    void note_more(const RecipientId& recipient, const std::string& route, From from);
    // A recipient that ran empty while more waits for it in the store, and from where on, by route.
    struct More {
        RecipientId recipient;
        std::map<std::string, From> from;
    };
    [[nodiscard]] std::optional<More> take_more();
    [[nodiscard]] bool wants_more() const noexcept { return !hungry_.empty(); }

    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t recipients() const noexcept { return slots_.size(); }
    // Items of free recipients on that route.
    [[nodiscard]] std::size_t runnable(const std::string& route) const;
    [[nodiscard]] std::size_t runnable() const;

private:
    struct Rank {
        Instant due_at;
        Offset input_offset;
        std::string recipient;
        std::string message_id;
        friend auto operator<=>(const Rank&, const Rank&) = default;
    };
    struct Slot {
        bool busy = false;
        std::map<Rank, ReadyItem> items;
        std::map<std::string, From> more_from;  // by route
    };

    [[nodiscard]] static Rank rank_of(const ReadyItem& item);
    [[nodiscard]] static bool would_overtake(const ReadyItem& item, const Slot& slot);
    void show(const Rank& rank, const ReadyItem& item);
    void hide(const Rank& rank, const ReadyItem& item);  // if it was shown
    void check_empty(const RecipientId& recipient, Slot& slot);

    std::unordered_map<std::string, Slot> slots_;
    std::map<std::string, std::map<Rank, const ReadyItem*>> runnable_;  // of free recipients
    std::multiset<BootInstant> runnable_since_;                         // when those became ready
    std::set<std::string> hungry_;  // recipients with no items and more_from
    std::size_t size_ = 0;
};

}  // namespace postlane
