// Rows and keys of the ledger topic and of the local store, as bytes. docs/ledger-format.md is the grammar.
//
// Ledger keys and values begin with a version byte; a version this program does not know is Corrupt and halts
// the partition. The store holds the same keys and values, plus local rows that are derived from them
// and never travel: steps, wakes, the position. Keys of one recipient are adjacent.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "postlane/error.h"
#include "postlane/rows.h"
#include "postlane/types.h"

namespace postlane::ledger {

enum class Kind : std::uint8_t {
    Genesis = 'G',
    Offsets = 'O',
    Message = 'M',
    Sequence = 'Q',
    Suppressions = 'S',
};

// --- keys of the ledger ---
[[nodiscard]] std::string genesis_key();
[[nodiscard]] std::string offsets_key();
[[nodiscard]] std::string message_key(const RecipientId& recipient, const MessageId& message);
[[nodiscard]] std::string sequence_key(const RecipientId& recipient, std::string_view sequence_id);
[[nodiscard]] std::string suppressions_key(const RecipientId& recipient);

struct Key {
    Kind kind = Kind::Genesis;
    RecipientId recipient;  // Message, Sequence, Suppressions
    std::string id;         // message id or sequence id
};
[[nodiscard]] Result<Key> parse_key(std::string_view bytes);

// --- values of the ledger ---
[[nodiscard]] std::string encode(const GenesisRow& row);
[[nodiscard]] std::string encode(const OffsetsRow& row);
[[nodiscard]] std::string encode(const MessageRow& row);  // an ended row is at most ~160 bytes
[[nodiscard]] std::string encode(const SequenceRow& row);
[[nodiscard]] std::string encode(const SuppressionRow& row);
[[nodiscard]] Result<GenesisRow> decode_genesis(std::string_view bytes);
[[nodiscard]] Result<OffsetsRow> decode_offsets(std::string_view bytes);
[[nodiscard]] Result<MessageRow> decode_message(std::string_view bytes);
[[nodiscard]] Result<SequenceRow> decode_sequence(std::string_view bytes);
[[nodiscard]] Result<SuppressionRow> decode_suppressions(std::string_view bytes);
// State alone, without decoding the rest: for replay, which asks it of every record.
[[nodiscard]] Result<MessageState> peek_message_state(std::string_view bytes);

// --- local rows: every key begins with a byte below the ledger's version byte, so that scans of either
// kind never meet the other ---

// One past the last key that begins with `prefix`.
[[nodiscard]] std::string prefix_end(std::string_view prefix);
// [first, last) over all ledger keys in a store.
[[nodiscard]] std::string ledger_keys_begin();
[[nodiscard]] std::string ledger_keys_end();

// Which message holds (recipient, sequence, step). Steps sort by number.
[[nodiscard]] std::string step_prefix(const RecipientId& recipient, std::string_view sequence_id);
[[nodiscard]] std::string step_key(const RecipientId& recipient, std::string_view sequence_id,
                                   Step step);
[[nodiscard]] std::string steps_begin();  // of all sequences; prefix_end() of it is behind the last
struct StepKey {
    RecipientId recipient;
    std::string sequence_id;
    Step step = 0;
};
[[nodiscard]] Result<StepKey> parse_step_key(std::string_view key);
[[nodiscard]] std::string encode_step(const StepEntry& entry);  // the key has the step
[[nodiscard]] Result<StepEntry> decode_step(std::string_view key, std::string_view value);

// When to look at something again. Hints: a wake whose row has another wake_at is stale and dropped.
// They sort by (route, time, input offset). Route is empty for what waits for time alone (held, waiting, halts).
struct Wake {
    enum class Target : std::uint8_t { Message = 0, SequenceHalt = 1 };
    std::string route;
    Instant at{};
    Offset input_offset = 0;
    Target target = Target::Message;
    RecipientId recipient;
    std::string id;  // message id or sequence id
    friend bool operator==(const Wake&, const Wake&) = default;
};
[[nodiscard]] std::string wake_prefix(std::string_view route);
[[nodiscard]] std::string wake_key(const Wake& wake);  // value is empty
[[nodiscard]] Result<Wake> parse_wake(std::string_view key);

// How far the store has come.
struct Position {
    Hash128 genesis{};
    Offset ledger_next = 0;  // replay from here; the oldest open intent holds it back
    Instant applied_at{};    // broker time of the last applied commit
    friend bool operator==(const Position&, const Position&) = default;
};
[[nodiscard]] std::string position_key();
[[nodiscard]] std::string encode(const Position& position);
[[nodiscard]] Result<Position> decode_position(std::string_view bytes);

}  // namespace postlane::ledger
