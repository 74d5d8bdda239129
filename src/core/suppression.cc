// Decides whether a recipient may be mailed, and what events make of a suppression row.
//
// A row is kept as a function of the set of events seen, never of their order: of each key's
// suppressions those that matter, sorted; of the clearings those that no other one includes,
// sorted. Two replicas that read the same events in different orders hold the same bytes.
#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <tuple>

#include "postlane/suppression_gate.h"

namespace postlane {
namespace {

using Entry = SuppressionRow::Entry;
using Clearing = SuppressionRow::Clearing;

// A row must fit a record. Beyond this, scopes are given up in favour of everything (see
// bound_entries).
constexpr std::size_t kEntriesMax = 256;
constexpr std::size_t kClearingsMax = 256;

// The strongest comes first: it is the one that a suppressed message names.
constexpr std::size_t rank(SuppressionReason reason) {
    constexpr std::array kStrongestFirst{
        SuppressionReason::Erasure,    SuppressionReason::Objection, SuppressionReason::Complaint,
        SuppressionReason::HardBounce, SuppressionReason::Manual,    SuppressionReason::Unsubscribe,
        SuppressionReason::SoftBounce,
    };
    std::size_t place = 0;
    while (place < kStrongestFirst.size() && kStrongestFirst[place] != reason) {
        ++place;
    }
    return place;
}

bool may_name_a_scope(SuppressionReason reason) {
    return reason == SuppressionReason::Unsubscribe || reason == SuppressionReason::Manual;
}

bool contains(const std::vector<std::string>& names, std::string_view name) {
    return std::find(names.begin(), names.end(), name) != names.end();
}

bool covers(const Entry& entry, const Mail& mail, const std::vector<std::string>& transactional) {
    switch (entry.scope.kind) {
        case Scope::Kind::Category:
            return entry.scope.name == mail.category;
        case Scope::Kind::Sequence:
            return !mail.sequence_id.empty() && entry.scope.name == mail.sequence_id;
        case Scope::Kind::Everything:
            break;
    }
    return entry.reason != SuppressionReason::Unsubscribe ||
           !contains(transactional, mail.category);
}

bool is_over(const Entry& entry, Instant now) {
    return entry.expires_at && *entry.expires_at <= now;
}

// Strongest reason first, then the widest scope, then the latest.
bool outranks(const SuppressionHit& a, const SuppressionHit& b) {
    return std::tuple(rank(a.reason), a.scope, b.occurred_at) <
           std::tuple(rank(b.reason), b.scope, a.occurred_at);
}

void look_for_hit(std::optional<SuppressionHit>& best, const SuppressionRow* row,
                  SuppressionHit::By by, const Mail& mail,
                  const std::vector<std::string>& transactional, Instant now) {
    if (row == nullptr) {
        return;
    }
    for (const Entry& entry : row->entries) {
        if (is_over(entry, now) || !covers(entry, mail, transactional)) {
            continue;
        }
        SuppressionHit hit{entry.scope, entry.reason, entry.occurred_at, by};
        if (!best || outranks(hit, *best)) {
            best = std::move(hit);
        }
    }
}

bool same_key(const Entry& a, const Entry& b) {
    return a.reason == b.reason && a.scope == b.scope;
}

// Whether `a` makes `b` superfluous, whatever is cleared: at least as late and at least as long.
bool outlasts(const Entry& a, const Entry& b) {
    const bool as_long = !a.expires_at || (b.expires_at && *a.expires_at >= *b.expires_at);
    return same_key(a, b) && a.occurred_at >= b.occurred_at && as_long;
}

bool matches(const Clearing& clearing, const Entry& entry) {
    return (!clearing.scope || *clearing.scope == entry.scope) &&
           (!clearing.reason || *clearing.reason == entry.reason);
}

// Strictly newer: a tie leaves the recipient suppressed.
bool clears(const Clearing& clearing, const Entry& entry) {
    return matches(clearing, entry) && clearing.occurred_at > entry.occurred_at;
}

// Whether `a` clears whatever `b` clears.
bool includes(const Clearing& a, const Clearing& b) {
    return (!a.scope || a.scope == b.scope) && (!a.reason || a.reason == b.reason) &&
           a.occurred_at >= b.occurred_at;
}

auto order_of(const Entry& entry) {
    return std::tuple(entry.scope, entry.reason, entry.occurred_at, entry.expires_at);
}
auto order_of(const Clearing& clearing) {
    return std::tuple(clearing.occurred_at, clearing.scope, clearing.reason);
}
template <class T>
void insert_sorted(std::vector<T>& sorted, T value) {
    const auto place =
        std::upper_bound(sorted.begin(), sorted.end(), value,
                         [](const T& a, const T& b) { return order_of(a) < order_of(b); });
    sorted.insert(place, std::move(value));
}

// Too many entries: those with a scope become one manual entry for everything, the soft bounces one
// soft bounce, as late and as long as any of them. That covers at least what they covered, and only
// an unsuppress that would have lifted every one of them by reason `manual` without scope lifts it.
void bound_entries(std::vector<Entry>& entries) {
    if (entries.size() <= kEntriesMax) {
        return;
    }
    std::vector<Entry> kept;
    for (Entry& entry : entries) {
        if (entry.scope.kind != Scope::Kind::Everything) {
            entry = Entry{Scope{}, SuppressionReason::Manual, entry.occurred_at, std::nullopt};
        }
        const auto known = std::find_if(kept.begin(), kept.end(),
                                        [&](const Entry& e) { return same_key(e, entry); });
        if (known == kept.end()) {
            kept.push_back(std::move(entry));
            continue;
        }
        known->occurred_at = std::max(known->occurred_at, entry.occurred_at);
        if (!entry.expires_at || (known->expires_at && *known->expires_at < *entry.expires_at)) {
            known->expires_at = entry.expires_at;
        }
    }
    entries.clear();
    for (Entry& entry : kept) {
        insert_sorted(entries, std::move(entry));
    }
}

FoldResult suppress(SuppressionRow& row, Entry entry) {
    for (const Clearing& clearing : row.clearings) {
        if (clears(clearing, entry)) {
            return FoldResult::Superseded;
        }
    }
    for (const Entry& known : row.entries) {
        if (outlasts(known, entry)) {
            return known.occurred_at > entry.occurred_at ? FoldResult::Superseded
                                                         : FoldResult::Applied;
        }
    }
    std::erase_if(row.entries, [&](const Entry& known) { return outlasts(entry, known); });
    insert_sorted(row.entries, std::move(entry));
    bound_entries(row.entries);
    return FoldResult::Applied;
}

FoldResult unsuppress(SuppressionRow& row, Clearing clearing, Instant stands_as_of) {
    for (const Clearing& known : row.clearings) {
        if (includes(known, clearing)) {
            return known.occurred_at > clearing.occurred_at ? FoldResult::Superseded
                                                            : FoldResult::Applied;
        }
    }
    const std::size_t cleared =
        std::erase_if(row.entries, [&](const Entry& e) { return clears(clearing, e); });
    const bool newer_stands = std::any_of(row.entries.begin(), row.entries.end(),
                                          [&](const Entry& e) { return matches(clearing, e); });
    clearing.occurred_at = stands_as_of;
    if (std::none_of(row.clearings.begin(), row.clearings.end(),
                     [&](const Clearing& known) { return includes(known, clearing); })) {
        std::erase_if(row.clearings,
                      [&](const Clearing& known) { return includes(clearing, known); });
        insert_sorted(row.clearings, std::move(clearing));
    }
    if (row.clearings.size() > kClearingsMax) {
        // Forgetting one can only let an old suppression stand that it would have cleared.
        row.clearings.erase(row.clearings.begin());
    }
    return cleared == 0 && newer_stands ? FoldResult::Superseded : FoldResult::Applied;
}

}  // namespace

SuppressionGate::Verdict SuppressionGate::check(const SuppressionRow* by_recipient,
                                                const SuppressionRow* by_address, const Mail& mail,
                                                const std::vector<std::string>& transactional,
                                                Instant now) {
    std::optional<SuppressionHit> hit;
    look_for_hit(hit, by_recipient, SuppressionHit::By::Recipient, mail, transactional, now);
    look_for_hit(hit, by_address, SuppressionHit::By::Address, mail, transactional, now);
    if (hit) {
        return {std::nullopt, std::move(hit)};
    }
    return {Clearance(now), std::nullopt};
}

FoldResult fold(SuppressionRow& row, const SuppressionEvent& event) {
    if (event.action == SuppressionEvent::Action::Suppress) {
        const bool bounce = event.reason == SuppressionReason::SoftBounce;
        return suppress(row,
                        Entry{may_name_a_scope(event.reason) ? event.scope : Scope{}, event.reason,
                              event.occurred_at, bounce ? event.expires_at : std::nullopt});
    }
    Clearing clearing{std::nullopt, std::nullopt, event.occurred_at};
    if (event.scope.kind != Scope::Kind::Everything) {
        clearing.scope = event.scope;
    }
    if (event.reason != SuppressionReason::Manual) {
        clearing.reason = event.reason;
    }
    return unsuppress(row, std::move(clearing), event.stands_as_of.value_or(event.occurred_at));
}

}  // namespace postlane
