// An answer of a provider: kind, status, two headers, body.
#include "codec/render.h"
#include "fuzz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace postlane;
    using namespace postlane::fuzz;
    using config::ProviderKind;
    static constexpr ProviderKind kKinds[] = {ProviderKind::Http, ProviderKind::SendGrid,
                                              ProviderKind::Resend};
    static constexpr const char* kNames[] = {"Retry-After", "X-Message-Id", "Date", "x-message-id",
                                             "Content-Type"};
    Bytes in(data, size);
    config::Provider provider;
    provider.kind = kKinds[in.below(3)];
    provider.idempotency = in.flag() ? config::Idempotency::Header : config::Idempotency::None;
    const int status = 100 + in.u8() * 2 + in.u8() % 2;
    std::vector<std::pair<std::string, std::string>> headers;
    for (int count = in.below(4); count > 0; --count) {
        const char* const name = kNames[in.below(5)];
        headers.emplace_back(name, in.text());
    }
    AttemptResult result;
    result.kind = AttemptResult::Kind::Answered;
    result.answer = parse_answer(provider.kind, status, headers, in.rest());
    must(result.answer.status == status, "the status is the provider's");
    must(!result.answer.retry_after || *result.answer.retry_after >= Millis{0},
         "nobody waits a negative time");
    const AnswerClass answer = classify(provider, result);
    must(answer != AnswerClass::NotHandedOver, "an answer proves that the request arrived");
    must(answer != AnswerClass::Accepted || (status >= 200 && status < 300) ||
             provider.idempotency == config::Idempotency::Header,
         "only a 2xx accepts");
    return 0;
}
