// One partition's ledger as its runner sees it: the store, the open intents beside it, and the batch being made
// on top of both.
//
// Reads go batch -> open intents -> store. Writes go to the batch; nothing reaches the store before the batch is known
// to be committed (applied()). Open intents (rows in state `sending`) are never written to the store: the stored
// position stays at the oldest one's ledger offset, so a restart replays every one of them.
//
// Owned by the partition's thread. A store error makes failed() true; whatever was read since then means nothing,
// and the partition must be restarted before anything of the batch is used.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "codec/ledger_codec.h"
#include "postlane/effect.h"
#include "postlane/ports/address_view.h"
#include "postlane/ports/ledger_log.h"
#include "postlane/ports/store.h"
#include "postlane/state_view.h"
#include "runtime/recent.h"

namespace postlane {

class LedgerView final : public StateView {
public:
    LedgerView(Store& store, const AddressView& addresses) : store_(store), addresses_(addresses) {}

    // Whose rows the StateView shows from now on, and which moment decides what has expired.
    void focus(const RecipientId& recipient, Instant now);

    [[nodiscard]] std::optional<MessageRow> message(const MessageId& id) const override;
    // The same without a copy. Valid until the next question or change; null: there is none.
    [[nodiscard]] const MessageRow* find_message(const MessageId& id) const;
    [[nodiscard]] std::optional<SequenceRow> sequence(std::string_view sequence_id) const override;
    [[nodiscard]] std::optional<StepEntry> step(std::string_view sequence_id,
                                                Step step) const override;
    [[nodiscard]] std::optional<StepEntry> next_step(std::string_view sequence_id,
                                                     Step from) const override;
    [[nodiscard]] std::optional<SuppressionRow> suppressions() const override;
    [[nodiscard]] std::optional<SuppressionRow> address_suppressions(
        const AddressKey& key) const override;

    // The focused recipient's committed rows, for people who ask. The latest `limit` of the messages.
    [[nodiscard]] std::vector<std::pair<MessageId, MessageRow>> messages(std::size_t limit) const;
    [[nodiscard]] std::vector<std::pair<std::string, SequenceRow>> sequences(
        std::size_t limit) const;

    // Into the batch, for the focused recipient.
    // The row as it is kept; valid until the next call.
    const MessageRow& put(PutMessage effect);
    void put(const PutSequence& effect);
    void put(const PutSuppressions& effect);
    void forget(const ForgetStep& effect);
    void put_offsets(const OffsetsRow& row);
    void put_genesis(const GenesisRow& row);
    // Removes a wake from the store with the next batch that is applied.
    void drop_wake(std::string key) { local_.push_back({std::move(key), std::nullopt}); }
    // Forgets an expired row of the recipient in focus, here and in the topic. `key` is its ledger key. With a message
    // goes the step it still holds: after compaction the record that forgets it is all there is of it.
    void expire(const std::string& key) {
        sequences_.forget(key);
        put_row(key, std::nullopt);
    }
    void expire(const std::string& key, const MessageId& id, const MessageRow& row);

    [[nodiscard]] bool batch_empty() const { return rows_.empty() && messages_.empty(); }
    [[nodiscard]] std::size_t batch_size() const { return rows_.size() + messages_.size(); }
    [[nodiscard]] std::size_t batch_bytes() const { return batch_bytes_; }

    // The batch as ledger records, in the order of the decisions.
    [[nodiscard]] std::vector<OutRecord> ledger_records(PartitionId partition);
    // The batch of the last ledger_records() is committed: moves it into the store.
    [[nodiscard]] Result<void> applied(const CommitReceipt& receipt, Instant now);

    // --- restore ---
    // The stored position; nothing if the store is empty.
    [[nodiscard]] Result<std::optional<ledger::Position>> position() const;
    // Reads genesis and offsets from a store that is kept; before replay().
    [[nodiscard]] Result<void> load_cursors();
    // Takes one committed ledger record. Corrupt if this program cannot read it.
    [[nodiscard]] Result<void> replay(const LedgerLog::Record& record);
    // All records up to `ledger_next` were replayed.
    [[nodiscard]] Result<void> replayed(Offset ledger_next, Instant now);

    struct OpenIntent {
        RecipientId recipient;
        MessageId message_id;
        AttemptId attempt;
    };
    [[nodiscard]] std::vector<OpenIntent> open_intents() const;
    [[nodiscard]] const std::optional<GenesisRow>& genesis() const { return genesis_; }
    [[nodiscard]] const OffsetsRow& offsets() const { return offsets_; }

    // Wakes of the store with begin <= key < end; those of the batch appear once applied.
    [[nodiscard]] std::vector<ledger::Wake> wakes(const std::string& begin, const std::string& end,
                                                  std::size_t limit) const;
    // Wakes that applied() or replay added since the last call, for whoever keeps timers.
    [[nodiscard]] std::vector<ledger::Wake> take_new_wakes() {
        return std::exchange(new_wakes_, {});
    }

