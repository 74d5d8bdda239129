#include "app/ledger_audit.h"

#include <xxhash.h>

#include <chrono>
#include <string>
#include <vector>

#include "codec/ledger_codec.h"

namespace postlane {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::chrono::seconds kStall{30};

// Never 0.
std::uint64_t hash(std::string_view bytes) {
    return XXH3_64bits(bytes.data(), bytes.size()) | 1U;
}

using Row = std::pair<std::string, std::string>;

template <class Each>
Result<void> for_each_row(const Store& store, const Each& each) {
    std::string from = ledger::ledger_keys_begin();
    const std::string end = ledger::ledger_keys_end();
    for (;;) {
        const auto page = store.scan(from, end, kPage);
        if (!page) {
            return tl::unexpected(page.error());
        }
        for (const Row& row : *page) {
            if (auto done = each(row); !done) {
                return done;
            }
        }
        if (page->size() < kPage) {
            return {};
        }
        from = page->back().first + '\0';
    }
}

Result<Offset> position_of(const Store& store) {
    const auto bytes = store.get(ledger::position_key());
    if (!bytes) {
        return tl::unexpected(bytes.error());
    }
    if (!*bytes) {
        return Offset{0};
    }
    const auto position = ledger::decode_position(**bytes);
    if (!position) {
        return tl::unexpected(position.error());
    }
    return position->ledger_next;
}

}  // namespace

Result<LedgerPartitionStats> count_ledger_rows(PartitionId partition, const Store& store) {
    LedgerPartitionStats stats{.partition = partition};
    const auto position = position_of(store);
    if (!position) {
        return tl::unexpected(position.error());
    }
    stats.ledger_next = *position;
    stats.store_bytes = store.size_bytes();
    const auto counted = for_each_row(store, [&stats](const Row& row) -> Result<void> {
        const auto key = ledger::parse_key(row.first);
        if (!key) {
            return tl::unexpected(key.error());
        }
        switch (key->kind) {
            case ledger::Kind::Genesis:
            case ledger::Kind::Offsets:
                break;
            case ledger::Kind::Sequence:
                ++stats.sequences;
                break;
            case ledger::Kind::Suppressions:
                ++stats.suppressions;
                break;
            case ledger::Kind::Message: {
                const auto state = ledger::peek_message_state(row.second);
                if (!state) {
                    return tl::unexpected(state.error());
                }
                ++(has_ended(*state) ? stats.messages_ended : stats.messages_live);
                break;
            }
        }
        return {};
    });
    if (!counted) {
        return tl::unexpected(counted.error());
    }
    return stats;
}

Result<void> LedgerAudit::take_store(const Store& store) {
    const auto position = position_of(store);
    if (!position) {
        return tl::unexpected(position.error());
    }
    position_ = *position;
    return for_each_row(store, [this](const Row& row) -> Result<void> {
        entries_[hash(row.first)].stored = hash(row.second);
        return {};
    });
}

Result<void> LedgerAudit::take_record(Offset offset, std::string_view key,
                                      std::optional<std::string_view> value) {
    const auto parsed = ledger::parse_key(key);
    if (!parsed) {
        return tl::unexpected(parsed.error());
    }
    Entry& entry = entries_[hash(key)];
    const std::uint64_t said = value ? hash(*value) : 0;
    if (offset < position_) {
        entry.settled = said;
    } else {
        entry.changed_later = true;
        entry.later_agrees = entry.later_agrees || said == entry.stored;
    }
    return {};
}

LedgerPartitionVerdict LedgerAudit::verdict() const {
    LedgerPartitionVerdict verdict{.partition = partition_};
    for (const auto& [key, entry] : entries_) {
        if (entry.stored != 0 || entry.settled != 0) {
            ++verdict.compared;
        }
        if (entry.stored == entry.settled || entry.later_agrees) {
            continue;
        }
        if (entry.stored == 0) {
            ++verdict.missing;
        } else if (entry.settled == 0 && !entry.changed_later) {
            ++verdict.extra;
        } else {
            ++verdict.different;
        }
    }
    return verdict;
}

Result<LedgerPartitionVerdict> audit_ledger(PartitionId partition, const Store& store,
                                            InputStream& ledger, const std::function<void()>& wait,
                                            const std::function<bool()>& stopped) {
    LedgerAudit audit(partition);
    if (auto taken = audit.take_store(store); !taken) {
        return tl::unexpected(taken.error());
    }
    if (auto started = ledger.start(InputStream::kBeginning); !started) {
        return tl::unexpected(started.error());
    }
    std::vector<InputRecord> records;
    auto patience = std::chrono::steady_clock::now() + kStall;
    while (!ledger.end_seen()) {
        if (stopped()) {
            return fail(ErrorCode::Unavailable, "stopped before the end of the ledger topic");
        }
        records.clear();
        if (auto polled = ledger.poll(records, kPage); !polled) {
            return tl::unexpected(polled.error());
        }
        for (const InputRecord& record : records) {
            const auto taken =
                audit.take_record(record.offset, record.key.value_or(""), record.value);
            if (!taken) {
                return tl::unexpected(taken.error());
            }
        }
        const auto now = std::chrono::steady_clock::now();
        if (!records.empty()) {
            patience = now + kStall;
        } else if (now > patience) {
            return fail(ErrorCode::Unavailable,
                        "the ledger topic cannot be read to its end; is the "
                        "broker reachable?");
        } else if (!ledger.end_seen()) {
            wait();
        }
    }
    return audit.verdict();
}

}  // namespace postlane
