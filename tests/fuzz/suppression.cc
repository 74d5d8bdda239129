// Records of both suppression topics. Key, then value.
#include "codec/decode.h"
#include "codec/ledger_codec.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace postlane;
    using namespace postlane::fuzz;
    static const Config kConfig;
    static Decoder decoder(kConfig, 3);
    Bytes in(data, size);
    InputRecord record;
    record.timestamp = Instant{Millis{1'764'579'600'000}};
    record.key = in.text();
    record.value = in.rest();

    const auto check = [&](const Decoder::Suppression& decoded) {
        if (!decoded.event) {
            must(decoded.event.error().reason != Reason::None, "a refusal has its reason");
            return;
        }
        must(decoded.event->occurred_at <= record.timestamp, "a time in the future is cut");
        must(decoded.event->scope.kind == Scope::Kind::Everything ||
                 !decoded.event->scope.name.empty(),
             "a scope has its name");
        must(decoded.event->expires_at.has_value() ==
                     (decoded.event->reason == SuppressionReason::SoftBounce) ||
                 decoded.event->action == SuppressionEvent::Action::Unsuppress,
             "soft bounces expire, others never");
    };
    const auto by_recipient = decoder.suppression(record, 0, Instant::max());
    check(by_recipient);
    must(!by_recipient.event || by_recipient.recipient, "whom it concerns is known");
    const auto by_address = decoder.address_suppression(record, Instant::max());
    check(by_address);
    must(!by_address.event || by_address.address, "which address it concerns is known");
    if (by_address.address) {
        const auto again = normalise_address(by_address.address->value());
        must(again && *again == *by_address.address, "normalising twice changes nothing");
    }
    return 0;
}
