// Keys of ledger and store, and the local rows that are mostly key.
#include <utility>

#include "codec/ledger_codec.h"
#include "codec/ledger_parts.h"

namespace postlane::ledger {
namespace {

constexpr char kRecipient = 'R';  // second byte of keys that belong to a recipient
constexpr char kStep = 'T';
constexpr char kWake = 'W';
constexpr char kPosition = 'P';

Writer recipient_key(const RecipientId& recipient, Kind kind) {
    Writer out = versioned();
    out.u8(byte(kRecipient));
    out.text(recipient.value());
    out.u8(static_cast<std::uint8_t>(kind));
    return out;
}

Writer local_key(char kind) {
    Writer out;
    out.u8(kLocal);
    out.u8(byte(kind));
    return out;
}

Writer step_keys(const RecipientId& recipient, std::string_view sequence_id) {
    Writer out = local_key(kStep);
    out.text(recipient.value());
    out.text(sequence_id);
    return out;
}

Writer wake_keys(std::string_view route) {
    Writer out = local_key(kWake);
    out.text(route);
    return out;
}

Reader local_key(char kind, std::string_view bytes) {
    Reader in(bytes);
    in.require(in.u8() == kLocal);
    in.require(in.u8() == byte(kind));
    return in;
}

}  // namespace

std::string genesis_key() {
    Writer out = versioned();
    out.u8(static_cast<std::uint8_t>(Kind::Genesis));
    return out.take();
}

std::string offsets_key() {
    Writer out = versioned();
    out.u8(static_cast<std::uint8_t>(Kind::Offsets));
    return out.take();
}

std::string message_key(const RecipientId& recipient, const MessageId& message) {
    Writer out = recipient_key(recipient, Kind::Message);
    out.rest(message.value());
    return out.take();
}

std::string sequence_key(const RecipientId& recipient, std::string_view sequence_id) {
    Writer out = recipient_key(recipient, Kind::Sequence);
    out.rest(sequence_id);
    return out.take();
}

std::string suppressions_key(const RecipientId& recipient) {
    return recipient_key(recipient, Kind::Suppressions).take();
}

Result<Key> parse_key(std::string_view bytes) {
    Reader in = versioned(bytes);
    Key key;
    const std::uint8_t section = in.u8();
    if (section == static_cast<std::uint8_t>(Kind::Genesis) ||
        section == static_cast<std::uint8_t>(Kind::Offsets)) {
        key.kind = static_cast<Kind>(section);
    } else {
        in.require(section == byte(kRecipient));
        key.recipient = RecipientId(take_text(in));
        key.kind = static_cast<Kind>(in.u8());
        const bool named = key.kind == Kind::Message || key.kind == Kind::Sequence;
        in.require(named || key.kind == Kind::Suppressions);
        if (named) {
            key.id = std::string(in.rest());
        }
    }
    if (!in.finish()) {
        return corrupt("ledger key", bytes);
    }
    return key;
}

std::string prefix_end(std::string_view prefix) {
    std::string end(prefix);
    while (!end.empty() && static_cast<std::uint8_t>(end.back()) == 0xff) {
        end.pop_back();
    }
    if (!end.empty()) {
        end.back() = static_cast<char>(static_cast<std::uint8_t>(end.back()) + 1);
    }
    return end;
}

std::string ledger_keys_begin() {
    return versioned().take();
}

std::string ledger_keys_end() {
    return prefix_end(ledger_keys_begin());
}

std::string step_prefix(const RecipientId& recipient, std::string_view sequence_id) {
    return step_keys(recipient, sequence_id).take();
}

std::string step_key(const RecipientId& recipient, std::string_view sequence_id, Step step) {
    Writer out = step_keys(recipient, sequence_id);
    out.big_endian(step);
    return out.take();
}

std::string steps_begin() {
    return local_key(kStep).take();
}

namespace {

struct StepKeyParts {  // of the bytes they were read from
    std::string_view recipient;
    std::string_view sequence_id;
    Step step = 0;
};

Result<StepKeyParts> read_step_key(std::string_view key) {
    Reader in = local_key(kStep, key);
    StepKeyParts parts;
    parts.recipient = in.text();
    parts.sequence_id = in.text();
    parts.step = in.big_endian();
    if (!in.finish()) {
        return corrupt("step key", key);
    }
    return parts;
}

}  // namespace

Result<StepKey> parse_step_key(std::string_view key) {
    return read_step_key(key).map([](const StepKeyParts& parts) {
        return StepKey{RecipientId(std::string(parts.recipient)), std::string(parts.sequence_id),
                       parts.step};
    });
}

std::string encode_step(const StepEntry& entry) {
    Writer out = versioned();
    out.u8(entry.ended ? 1 : 0);
    out.rest(entry.message_id.value());
    return out.take();
}

Result<StepEntry> decode_step(std::string_view key, std::string_view value) {
    const auto parts = read_step_key(key);
    if (!parts) {
        return tl::unexpected<Error>(parts.error());
    }
    StepEntry entry;
    entry.step = parts->step;
    Reader in = versioned(value);
    entry.ended = take_bool(in);
    entry.message_id = MessageId(std::string(in.rest()));
    if (!in.finish()) {
        return corrupt("step row", value);
    }
    return entry;
}

std::string wake_prefix(std::string_view route) {
    return wake_keys(route).take();
}

std::string wake_key(const Wake& wake) {
    Writer out = wake_keys(wake.route);
    out.big_endian_signed(wake.at.time_since_epoch().count());
    out.big_endian_signed(wake.input_offset);
    out.u8(static_cast<std::uint8_t>(wake.target));
    out.text(wake.recipient.value());
    out.rest(wake.id);
    return out.take();
}

Result<Wake> parse_wake(std::string_view key) {
    Reader in = local_key(kWake, key);
    Wake wake;
    wake.route = take_text(in);
    wake.at = Instant(Millis(in.big_endian_signed()));
    wake.input_offset = in.big_endian_signed();
    wake.target = take_bool(in) ? Wake::Target::SequenceHalt : Wake::Target::Message;
    wake.recipient = RecipientId(take_text(in));
    wake.id = std::string(in.rest());
    if (!in.finish()) {
        return corrupt("wake key", key);
    }
    return wake;
}

std::string position_key() {
    return local_key(kPosition).take();
}

std::string encode(const Position& position) {
    Writer out = versioned();
    out.fixed(position.genesis);
    out.zigzag(position.ledger_next);
    put_time(out, position.applied_at);
    return out.take();
}

Result<Position> decode_position(std::string_view bytes) {
    Reader in = versioned(bytes);
    Position position;
    position.genesis = in.fixed<16>();
    position.ledger_next = in.zigzag();
    position.applied_at = take_time(in);
    if (!in.finish()) {
        return corrupt("position", bytes);
    }
    return position;
}

}  // namespace postlane::ledger
