// Local rows of a partition's store, which a damaged disk may have changed: steps, wakes, the position. Key, value.
#include "codec/ledger_codec.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace postlane;
    using namespace postlane::fuzz;
    Bytes in(data, size);
    const std::string key = in.text();
    const std::string value = in.rest();
    if (const auto step = ledger::decode_step(key, value)) {
        const auto again = ledger::decode_step(key, ledger::encode_step(*step));
        must(again && again->step == step->step && again->message_id == step->message_id &&
                 again->ended == step->ended,
             "a step converges");
    }
    if (const auto wake = ledger::parse_wake(key)) {
        const auto again = ledger::parse_wake(ledger::wake_key(*wake));
        must(again && *again == *wake, "a wake converges");
    }
    if (const auto position = ledger::decode_position(value)) {
        const auto again = ledger::decode_position(ledger::encode(*position));
        must(again && *again == *position, "the position converges");
    }
    const std::string end = ledger::prefix_end(key);
    must(end.empty() || end > key, "a prefix ends behind itself");
    return 0;
}
