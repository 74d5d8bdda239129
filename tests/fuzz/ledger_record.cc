// A record of the ledger topic: key, then value. Whatever decodes must encode to bytes that decode to the same.
#include "codec/ledger_codec.h"
#include "fuzz.h"

namespace postlane::fuzz {
namespace {

template <class Decode>
void converges(std::string_view value, const Decode& decode) {
    const auto row = decode(value);
    if (!row) {
        return;
    }
    const std::string bytes = ledger::encode(*row);
    const auto again = decode(bytes);
    must(again.has_value(), "what was encoded decodes");
    must(ledger::encode(*again) == bytes, "encoding converges");
}

void check_message(std::string_view value) {
    const auto row = ledger::decode_message(value);
    const auto state = ledger::peek_message_state(value);
    if (!row) {
        return;
    }
    must(state && *state == row->state, "a glance sees the same state");
    must(has_ended(row->state) != (row->payload != nullptr), "live rows have their payload");
    must(row->state != MessageState::Sending || row->intent, "what is being sent has its intent");
    const bool behind = row->state == MessageState::Held || row->state == MessageState::Waiting;
    must(!behind || row->sequence, "what waits for its turn has a sequence");
}

}  // namespace
}  // namespace postlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace postlane;
    using namespace postlane::fuzz;
    Bytes in(data, size);
    const std::string key = in.text();
    const std::string value = in.rest();
    const auto parsed = ledger::parse_key(key);
    // Any value may stand under any key, also under one that is wrong.
    switch (parsed ? parsed->kind : static_cast<ledger::Kind>("GOMQS"[key.size() % 5])) {
        case ledger::Kind::Genesis:
            converges(value, ledger::decode_genesis);
            break;
        case ledger::Kind::Offsets:
            converges(value, ledger::decode_offsets);
            break;
        case ledger::Kind::Message:
            converges(value, ledger::decode_message);
            check_message(value);
            break;
        case ledger::Kind::Sequence:
            converges(value, ledger::decode_sequence);
            break;
        case ledger::Kind::Suppressions:
            converges(value, ledger::decode_suppressions);
            break;
    }
    if (!parsed) {
        return 0;
    }
    using ledger::Kind;
    const std::string made =
        parsed->kind == Kind::Message
            ? ledger::message_key(parsed->recipient, MessageId(parsed->id))
        : parsed->kind == Kind::Sequence     ? ledger::sequence_key(parsed->recipient, parsed->id)
        : parsed->kind == Kind::Suppressions ? ledger::suppressions_key(parsed->recipient)
        : parsed->kind == Kind::Offsets      ? ledger::offsets_key()
                                             : ledger::genesis_key();
    const auto again = ledger::parse_key(made);
    must(again && again->kind == parsed->kind && again->recipient == parsed->recipient &&
             again->id == parsed->id,
         "a key says whose it is");
    return 0;
}
