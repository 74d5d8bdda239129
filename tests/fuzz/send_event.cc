// Records of the sends topic. The first byte chooses key and framing, the rest is the value.
#include "codec/decode.h"
#include "codec/render.h"
#include "fuzz.h"

namespace postlane::fuzz {
namespace {

Config config_of_target() {
    Config config;
    config.dispatch.max_payload_bytes = 65'536;
    config::Route route;
    route.name = "default";
    route.from = config::Mailbox{"hi@shop.example", std::nullopt};
    config.routes = {route};
    for (const auto kind : {config::ProviderKind::Http, config::ProviderKind::SendGrid,
                            config::ProviderKind::Resend}) {
        config::Provider provider;
        provider.name = "p" + std::to_string(config.providers.size());
        provider.kind = kind;
        provider.base_url = "https://esp.example";
        provider.idempotency = config::Idempotency::Header;
        provider.idempotency_header = "Idempotency-Key";
        config.providers.push_back(provider);
    }
    return config;
}

bool is_clean(std::string_view text) {
    return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

void check_requests(const SendEvent& event, const Config& config) {
    for (const config::Provider& provider : config.providers) {
        const auto request = render(event, provider, config.routes.front(), "key-1");
        if (!request) {
            continue;
        }
        must(is_clean(request->url), "a URL has no line end");
        for (const auto& [name, value] : request->headers) {
            must(is_clean(name) && is_clean(value), "an HTTP header has no line end");
        }
        const auto again = render(event, provider, config.routes.front(), "key-1");
        must(again && request_hash(*again) == request_hash(*request), "rendering is deterministic");
    }
}

}  // namespace
}  // namespace postlane::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace postlane;
    using namespace postlane::fuzz;
    static const Config kConfig = config_of_target();
    static Decoder decoder(kConfig, 1);
    Bytes in(data, size);
    InputRecord record;
    record.timestamp = Instant{Millis{1'764'579'600'000}};
    const std::uint8_t form = in.below(4);
    std::string value = in.rest();
    record.key = form == 1 ? value.substr(0, 40) : std::string("user-123");
    record.value = form == 2 ? std::string("\0\0\0\0\7", 5) + value : value;
    if (form == 3) {
        record.headers = {{"ce_id", value.substr(0, 64)}, {"ce_type", std::nullopt}};
    }
    const auto event = decoder.send(record, 0);
    if (!event) {
        must(event.error().reason != Reason::None, "a refusal has its reason");
        must(!event.error().detail.empty(), "a refusal says what is wrong");
        return 0;
    }
    must(event->templated.has_value() != event->content.has_value(), "a template or content");
    must(!event->message_id.value().empty() && event->message_id.value().size() <= 512,
         "a message id has 1 to 512 bytes");
    must(!event->address.value().empty(), "an accepted address is normalised");
    must(is_clean(event->to.email) && is_clean(event->unsubscribe_url), "no line ends");
    for (const auto& [name, content] : event->headers) {
        must(is_clean(name) && is_clean(content), "no header injection");
    }
    const auto again = decoder.stored(event->recipient_id, {record.timestamp, *record.value, {}});
    must(again && again->body_hash == event->body_hash && again->message_id == event->message_id,
         "what was accepted is accepted again from the ledger, as the same body");
    check_requests(*event, kConfig);
    return 0;
}
