#include "runtime/ledger_view.h"

#include <algorithm>

namespace postlane {
namespace {

template <class T>
std::optional<T> value_or_failure(Result<T> result, std::optional<Error>& failure) {
    if (!result) {
        failure = result.error();
        return std::nullopt;
    }
    return *std::move(result);
}

// Such rows are remembered; those of recipients with hundreds of suppressions would fill the memory.
bool is_small(const SuppressionRow& row) {
    constexpr std::size_t kEntries = 16;
    return row.entries.size() + row.clearings.size() <= kEntries;
}

}  // namespace

std::optional<ledger::Wake> wake_of(const RecipientId& recipient, const MessageId& id,
                                    const MessageRow& row) {
    if (has_ended(row.state) || row.state == MessageState::Sending || row.wake_at == Instant{}) {
        return std::nullopt;
    }
    const bool waits_for_time_alone =
        row.state == MessageState::Held || row.state == MessageState::Waiting;
    ledger::Wake wake;
    wake.route = waits_for_time_alone ? std::string() : row.route;
    wake.at = row.wake_at;
    wake.input_offset = row.input_offset;
    wake.recipient = recipient;
    wake.id = id.value();
    return wake;
}

void LedgerView::fail_with(const Error& error) const {
    if (!failure_) {
        failure_ = error;
    }
}

void LedgerView::focus(const RecipientId& recipient, Instant now) {
    recipient_ = recipient;
    now_ = now;
}

std::optional<std::string> LedgerView::stored(const std::string& key) const {
    auto value = store_.get(key);
    if (!value) {
        fail_with(value.error());
        return std::nullopt;
    }
    return *std::move(value);
}

std::optional<std::string> LedgerView::row_bytes(const std::string& key) const {
    if (const auto row = rows_.find(key); row != rows_.end()) {
        return row->second.value;
    }
    return stored(key);
}

const std::optional<MessageRow>& LedgerView::stored_message(const std::string& key) const {
    if (!message_memo_ || message_memo_->first != key) {
        std::optional<MessageRow> row;
        if (const auto bytes = stored(key)) {
            row = value_or_failure(ledger::decode_message(*bytes), failure_);
        }
        message_memo_.emplace(key, std::move(row));
    }
    return message_memo_->second;
}

std::optional<MessageRow> LedgerView::message(const MessageId& id) const {
    const MessageRow* const row = find_message(id);
    return row == nullptr ? std::nullopt : std::optional<MessageRow>(*row);
}

const MessageRow* LedgerView::find_message(const MessageId& id) const {
    const std::string key = ledger::message_key(recipient_, id);
    if (const auto in_batch = messages_.find(key); in_batch != messages_.end()) {
        return &in_batch->second.row;
    }
    if (const auto open = pinned_.find(key); open != pinned_.end()) {
        return &open->second.row;
    }
    if (const auto row = rows_.find(key); row != rows_.end() && !row->second.value) {
        return nullptr;  // expired in this batch
    }
    const std::optional<MessageRow>& row = stored_message(key);
    if (!row || (has_ended(row->state) && row->row_expires_at <= now_)) {
        return nullptr;
    }
    return &*row;
}

std::optional<SequenceRow> LedgerView::sequence(std::string_view sequence_id) const {
    std::string key = ledger::sequence_key(recipient_, sequence_id);
    const std::optional<SequenceRow>* row = sequences_.find(key);
    if (row == nullptr) {
        std::optional<SequenceRow> read;
        if (const auto bytes = row_bytes(key)) {
            read = value_or_failure(ledger::decode_sequence(*bytes), failure_);
        }
        if (failure_) {
            return std::nullopt;
        }
        row = &sequences_.put(std::move(key), std::move(read));
    }
    if (*row && (*row)->row_expires_at != Instant{} && (*row)->row_expires_at <= now_) {
        return std::nullopt;
    }
    return *row;
}

std::optional<StepEntry> LedgerView::step(std::string_view sequence_id, Step step) const {
    const std::string key = ledger::step_key(recipient_, sequence_id, step);
    if (const auto in_batch = steps_.find(key); in_batch != steps_.end()) {
        return in_batch->second.entry;
    }
    if (const auto open = pinned_steps_.find(key); open != pinned_steps_.end()) {
        return open->second.entry;
    }
    const auto bytes = stored(key);
    return bytes ? value_or_failure(ledger::decode_step(key, *bytes), failure_) : std::nullopt;
}

std::optional<StepEntry> LedgerView::next_step(std::string_view sequence_id, Step from) const {
    const std::string prefix = ledger::step_prefix(recipient_, sequence_id);
    const std::string end = ledger::prefix_end(prefix);
    std::string begin = ledger::step_key(recipient_, sequence_id, from);
    for (;;) {
        auto found = store_.scan(begin, end, 1);
        if (!found) {
            fail_with(found.error());
            return std::nullopt;
        }
        std::string lowest = found->empty() ? end : found->front().first;
        if (const auto open = pinned_steps_.lower_bound(begin); open != pinned_steps_.end()) {
            lowest = std::min(lowest, open->first);
        }
        if (const auto in_batch = steps_.lower_bound(begin); in_batch != steps_.end()) {
            lowest = std::min(lowest, in_batch->first);
        }
        if (lowest >= end) {
            return std::nullopt;
        }
        const auto in_batch = steps_.find(lowest);
        if (in_batch != steps_.end() && !in_batch->second.entry) {
            begin = lowest + '\0';  // gone: look behind it
            continue;
        }
        if (in_batch != steps_.end()) {
            return in_batch->second.entry;
        }
        if (const auto open = pinned_steps_.find(lowest); open != pinned_steps_.end()) {
            return open->second.entry;
        }
        return value_or_failure(ledger::decode_step(lowest, found->front().second), failure_);
    }
}

std::optional<SuppressionRow> LedgerView::suppressions() const {
    std::string key = ledger::suppressions_key(recipient_);
    if (const std::optional<SuppressionRow>* known = suppressions_.find(key)) {
        return *known;
    }
    std::optional<SuppressionRow> row;
    if (const auto bytes = row_bytes(key)) {
        row = value_or_failure(ledger::decode_suppressions(*bytes), failure_);
    }
    if (failure_) {
        return std::nullopt;
    }
    if (!row || is_small(*row)) {
        suppressions_.put(std::move(key), row);
    }
    return row;
}

std::optional<SuppressionRow> LedgerView::address_suppressions(const AddressKey& key) const {
    return addresses_.find(key);
}

void LedgerView::put_row(std::string key, std::optional<std::string> value) {
    batch_bytes_ += key.size() + (value ? value->size() : 0);
    rows_.insert_or_assign(std::move(key), BatchRow{std::move(value), ++next_order_});
}

void LedgerView::step_changed(const std::string& message_key, const MessageId& id,
                              const MessageRow& row, bool in_store) {
    if (!row.sequence || row.outside_sequence) {
        return;
    }
    const std::string key = ledger::step_key(recipient_, row.sequence->id, row.sequence->step);
    BatchStep& step = steps_[key];
    if (const auto open = pinned_steps_.find(key); open != pinned_steps_.end()) {
        in_store = in_store || open->second.in_store;
    }
    step.in_store = step.in_store || in_store;
    step.message_key = message_key;
    if (has_ended(row.state) && !row.ended_ahead) {
        step.entry.reset();
    } else {
        step.entry = StepEntry{row.sequence->step, id, has_ended(row.state)};
    }
}

const MessageRow& LedgerView::put(PutMessage effect) {
    const std::string key = ledger::message_key(recipient_, effect.message_id);
    auto in_batch = messages_.find(key);
    bool in_store = false;
    if (in_batch == messages_.end()) {
        rows_.erase(key);  // forgotten in this batch, and here again: one record per key
        BatchMessage message;
        message.recipient = recipient_;
        message.message_id = effect.message_id;
        if (!pinned_.contains(key)) {
            if (const auto& before = stored_message(key)) {
                in_store = !has_ended(before->state) || before->ended_ahead;
                if (const auto wake = wake_of(recipient_, effect.message_id, *before)) {
                    message.wake_before = ledger::wake_key(*wake);
                }
            }
        }
        in_batch = messages_.emplace(key, std::move(message)).first;
        batch_bytes_ += key.size() + 200;
    }
    batch_bytes_ += effect.row.payload ? effect.row.payload->value.size() : 0;
    if (in_batch->second.order != 0 && in_batch->second.row.sequence != effect.row.sequence) {
        // Ended and admitted again with another step: only this record says that the first step is free.
        superseded_.emplace_back(in_batch->second.order,
                                 Sealed{key, ledger::encode(in_batch->second.row), false, true});
    }
    MessageRow& row = in_batch->second.row;
    row = std::move(effect.row);
    in_batch->second.order = ++next_order_;
    step_changed(key, effect.message_id, row, in_store);
    return row;
}

ledger::Wake LedgerView::halt_wake(const RecipientId& recipient, std::string_view sequence_id,
                                   const SequenceRow::Halt& halt) {
    ledger::Wake wake;
    wake.at = halt.until;
    wake.target = ledger::Wake::Target::SequenceHalt;
    wake.recipient = recipient;
    wake.id = sequence_id;
    return wake;
}

void LedgerView::put(const PutSequence& effect) {
    if (effect.row.halt) {
        ledger::Wake wake = halt_wake(recipient_, effect.sequence_id, *effect.row.halt);
        local_.push_back({ledger::wake_key(wake), std::string()});
        new_wakes_.push_back(std::move(wake));
    }
    std::string key = ledger::sequence_key(recipient_, effect.sequence_id);
    sequences_.put(key, effect.row);
    put_row(std::move(key), ledger::encode(effect.row));
}

void LedgerView::put(const PutSuppressions& effect) {
    std::string key = ledger::suppressions_key(recipient_);
    if (is_small(effect.row)) {
        suppressions_.put(key, effect.row);
    } else {
        suppressions_.forget(key);
    }
    put_row(std::move(key), ledger::encode(effect.row));
}

void LedgerView::forget(const ForgetStep& effect) {
    BatchStep& step = steps_[ledger::step_key(recipient_, effect.sequence_id, effect.step)];
    step.entry.reset();
    step.in_store = true;
}

void LedgerView::expire(const std::string& key, const MessageId& id, const MessageRow& row) {
    if (row.ended_ahead && row.sequence && !row.outside_sequence) {
        const auto entry = step(row.sequence->id, row.sequence->step);
        if (entry && entry->message_id == id) {
            forget(ForgetStep{row.sequence->id, row.sequence->step});
        }
    }
    expire(key);
}

void LedgerView::put_offsets(const OffsetsRow& row) {
    offsets_ = row;
    put_row(ledger::offsets_key(), ledger::encode(row));
}

void LedgerView::put_genesis(const GenesisRow& row) {
    genesis_ = row;
    put_row(ledger::genesis_key(), ledger::encode(row));
}

std::vector<OutRecord> LedgerView::ledger_records(PartitionId partition) {
    std::vector<std::pair<std::uint64_t, Sealed>> ordered = std::exchange(superseded_, {});
    ordered.reserve(ordered.size() + messages_.size() + rows_.size());
    for (const auto& [key, message] : messages_) {
        const bool stored = message.row.state != MessageState::Sending;
        ordered.emplace_back(message.order,
                             Sealed{key, ledger::encode(message.row), stored, false});
    }
    for (const auto& [key, row] : rows_) {
        ordered.emplace_back(row.order, Sealed{key, row.value, true, false});
    }
    std::sort(ordered.begin(), ordered.end(),
              [](const auto& left, const auto& right) { return left.first < right.first; });
    sealed_.clear();
    std::vector<OutRecord> records;
    records.reserve(ordered.size());
    for (auto& [order, sealed] : ordered) {
        OutRecord record;
        record.partition = partition;
        record.key = sealed.key;
        record.value = sealed.stored ? sealed.value : std::exchange(sealed.value, std::nullopt);
        records.push_back(std::move(record));
        sealed_.push_back(std::move(sealed));
    }
    return records;
}

void LedgerView::pin(const std::string& key, RecipientId recipient, MessageId id, MessageRow row,
                     Offset offset) {
    unpin(key);
    pinned_offsets_.insert(offset);
    pinned_.emplace(key, Pinned{std::move(row), std::move(recipient), std::move(id), offset});
}

void LedgerView::unpin(const std::string& key) {
    if (const auto open = pinned_.find(key); open != pinned_.end()) {
        pinned_offsets_.erase(pinned_offsets_.find(open->second.ledger_offset));
        pinned_.erase(open);
    }
}

void LedgerView::add_wake(StoreBatch& out, const RecipientId& recipient, const MessageId& id,
                          const MessageRow& row, const std::optional<std::string>& before) {
    auto wake = wake_of(recipient, id, row);
    const std::string key = wake ? ledger::wake_key(*wake) : std::string();
    if (before && *before != key) {
        out.operations.push_back({*before, std::nullopt});
    }
    if (wake) {
        if (before != key) {
            out.operations.push_back({key, std::string()});
        }
        new_wakes_.push_back(*std::move(wake));
    }
}

void LedgerView::apply_message(StoreBatch& out, const std::string& key, BatchMessage& message,
                               Offset offset, std::optional<std::string> value) {
    add_wake(out, message.recipient, message.message_id, message.row, message.wake_before);
    if (message.row.state == MessageState::Sending) {
        pin(key, std::move(message.recipient), std::move(message.message_id),
            std::move(message.row), offset);
        return;
    }
    unpin(key);
    std::string bytes = *std::move(value);  // never absent: that would delete the row
    out.operations.push_back({key, std::move(bytes)});
}

// A step whose message is an open intent is kept beside the store like the message itself.
void LedgerView::apply_steps(StoreBatch& out) {
    for (auto& [key, step] : steps_) {
        pinned_steps_.erase(key);
        if (!step.entry) {
            if (step.in_store) {
                out.operations.push_back({key, std::nullopt});
            }
            continue;
        }
        if (!step.entry->ended && pinned_.contains(step.message_key)) {
            pinned_steps_.emplace(key, PinnedStep{*std::move(step.entry), step.in_store});
            continue;
        }
        out.operations.push_back({key, ledger::encode_step(*step.entry)});
    }
    steps_.clear();
}

void LedgerView::add_position(StoreBatch& out, Offset ledger_next, Instant now) const {
    ledger::Position position;
    position.genesis = genesis_ ? genesis_->uuid : Hash128{};
    position.ledger_next = oldest_pinned(ledger_next);
    position.applied_at = now;
    out.operations.push_back({ledger::position_key(), ledger::encode(position)});
}

Offset LedgerView::oldest_pinned(Offset otherwise) const {
    return pinned_offsets_.empty() ? otherwise : std::min(otherwise, *pinned_offsets_.begin());
}

Result<void> LedgerView::applied(const CommitReceipt& receipt, Instant now) {
    StoreBatch out;
    out.operations = std::exchange(local_, {});
    for (std::size_t index = 0; index < sealed_.size(); ++index) {
        Sealed& sealed = sealed_[index];
        if (sealed.superseded) {
            continue;
        }
        if (const auto message = messages_.find(sealed.key); message != messages_.end()) {
            apply_message(out, sealed.key, message->second, receipt.ledger_offsets.at(index),
                          std::move(sealed.value));
        } else {
            out.operations.push_back({std::move(sealed.key), std::move(sealed.value)});
        }
    }
    apply_steps(out);
    add_position(out, receipt.ledger_next, now);
    sealed_.clear();
    messages_.clear();
    rows_.clear();
    message_memo_.reset();
    batch_bytes_ = 0;
    return store_.write(out);
}

Result<std::optional<ledger::Position>> LedgerView::position() const {
    auto bytes = store_.get(ledger::position_key());
    if (!bytes) {
        return tl::unexpected<Error>(bytes.error());
    }
    if (!*bytes) {
        return std::optional<ledger::Position>();
    }
    auto decoded = ledger::decode_position(**bytes);
    if (!decoded) {
        return tl::unexpected<Error>(decoded.error());
    }
    return std::optional<ledger::Position>(*decoded);
}

}  // namespace postlane