    [[nodiscard]] bool failed() const { return failure_.has_value(); }
    [[nodiscard]] const std::optional<Error>& failure() const { return failure_; }
    [[nodiscard]] Store& store() { return store_; }

private:
    struct Pinned {
        MessageRow row;
        RecipientId recipient;
        MessageId message_id;
        Offset ledger_offset = 0;
    };
    struct BatchMessage {
        MessageRow row;
        RecipientId recipient;
        MessageId message_id;
        std::optional<std::string> wake_before;  // the wake that the store has for it
        std::uint64_t order = 0;
    };
    // `in_store`: the store may have an entry for this step, so that its end must delete it.
    struct BatchStep {
        std::optional<StepEntry> entry;  // absent: gone
        std::string message_key;         // of the message that holds it
        bool in_store = false;
    };
    struct PinnedStep {
        StepEntry entry;
        bool in_store = false;
    };
    struct Sealed {
        std::string key;
        std::optional<std::string> value;
        bool stored = true;       // once committed; else only the ledger gets the value
        bool superseded = false;  // by a later record of the batch: for readers of the topic alone
    };
    struct BatchRow {
        std::optional<std::string> value;  // absent: tombstone
        std::uint64_t order = 0;
    };

    [[nodiscard]] std::optional<std::string> stored(const std::string& key) const;
    [[nodiscard]] std::optional<std::string> row_bytes(const std::string& key) const;
    [[nodiscard]] const std::optional<MessageRow>& stored_message(const std::string& key) const;
    void put_row(std::string key, std::optional<std::string> value);
    void add_position(StoreBatch& out, Offset ledger_next, Instant now) const;
    void pin(const std::string& key, RecipientId recipient, MessageId id, MessageRow row,
             Offset offset);
    void unpin(const std::string& key);
    void step_changed(const std::string& message_key, const MessageId& id, const MessageRow& row,
                      bool in_store);
    void apply_message(StoreBatch& out, const std::string& key, BatchMessage& message,
                       Offset offset, std::optional<std::string> value);
    void apply_steps(StoreBatch& out);
    void add_wake(StoreBatch& out, const RecipientId& recipient, const MessageId& id,
                  const MessageRow& row, const std::optional<std::string>& before);
    [[nodiscard]] static ledger::Wake halt_wake(const RecipientId& recipient,
                                                std::string_view sequence_id,
                                                const SequenceRow::Halt& halt);
    [[nodiscard]] Result<void> replay_message(const ledger::Key& key,
                                              const LedgerLog::Record& record);
    [[nodiscard]] Result<void> give_up_step(const ledger::Key& key, std::string_view step_key_now);
    void forget_replayed_step(const std::string& message_key, std::string_view step_key_now);
    void replay_put(std::string key, std::optional<std::string> value);
    [[nodiscard]] Result<void> flush_replay();
    [[nodiscard]] Offset oldest_pinned(Offset otherwise) const;
    void fail_with(const Error& error) const;

    Store& store_;
    const AddressView& addresses_;
    RecipientId recipient_;
    Instant now_{};

    // The batch.
    std::unordered_map<std::string, BatchMessage> messages_;
    std::unordered_map<std::string, BatchRow> rows_;
    std::vector<std::pair<std::uint64_t, Sealed>> superseded_;
    std::map<std::string, BatchStep> steps_;
    std::vector<StoreBatch::Operation> local_;  // of the store alone
    std::uint64_t next_order_ = 0;
    std::size_t batch_bytes_ = 0;
    std::vector<Sealed> sealed_;  // in the order of the ledger records

    // Committed, not in the store.
    std::map<std::string, Pinned> pinned_;
    std::map<std::string, PinnedStep> pinned_steps_;
    std::multiset<Offset> pinned_offsets_;

    std::optional<GenesisRow> genesis_;
    OffsetsRow offsets_;
    StoreBatch replay_batch_;
    std::size_t replay_bytes_ = 0;
    bool store_was_kept_ = false;
    // Put by this replay and not deleted since; by the message that holds it.
    std::unordered_map<std::string, std::string> replayed_steps_;
    std::vector<ledger::Wake> new_wakes_;
    mutable std::optional<Error> failure_;
    // The rows of sequences as they are now, the batch included; absent: there is none. A step asks at its arrival, its
    // attempt and its end.
    static constexpr std::size_t kRemembered = 1'024;
    mutable Recent<std::optional<SequenceRow>> sequences_{kRemembered};
    // The same of suppressions, if they are few: asked for at the acceptance and at every attempt.
    mutable Recent<std::optional<SuppressionRow>> suppressions_{kRemembered};
    // What the last question was answered with: one decision asks the same several times.
    mutable std::optional<std::pair<std::string, std::optional<MessageRow>>> message_memo_;
};

// The wake a live row asks for, if any.
[[nodiscard]] std::optional<ledger::Wake> wake_of(const RecipientId& recipient, const MessageId& id,
                                                  const MessageRow& row);

}  // namespace postlane
