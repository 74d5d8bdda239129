// How a LedgerView comes back from the topic: upserts replayed in log order, from the stored position or from the
// start. Replaying more than needed converges to the same rows.
#include "runtime/ledger_view.h"

#include <algorithm>

namespace postlane {
namespace {

constexpr std::size_t kReplayFlushOperations = 4'000;
constexpr std::size_t kLoadBytes = 8U << 20U;  // sorted at once, per partition
constexpr std::size_t kOperationBytes = 80;    // about, besides its key and value
constexpr std::size_t kMessagesScanned = 10'000;

}  // namespace

Result<void> LedgerView::load_cursors() {
    auto genesis = store_.get(ledger::genesis_key());
    auto offsets = store_.get(ledger::offsets_key());
    if (!genesis || !offsets) {
        return tl::unexpected<Error>((genesis ? offsets : genesis).error());
    }
    store_was_kept_ = genesis->has_value() || offsets->has_value();
    if (*genesis) {
        auto row = ledger::decode_genesis(**genesis);
        if (!row) {
            return tl::unexpected<Error>(row.error());
        }
        genesis_ = *std::move(row);
    }
    if (*offsets) {
        auto row = ledger::decode_offsets(**offsets);
        if (!row) {
            return tl::unexpected<Error>(row.error());
        }
        offsets_ = *row;
    }
    return {};
}

Result<void> LedgerView::replay(const LedgerLog::Record& record) {
    auto key = ledger::parse_key(record.key);
    if (!key) {
        return tl::unexpected<Error>(key.error());
    }
    if (record.value && key->kind == ledger::Kind::Genesis) {
        auto row = ledger::decode_genesis(*record.value);
        if (!row) {
            return tl::unexpected<Error>(row.error());
        }
        genesis_ = *std::move(row);
    }
    if (record.value && key->kind == ledger::Kind::Offsets) {
        auto row = ledger::decode_offsets(*record.value);
        if (!row) {
            return tl::unexpected<Error>(row.error());
        }
        offsets_ = *row;
    }
    if (record.value && key->kind == ledger::Kind::Sequence) {
        auto row = ledger::decode_sequence(*record.value);
        if (!row) {
            return tl::unexpected<Error>(row.error());
        }
        if (row->halt) {
            replay_put(ledger::wake_key(halt_wake(key->recipient, key->id, *row->halt)),
                       std::string());
        }
    }
    if (key->kind == ledger::Kind::Message) {
        if (auto replayed = replay_message(*key, record); !replayed) {
            return replayed;
        }
    } else {
        replay_put(
            std::string(record.key),
            record.value ? std::optional<std::string>(std::string(*record.value)) : std::nullopt);
    }
    const bool full = store_was_kept_ ? replay_batch_.operations.size() >= kReplayFlushOperations
                                      : replay_bytes_ >= kLoadBytes;
    return full ? flush_replay() : Result<void>{};
}

Result<void> LedgerView::replay_message(const ledger::Key& key, const LedgerLog::Record& record) {
    const std::string bytes(record.key);
    if (!record.value) {
        unpin(bytes);
        forget_replayed_step(bytes, "");
        if (auto given_up = give_up_step(key, ""); !given_up) {
            return given_up;
        }
        replay_put(bytes, std::nullopt);
        return {};
    }
    auto row = ledger::decode_message(*record.value);
    if (!row) {
        return tl::unexpected<Error>(row.error());
    }
    const MessageId id(key.id);
    const bool has_step = row->sequence && !row->outside_sequence;
    const std::string step_key =
        has_step ? ledger::step_key(key.recipient, row->sequence->id, row->sequence->step)
                 : std::string();
    if (auto given_up = give_up_step(key, step_key); !given_up) {
        return given_up;
    }
    forget_replayed_step(bytes, step_key);
    if (has_step) {
        pinned_steps_.erase(step_key);
    }
    if (row->state == MessageState::Sending) {
        if (has_step) {
            // What the store has for this step is unknown here, so its end will delete it there too.
            pinned_steps_.emplace(step_key,
                                  PinnedStep{StepEntry{row->sequence->step, id, false}, true});
        }
        pin(bytes, key.recipient, id, *std::move(row), record.offset);
        return {};
    }
    unpin(bytes);
    if (has_step) {
        const bool ended = has_ended(row->state);
        std::optional<std::string> entry;
        if (!ended || row->ended_ahead) {
            entry = ledger::encode_step(StepEntry{row->sequence->step, id, ended});
        }
        // In a store that began empty there is nothing to delete unless this replay put it there.
        if (entry) {
            replayed_steps_.insert_or_assign(bytes, step_key);
        }
        if (entry || replayed_steps_.erase(bytes) > 0 || store_was_kept_) {
            replay_put(step_key, std::move(entry));
        }
    }
    if (const auto wake = wake_of(key.recipient, id, *row)) {
        replay_put(ledger::wake_key(*wake), std::string());
    }
    replay_put(bytes, std::string(*record.value));
    return {};
}

// What this replay put for the message, unless it still holds that step.
void LedgerView::forget_replayed_step(const std::string& message_key,
                                      std::string_view step_key_now) {
    const auto found = replayed_steps_.find(message_key);
    if (found != replayed_steps_.end() && found->second != step_key_now) {
        replay_put(found->second, std::nullopt);
        replayed_steps_.erase(found);
    }
}

// A message that was admitted again, or forgotten, may hold another step than in the store, and compaction may have
// taken the record in between that ended the first. What the store has is older than every record replayed, so it is
// put right there.
Result<void> LedgerView::give_up_step(const ledger::Key& key, std::string_view step_key_now) {
    if (!store_was_kept_) {
        return {};
    }
    const MessageId id(key.id);
    const auto before = stored(ledger::message_key(key.recipient, id));
    const auto row = before ? ledger::decode_message(*before) : Result<MessageRow>(MessageRow{});
    if (failure_ || !row) {
        return tl::unexpected<Error>(failure_ ? *failure_ : row.error());
    }
    if (!row->sequence || row->outside_sequence) {
        return {};
    }
    const std::string step_key =
        ledger::step_key(key.recipient, row->sequence->id, row->sequence->step);
    if (step_key == step_key_now) {
        return {};
    }
    const auto bytes = stored(step_key);
    const auto entry =
        bytes ? ledger::decode_step(step_key, *bytes) : Result<StepEntry>(StepEntry{});
    if (failure_ || !entry) {
        return tl::unexpected<Error>(failure_ ? *failure_ : entry.error());
    }
    if (!bytes || entry->message_id != id) {
        return {};
    }
    StoreBatch out;
    out.operations.push_back({step_key, std::nullopt});
    return store_.write(out);
}

void LedgerView::replay_put(std::string key, std::optional<std::string> value) {
    replay_bytes_ += key.size() + (value ? value->size() : 0) + kOperationBytes;
    replay_batch_.operations.push_back({std::move(key), std::move(value)});
}

Result<void> LedgerView::flush_replay() {
    auto written = store_was_kept_ ? store_.write(replay_batch_) : store_.load(replay_batch_);
    replay_batch_.operations.clear();
    replay_bytes_ = 0;
    return written;
}

Result<void> LedgerView::replayed(Offset ledger_next, Instant now) {
    message_memo_.reset();
    sequences_.clear();
    suppressions_.clear();
    replayed_steps_ = {};
    if (store_was_kept_) {
        add_position(replay_batch_, ledger_next, now);
        return flush_replay();
    }
    if (auto flushed = flush_replay(); !flushed) {
        return flushed;
    }
    StoreBatch position;  // last: without it the next start begins from nothing
    add_position(position, ledger_next, now);
    return store_.write(position);
}

std::vector<LedgerView::OpenIntent> LedgerView::open_intents() const {
    std::vector<OpenIntent> open;
    open.reserve(pinned_.size());
    for (const auto& [key, pinned] : pinned_) {
        open.push_back({pinned.recipient, pinned.message_id, pinned.row.intent->attempt});
    }
    return open;
}

std::vector<std::pair<MessageId, MessageRow>> LedgerView::messages(std::size_t limit) const {
    std::vector<std::pair<MessageId, MessageRow>> found;
    const std::string prefix = ledger::message_key(recipient_, MessageId());
    const auto stored = store_.scan(prefix, ledger::prefix_end(prefix), kMessagesScanned);
    if (!stored) {
        return found;
    }
    for (const auto& [bytes, value] : *stored) {
        auto key = ledger::parse_key(bytes);
        auto row = ledger::decode_message(value);
        if (key && row && !pinned_.contains(bytes)) {
            found.emplace_back(MessageId(std::move(key->id)), *std::move(row));
        }
    }
    for (auto open = pinned_.lower_bound(prefix);
         open != pinned_.end() && open->second.recipient == recipient_; ++open) {
        found.emplace_back(open->second.message_id, open->second.row);
    }
    std::sort(found.begin(), found.end(), [](const auto& left, const auto& right) {
        return left.second.input_offset > right.second.input_offset;
    });
    found.resize(std::min(found.size(), limit));
    return found;
}

std::vector<std::pair<std::string, SequenceRow>> LedgerView::sequences(std::size_t limit) const {
    std::vector<std::pair<std::string, SequenceRow>> found;
    const std::string prefix = ledger::sequence_key(recipient_, "");
    const auto stored = store_.scan(prefix, ledger::prefix_end(prefix), limit);
    if (!stored) {
        return found;
    }
    for (const auto& [bytes, value] : *stored) {
        auto key = ledger::parse_key(bytes);
        auto row = ledger::decode_sequence(value);
        if (key && row) {
            found.emplace_back(std::move(key->id), *std::move(row));
        }
    }
    return found;
}

std::vector<ledger::Wake> LedgerView::wakes(const std::string& begin, const std::string& end,
                                            std::size_t limit) const {
    std::vector<ledger::Wake> wakes;
    auto found = store_.scan(begin, end, limit);
    if (!found) {
        fail_with(found.error());
        return wakes;
    }
    for (const auto& [key, value] : *found) {
        if (auto wake = ledger::parse_wake(key)) {
            wakes.push_back(*std::move(wake));
        } else {
            fail_with(wake.error());
        }
    }
    return wakes;
}

}  // namespace postlane
