#include <gtest/gtest.h>

#include "sandbox/client.h"

namespace postlane::sandbox::test {
namespace {

struct Row {
    std::string name;
    std::string path;
    std::string body;
    Headers headers;
    long status;
    std::string answer;  // must be part of it
};

void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

std::string without(std::string text, const std::string& part) {
    const auto at = text.find(part);
    if (at == std::string::npos) {
        throw std::runtime_error("no " + part);
    }
    return text.erase(at, part.size());
}

class Wire : public testing::TestWithParam<Row> {};

TEST_P(Wire, AnswersAsTheProviderDoesAndRecordsWhatItExecuted) {
    Stand stand;
    const Row& row = GetParam();
    const Reply reply = stand.client.post(row.path, row.body, row.headers);
    EXPECT_EQ(reply.status, row.status) << reply.body;
    EXPECT_NE((reply.body + reply.headers).find(row.answer), std::string::npos) << reply.body;
    const bool executed = row.status / 100 == 2;
    EXPECT_EQ(stand.last("executed"), executed ? "true" : "false");
    EXPECT_EQ(stand.last("status"), std::to_string(row.status));
    EXPECT_EQ(stand.last("fault"), R"("none")");
}

const Headers kAuth{kBearer};
const Headers kNone{};

INSTANTIATE_TEST_SUITE_P(
    Table, Wire,
    testing::Values(
        Row{"HttpAccepts", "/send", kEvent, kNone, 200, R"({"id":")"},
        Row{"HttpTakesAnyPath", "/hooks/mail?x=1", kEvent, kNone, 200, R"({"id":")"},
        Row{"HttpWantsAnAddress", "/send", R"({"to":{"email":""}})", kNone, 400, "to.email"},
        Row{"HttpWantsAnObject", "/send", "[1]", kNone, 400, "must be a JSON object"},
        Row{"HttpWantsJson", "/send", "{\"to\":", kNone, 400, "not valid JSON"},
        Row{"HttpRefusesAnEmptyBody", "/send", "", kNone, 400, "not valid JSON"},
        Row{"ResendAccepts", "/emails", kResendMail, kAuth, 200, R"({"id":")"},
        Row{"ResendTakesOneAddress", "/emails",
            R"({"from":"a@b.c","to":"ann@example.com","subject":"s","html":"h"})", kAuth, 200,
            R"({"id":")"},
        Row{"ResendWantsAToken", "/emails", kResendMail, kNone, 401, "missing_api_key"},
        Row{"ResendWantsANonEmptyToken",
            "/emails",
            kResendMail,
            {"Authorization: Bearer "},
            401,
            "missing_api_key"},
        Row{"ResendWantsFrom", "/emails",
            without(kResendMail, R"("from":"Shop <hi@shop.example>",)"), kAuth, 422,
            "Missing `from` field"},
        Row{"ResendWantsTo", "/emails", without(kResendMail, R"("to":["Ann <ann@example.com>"],)"),
            kAuth, 422, "Missing `to` field"},
        Row{"ResendWantsASubject", "/emails", without(kResendMail, R"("subject":"Hi",)"), kAuth,
            422, "Missing `subject` field"},
        Row{"ResendWantsText", "/emails", without(kResendMail, R"("text":"x",)"), kAuth, 422,
            "missing_required_field"},
        Row{"ResendWantsValidAddresses", "/emails",
            R"({"from":"a@b.c","to":["nobody"],"subject":"s","html":"h"})", kAuth, 422,
            "Invalid `to` field"},
        Row{"SendGridAccepts", "/v3/mail/send", kSendGridMail, kAuth, 202, "X-Message-Id: "},
        Row{"SendGridTakesATemplate", "/v3/mail/send",
            R"({"personalizations":[{"to":[{"email":"a@b.c"}]}],"from":{"email":"d@e.f"},)"
            R"("template_id":"d-1"})",
            kAuth, 202, "X-Message-Id: "},
        Row{"SendGridWantsAToken", "/v3/mail/send", kSendGridMail, kNone, 401, R"("errors":[)"},
        Row{"SendGridWantsJsonType",
            "/v3/mail/send",
            kSendGridMail,
            {kBearer, "Content-Type: text/plain"},
            415,
            "Content-Type"},
        Row{"SendGridWantsPersonalizations", "/v3/mail/send", R"({"from":{"email":"d@e.f"}})",
            kAuth, 400, R"("field":"personalizations")"},
        Row{"SendGridWantsRecipients", "/v3/mail/send",
            R"({"personalizations":[{"to":[]}],"from":{"email":"d@e.f"}})", kAuth, 400,
            R"("field":"personalizations.0.to")"},
        Row{"SendGridWantsFrom", "/v3/mail/send",
            without(kSendGridMail, R"("from":{"email":"hi@shop.example"},)"), kAuth, 400,
            R"("field":"from.email")"},
        Row{"SendGridWantsASubject", "/v3/mail/send", without(kSendGridMail, R"("subject":"Hi",)"),
            kAuth, 400, R"("field":"subject")"},
        Row{"SendGridWantsContent", "/v3/mail/send",
            without(kSendGridMail, R"(,"content":[{"type":"text/plain","value":"x"}])"), kAuth, 400,
            R"("field":"content")"}),
    [](const auto& row) { return row.param.name; });

TEST(WireRecord, NamesWhatTheCallerSentInEveryFormat) {
    Stand stand;
    stand.client.post("/send", kEvent, {"Idempotency-Key: k-1", "X-Postlane-Id: p-1"});
    EXPECT_EQ(stand.last("provider"), R"("http")");
    EXPECT_EQ(stand.last("to"), R"("ann@example.com")");
    EXPECT_EQ(stand.last("recipient_id"), R"("user-1")");
    EXPECT_EQ(stand.last("message_id"), R"("m-1")");
    EXPECT_EQ(stand.last("postlane_id"), R"("p-1")");
    EXPECT_EQ(stand.last("idempotency_key"), R"("k-1")");
    EXPECT_EQ(stand.last("tag"), R"("t-1")");
    EXPECT_EQ(stand.last("subject"), R"("Hi")");
    EXPECT_EQ(stand.last("sequence"), R"({"id":"onboarding","step":2})");

    stand.client.post("/emails", kResendMail, kAuth);
    EXPECT_EQ(stand.last("provider"), R"("resend")");
    EXPECT_EQ(stand.last("to"), R"("ann@example.com")");
    EXPECT_EQ(stand.last("recipient_id"), "null");
    EXPECT_EQ(stand.last("message_id"), "null");
    EXPECT_EQ(stand.last("idempotency_key"), "null");
    EXPECT_EQ(stand.last("postlane_id"), R"("p-2")");
    EXPECT_EQ(stand.last("tag"), R"("t-2")");
    EXPECT_EQ(stand.last("sequence"), "null");

    stand.client.post("/v3/mail/send", kSendGridMail, kAuth);
    EXPECT_EQ(stand.last("provider"), R"("sendgrid")");
    EXPECT_EQ(stand.last("to"), R"("ann@example.com")");
    EXPECT_EQ(stand.last("postlane_id"), R"("p-3")");
    EXPECT_EQ(stand.last("tag"), R"("t-3")");
    EXPECT_EQ(stand.last("recipients"), "1");
}

TEST(WireRecord, TheSubjectIsTheTagOfLastResortAndTheBodyIsHashed) {
    Stand stand;
    stand.client.post("/send", R"({"to":{"email":"a@b.c"},"content":{"subject":"\"Hé\"\n"}})");
    EXPECT_EQ(stand.last("tag"), R"("\"Hé\"\n")");
    // sha256sum of that body
    EXPECT_EQ(stand.last("body_sha256"),
              R"("f02f3bfb09f34302185c1abb559303bde42863df1303c308fe28c1e9d43febc0")");
}

