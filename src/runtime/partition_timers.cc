// What wakes: gap timers, due times, retries, halts that are over; and the rows that time has ended.
//
// The store holds one wake per waiting message. They are hints: a wake whose row says otherwise is dropped.
#include <algorithm>

#include "runtime/partition_runner.h"

namespace postlane {
namespace {

constexpr std::size_t kWakesPerScan = 256;
constexpr std::size_t kMoreScanned = 1'024;
constexpr std::size_t kSweepRows = 256;
constexpr std::size_t kHeldSequences = 256;
constexpr std::chrono::seconds kSweepInterval{1};
constexpr Millis kRoomCheckInterval{20};
constexpr std::size_t kParkedKeep = 128;

ReadyQueue::From from_wake(const ledger::Wake& wake) {
    return {ledger::wake_key(wake), wake.at, wake.input_offset};
}

}  // namespace

void PartitionRunner::note_new_wakes() {
    for (const ledger::Wake& wake : view_.take_new_wakes()) {
        const bool in_memory = wake.target == ledger::Wake::Target::Message &&
                               ready_.contains(wake.recipient, MessageId(wake.id));
        if (!in_memory) {
            note_wake(wake);
        }
    }
}

void PartitionRunner::note_wake(const ledger::Wake& wake) {
    const std::string key = ledger::wake_key(wake);
    const auto [timer, is_new] = timers_.try_emplace(wake.route, RouteTimer{key, wake.at});
    if (!is_new) {
        timer->second.next_at = std::min(timer->second.next_at, wake.at);
        timer->second.scan_from = std::min(timer->second.scan_from, key);
    }
}

void PartitionRunner::decide_timers(const Now& now) {
    for (auto& [route, timer] : timers_) {
        if (timer.next_at <= now.broker && !failure()) {
            scan_route(route, timer, now);
        }
    }
}

void PartitionRunner::scan_route(const std::string& route, RouteTimer& timer, const Now& now) {
    const std::string end = ledger::prefix_end(ledger::wake_prefix(route));
    const std::vector<ledger::Wake> wakes = view_.wakes(timer.scan_from, end, kWakesPerScan);
    for (const ledger::Wake& wake : wakes) {
        std::string key = ledger::wake_key(wake);
        if (wake.at > now.broker) {
            timer.scan_from = std::move(key);
            timer.next_at = wake.at;
            return;
        }
        if (!wake_up(wake, key, now)) {
            timer.scan_from = std::move(key);  // not now: here again later
            timer.next_at = now.broker + kRoomCheckInterval;
            return;
        }
        timer.scan_from = key + '\0';
    }
    timer.next_at = wakes.size() < kWakesPerScan ? Instant::max() : now.broker;
}

// False: not now. The queue is full, or the step that is missed may still be in the topic.
bool PartitionRunner::wake_up(const ledger::Wake& wake, const std::string& key, const Now& now) {
    view_.focus(wake.recipient, now.broker);
    if (wake.target == ledger::Wake::Target::SequenceHalt) {
        run(wake.recipient, HaltOver{wake.id}, now);
        view_.drop_wake(key);
        return true;
    }
    const MessageId id(wake.id);
    const auto row = view_.message(id);
    const auto current = row ? wake_of(wake.recipient, id, *row) : std::nullopt;
    if (!current || *current != wake) {
        view_.drop_wake(key);
        return true;
    }
    if (row->state == MessageState::Held && !input_read_through(wake.at)) {
        return false;
    }
    if (row->state == MessageState::Held || row->state == MessageState::Waiting) {
        run(wake.recipient, Woke{id}, now);
        return true;
    }
    if (ready_.contains(wake.recipient, id)) {
        return true;
    }
    return offer(wake.recipient, id, *row, now.boot, nullptr);
}

bool PartitionRunner::offer(const RecipientId& recipient, const MessageId& id,
                            const MessageRow& row, BootInstant since,
                            std::shared_ptr<const SendEvent> event) {
    ReadyItem item;
    item.recipient = recipient;
    item.message_id = id;
    item.route = row.route;
    // One that stepped aside (its account was refused) lost its place to those that were due meanwhile.
    item.due_at = row.state == MessageState::Ready ? std::max(row.due_at, row.wake_at) : row.due_at;
    item.input_offset = row.input_offset;
    item.expires_at = row.expires_at;
    item.ready_since = since;
    item.event = std::move(event);
    switch (ready_.offer(std::move(item))) {
        case ReadyQueue::Offered::Taken:
        case ReadyQueue::Offered::Known:
            return true;
        case ReadyQueue::Offered::RecipientFull:
            if (const auto wake = wake_of(recipient, id, row)) {
                ready_.note_more(recipient, wake->route, from_wake(*wake));
            }
            return true;
        case ReadyQueue::Offered::QueueFull:
            return false;
    }
    return false;
}

// Recipients with more ready messages than memory holds for one: the next ones, once they ran out. Says whether any
// came into memory.
bool PartitionRunner::load_more(const Now& now) {
    std::size_t budget = kMoreScanned;
    bool loaded = false;
    while (budget > 0 && !failure()) {
        const auto more = ready_.take_more();
        if (!more) {
            return loaded;
        }
        std::map<std::string, ReadyQueue::From> rest;  // where each route goes on next time
        std::vector<ledger::Wake> found;
        for (const auto& [route, from] : more->from) {
            find_more(*more, route, budget, now, found, rest);
        }
        // Across its routes, too, a recipient's messages go in order.
        std::sort(found.begin(), found.end(),
                  [](const ledger::Wake& left, const ledger::Wake& right) {
                      return std::pair(left.at, left.input_offset) <
                             std::pair(right.at, right.input_offset);
                  });
        bool queue_full = false;
        for (const ledger::Wake& wake : found) {
            queue_full = queue_full || !wake_up(wake, ledger::wake_key(wake), now);
            if (queue_full) {
                ready_.note_more(more->recipient, wake.route, from_wake(wake));
            }
            loaded = loaded || !queue_full;
        }
        for (auto& [route, from] : rest) {
            ready_.note_more(more->recipient, route, std::move(from));
        }
        if (queue_full) {
            return loaded;
        }
    }
    return loaded;
}

void PartitionRunner::find_more(const ReadyQueue::More& more, const std::string& route,
                                std::size_t& budget, const Now& now,
                                std::vector<ledger::Wake>& found,
                                std::map<std::string, ReadyQueue::From>& rest) {
    const ReadyQueue::From& from = more.from.at(route);
    const std::size_t limit = std::min(budget, kWakesPerScan);
    if (limit == 0) {
        rest.emplace(route, from);
        return;
    }
    const auto wakes =
        view_.wakes(from.wake_key, ledger::prefix_end(ledger::wake_prefix(route)), limit);
    budget -= std::max<std::size_t>(1, wakes.size());
    std::size_t taken = 0;
    for (const ledger::Wake& wake : wakes) {
        if (wake.at > now.broker) {
            return;  // the timer's
        }
        if (taken == ReadyQueue::kPerRecipientMax) {
            rest.emplace(route, from_wake(wake));
            return;
        }
        if (wake.recipient == more.recipient) {
            found.push_back(wake);
            taken += 1;
        }
    }
    if (wakes.size() == limit) {
        ReadyQueue::From next = from_wake(wakes.back());
        next.wake_key += '\0';  // behind it
        rest.emplace(route, std::move(next));
    }
}

// Out of memory until then, because it cannot go and must not keep its route from moving.
void PartitionRunner::step_aside(const RecipientId& recipient, const MessageId& id,
                                 const MessageRow& row, Instant until) {
    ready_.remove(recipient, id);
    if (const auto wake = wake_of(recipient, id, row)) {
        const std::string key = ledger::wake_key(*wake);
        RouteTimer& timer = timers_.try_emplace(wake->route, RouteTimer{key, until}).first->second;
        timer.scan_from = std::min(timer.scan_from, key);
        timer.next_at = std::min(timer.next_at, until);
    }
}

// A missing step is missing only once everything that was in the topic by then has been read: after an outage of
// ours, or behind a backlog, it may just not have had its turn.
bool PartitionRunner::input_read_through(Instant when) const {
    const bool at_end = !stopping_ && pending_sends_.empty() && sends_end_;
    return at_end || last_recorded_at_ >= when;
}

std::size_t PartitionRunner::ready_to_go() const {
    std::size_t count = ready_.runnable();
    if (config_.routes.size() > 1) {
        for (const std::string& route : blocked_routes_) {
            count -= ready_.runnable(route);
        }
    }
    return count;
}

// With several routes, messages of a blocked one leave memory, so that the others have room; they come back from
// the store once their route moves again. With a single route nothing is gained: its input just waits.
void PartitionRunner::park_blocked_routes(const Now& now) {
    for (auto route = parked_routes_.begin(); route != parked_routes_.end();) {
        if (!blocked_routes_.contains(*route) && ready_.runnable(*route) < kParkedKeep / 2) {
            timers_[*route] = RouteTimer{ledger::wake_prefix(*route), now.broker};
            route = parked_routes_.erase(route);
        } else {
            ++route;
        }
    }
    if (config_.routes.size() == 1) {
        return;
    }
    for (const std::string& route : blocked_routes_) {
        if (ready_.runnable(route) > kParkedKeep) {
            ready_.shrink(route, kParkedKeep);
            parked_routes_.insert(route);
        }
    }
}

// Forgets ended rows whose retention is over, a slice at a time, here and in the topic.
void PartitionRunner::sweep(const Now& now) {
    if (now.boot < next_sweep_) {
        return;
    }
    next_sweep_ = now.boot + kSweepInterval;  // also when busy: next_wake() is never in the past
    if (is_saturated()) {
        return;
    }
    if (sweep_from_.empty()) {
        sweep_from_ = ledger::ledger_keys_begin();
    }
    const auto rows = view_.store().scan(sweep_from_, ledger::ledger_keys_end(), kSweepRows);
    if (!rows) {
        return;
    }
    for (const auto& [bytes, value] : *rows) {
        const auto key = ledger::parse_key(bytes);
        if (!key) {
            continue;
        }
        view_.focus(key->recipient, now.broker);
        if (key->kind == ledger::Kind::Message) {
            const auto row = ledger::decode_message(value);
            if (row && has_ended(row->state) && row->row_expires_at <= now.broker &&
                !view_.find_message(MessageId(key->id))) {
                view_.expire(bytes, MessageId(key->id), *row);
            }
        } else if (key->kind == ledger::Kind::Sequence && !view_.sequence(key->id)) {
            view_.expire(bytes);
        }
    }
    sweep_from_ = rows->size() < kSweepRows ? std::string() : rows->back().first + '\0';
}

// How many steps are held when a partition begins: those of every sequence that has a live step. A slice at a time, so
// that millions of them keep nobody's mail waiting; and only what is committed, which the store shows.
void PartitionRunner::count_held(const Now& now) {
    if (!held_from_ || has_batch()) {
        return;
    }
    const std::string end = ledger::prefix_end(ledger::steps_begin());
    for (std::size_t slice = 0; slice < kHeldSequences && held_from_; ++slice) {
        const auto steps = view_.store().scan(*held_from_, end, 1);
        if (!steps || steps->empty()) {
            // A store that cannot be read ends this runner as soon as it is asked for more.
            held_from_.reset();
            break;
        }
        const auto key = ledger::parse_step_key(steps->front().first);
        if (!key) {
            held_from_.reset();
            break;
        }
        view_.focus(key->recipient, now.broker);
        const auto row = view_.sequence(key->sequence_id);
        ordering_.held += row ? std::int64_t{row->held} : 0;
        held_from_ = ledger::prefix_end(ledger::step_prefix(key->recipient, key->sequence_id));
    }
    metrics_.held(partition_, std::max<std::int64_t>(0, ordering_.held));
}

void PartitionRunner::held_changed(const RecipientId& recipient, const std::string& sequence_id,
                                   std::int64_t by) {
    if (by != 0 && (!held_from_ || ledger::step_prefix(recipient, sequence_id) < *held_from_)) {
        ordering_.held += by;
    }
}

BootInstant PartitionRunner::next_wake(const Now& now) const {
    if (held_from_ && !has_batch()) {
        return now.boot;
    }
    BootInstant next = next_sweep_;
    for (const auto& [route, timer] : timers_) {
        if (timer.next_at < Instant::max()) {
            const auto wait = std::max(timer.next_at - now.broker, Millis{1});
            next = std::min(next, now.boot + std::min<Millis>(wait, std::chrono::hours{1}));
        }
    }
    for (const Doubt& doubt : doubts_) {
        next = std::min(next, std::max(doubt.decidable_at, now.boot + Millis{1}));
    }
    if (ready_.wants_more()) {
        next = std::min(next, now.boot + kRoomCheckInterval);
    }
    if (blocked_until_ != BootInstant{}) {
        next = std::min(next, std::max(blocked_until_, now.boot + Millis{1}));
    }
    return next;
}

}  // namespace postlane
