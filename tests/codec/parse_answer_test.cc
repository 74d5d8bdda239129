#include <gtest/gtest.h>

#include "codec/render.h"

namespace postlane {
namespace {

using config::ProviderKind;
using Headers = std::vector<std::pair<std::string, std::string>>;

struct Row {
    std::string name;
    ProviderKind kind;
    int status;
    Headers headers;
    std::string body;
    ProviderAnswer expected;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

ProviderAnswer says(int status, std::string id, std::string word = {},
                    std::optional<Millis> retry_after = std::nullopt, bool none = false) {
    return ProviderAnswer{.status = status,
                          .provider_message_id = std::move(id),
                          .retry_after = retry_after,
                          .error_word = std::move(word),
                          .none_accepted = none};
}

class ParseAnswer : public testing::TestWithParam<Row> {};

TEST_P(ParseAnswer, FindsWhatMatters) {
    const Row& row = GetParam();
    const ProviderAnswer answer = parse_answer(row.kind, row.status, row.headers, row.body);
    EXPECT_EQ(answer.status, row.expected.status);
    EXPECT_EQ(answer.provider_message_id, row.expected.provider_message_id);
    EXPECT_EQ(answer.error_word, row.expected.error_word);
    EXPECT_EQ(answer.none_accepted, row.expected.none_accepted);
    EXPECT_EQ(answer.retry_after, row.expected.retry_after);
}

constexpr auto kHttp = ProviderKind::Http;
constexpr auto kSendGrid = ProviderKind::SendGrid;
constexpr auto kResend = ProviderKind::Resend;
constexpr const char* kDate = "Wed, 25 Nov 2026 08:00:00 GMT";

INSTANTIATE_TEST_SUITE_P(
    Ids, ParseAnswer,
    testing::Values(
        Row{"SendGridHeader",
            kSendGrid,
            202,
            {{"x-message-ID", " abc.1 "}},
            "",
            says(202, "abc.1")},
        Row{"SendGridIgnoresBody", kSendGrid, 202, {}, R"({"id":"x"})", says(202, "")},
        Row{"ResendBody",
            kResend,
            200,
            {},
            R"({"id":"49a3999c-0ce1"})",
            says(200, "49a3999c-0ce1")},
        Row{"HttpHeader", kHttp, 200, {{"X-Message-Id", "h-1"}}, "", says(200, "h-1")},
        Row{"HttpBodyBeatsHeader",
            kHttp,
            200,
            {{"X-Message-Id", "h-1"}},
            R"({"id":"b-1"})",
            says(200, "b-1")},
        Row{"HttpNumber", kHttp, 201, {}, R"({"id":77})", says(201, "77")},
        Row{"HttpNoJson", kHttp, 200, {{"X-Message-Id", "h-1"}}, "ok", says(200, "h-1")},
        Row{"HttpCutOff", kHttp, 200, {}, R"({"id":"b-1)", says(200, "")},
        Row{"HttpArray", kHttp, 200, {}, R"([{"id":"b-1"}])", says(200, "")},
        Row{"IdWithBlanksIsNoId", kHttp, 200, {}, R"({"id":"a b"})", says(200, "")},
        Row{"IdWithLineBreakIsNoId", kHttp, 200, {}, R"({"id":"a\nb"})", says(200, "")},
        Row{"OverlongIdIsNoId",
            kHttp,
            200,
            {},
            R"({"id":")" + std::string(600, 'a') + R"("})",
            says(200, "")},
        Row{"RefusalHasNoId",
            kHttp,
            422,
            {{"X-Message-Id", "h-1"}},
            R"({"id":"b"})",
            says(422, "")},
        Row{"NoneAccepted",
            ProviderKind::SparkPost,
            200,
            {},
            R"({"results":{"total_accepted_recipients":0,"total_rejected_recipients":1}})",
            says(200, "", "", std::nullopt, true)},
        Row{"SomeAccepted",
            ProviderKind::SparkPost,
            200,
            {},
            R"({"results":{"total_accepted_recipients":1}})",
            says(200, "")}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    Words, ParseAnswer,
    testing::Values(
        Row{"ResendName",
            kResend,
            409,
            {},
            R"({"statusCode":409,"name":"invalid_idempotent_request","message":"ann@example.com"})",
            says(409, "", "invalid_idempotent_request")},
        Row{"LowerCased",
            kHttp,
            400,
            {},
            R"({"code":"Bad_Address"})",
            says(400, "", "bad_address")},
        Row{"Type", kHttp, 400, {}, R"({"type":"quota"})", says(400, "", "quota")},
        Row{"NestedCode", kHttp, 400, {}, R"({"error":{"code":"e-1"}})", says(400, "", "e-1")},
        Row{"PlainError", kHttp, 400, {}, R"({"error":"nope"})", says(400, "", "nope")},
        Row{"ProseIsNoWord",
            kHttp,
            400,
            {},
            R"({"error":"no such user ann@example.com"})",
            says(400, "")},
        Row{"AddressIsNoWord", kHttp, 400, {}, R"({"name":"ann@example.com"})", says(400, "")},
        Row{"SendGridSentence",
            kSendGrid,
            401,
            {},
            R"({"errors":[{"message":"Maximum credits exceeded","field":null}]})",
            says(401, "", "maximum_credits_exceeded")},
        Row{"SendGridOtherSentence",
            kSendGrid,
            400,
            {},
            R"({"errors":[{"message":"ann@example.com is invalid","field":"to"}]})",
            says(400, "")},
        Row{"Nothing", kHttp, 500, {}, "", says(500, "")}),
    [](const auto& row) { return row.param.name; });

INSTANTIATE_TEST_SUITE_P(
    RetryAfter, ParseAnswer,
    testing::Values(
        Row{"Seconds", kHttp, 429, {{"Retry-After", "7"}}, "", says(429, "", "", Millis{7'000})},
        Row{"Zero", kHttp, 503, {{"retry-after", "0"}}, "", says(503, "", "", Millis{0})},
        Row{"Huge",
            kHttp,
            503,
            {{"retry-after", "99999999999999999999"}},
            "",
            says(503, "", "", std::chrono::hours{365 * 24})},
        Row{"Negative", kHttp, 503, {{"retry-after", "-1"}}, "", says(503, "")},
        Row{"Nonsense", kHttp, 503, {{"retry-after", "soon"}}, "", says(503, "")},
        Row{"Date",
            kHttp,
            503,
            {{"Date", kDate}, {"Retry-After", "Wed, 25 Nov 2026 08:01:30 GMT"}},
            "",
            says(503, "", "", Millis{90'000})},
        Row{"DateOfNextMonth",
            kHttp,
            503,
            {{"Date", "Mon, 30 Nov 2026 23:59:59 GMT"},
             {"Retry-After", "Tue, 01 Dec 2026 00:00:00 GMT"}},
            "",
            says(503, "", "", Millis{1'000})},
        Row{"DatePast",
            kHttp,
            503,
            {{"Date", kDate}, {"Retry-After", "Wed, 25 Nov 2026 07:00:00 GMT"}},
            "",
            says(503, "", "", Millis{0})},
        Row{"DateWithoutNow",
            kHttp,
            503,
            {{"Retry-After", kDate}},
            "",
            says(503, "", "", Millis{0})},
        Row{"DateImpossible",
            kHttp,
            503,
            {{"Date", kDate}, {"Retry-After", "Wed, 31 Feb 2026 08:00:00 GMT"}},
            "",
            says(503, "")},
        Row{"SendGridReset",
            kSendGrid,
            429,
            {{"Date", kDate}, {"X-RateLimit-Reset", "1795593660"}},
            "",
            says(429, "", "", Millis{60'000})},
        Row{"ResendReset",
            kResend,
            429,
            {{"ratelimit-reset", "2"}},
            "",
            says(429, "", "", Millis{2'000})},
        Row{"ResetOnSuccessIsNoWait", kResend, 200, {{"ratelimit-reset", "2"}}, "", says(200, "")}),
    [](const auto& row) { return row.param.name; });

TEST(ParseAnswerNeverFails, WhateverTheBytes) {
    const std::string body =
        R"({"id":"x","errors":[{"code":"y"}],"results":{"a":[1,2,{"b":"\u00e9"}]}})";
    for (std::size_t at = 0; at < body.size(); ++at) {
        for (const char byte : {'\0', '"', '{', '}', '\\', static_cast<char>(0xff)}) {
            std::string spoiled = body;
            spoiled[at] = byte;
            (void)parse_answer(kHttp, 200, {}, spoiled);
            (void)parse_answer(kResend, 400, {}, spoiled.substr(0, at));
        }
    }
}

}  // namespace
}  // namespace postlane