TEST(WireToken, ARequiredTokenIsRequiredOfEveryProvider) {
    Options options;
    options.require_token = "right";
    Stand stand(options);
    for (const auto& [path, body] :
         {std::pair{"/send", kEvent}, {"/emails", kResendMail}, {"/v3/mail/send", kSendGridMail}}) {
        EXPECT_EQ(stand.client.post(path, body).status, 401) << path;
        EXPECT_EQ(stand.client.post(path, body, kAuth).status, 401) << path;
        EXPECT_EQ(stand.client.post(path, body, {"Authorization: Bearer right"}).status / 100, 2)
            << path;
    }
}

TEST(WireHttp, WhatIsNotHttpGets400) {
    Stand stand;
    EXPECT_TRUE(talk_raw(stand.port(), "HELO there\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

TEST(WireHttp, PipelinedRequestsAreAnsweredInTurn) {
    Stand stand;
    const std::string one = fmt::format(
        "POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}", kEvent.size(), kEvent);
    const std::string answers =
        talk_raw(stand.port(), one + one + "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_EQ(stand.lines().size(), 2U);
    EXPECT_NE(answers.find("HTTP/1.1 405 "), std::string::npos) << answers;
}

TEST(WireHttp, ABodyMayComeInChunksAndAfterAContinue) {
    Stand stand;
    const std::string chunked = fmt::format(
        "POST /send HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        "{:x}\r\n{}\r\n0\r\n\r\n",
        kEvent.size(), kEvent);
    EXPECT_TRUE(talk_raw(stand.port(), chunked).starts_with("HTTP/1.1 200 "));

    const std::string big =
        fmt::format(R"({{"to":{{"email":"a@b.c"}},"pad":"{}"}})", std::string(2'000'000, 'x'));
    const Reply reply = stand.client.post("/send", big, {"Expect: 100-continue"});
    EXPECT_EQ(reply.status, 200);
    EXPECT_LT(reply.took.count(), 900);  // libcurl waits a second before it goes on uninvited
}

TEST(WireHttp, ABodyBeyondTheLimitGets413) {
    Stand stand;
    const Reply reply =
        stand.client.post("/send", std::string(21 * 1024 * 1024, 'x'), {"Expect: 100-continue"});
    EXPECT_EQ(reply.status, 413);
    EXPECT_TRUE(stand.lines().empty());
}

}  // namespace
}  // namespace postlane::sandbox::test
