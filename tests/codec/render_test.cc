// Requests as they go over the wire, byte for byte: tests/golden/requests/<name>.json. After an
// intended change, run this test with POSTLANE_UPDATE_GOLDEN=1 and review the difference: requests
// rendered before the change can no longer be replayed (render_changed).
#include "codec/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "codec/json_writer.h"

namespace postlane {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::string_view kKey = "Zk3v-qEoB1yVJp7hT5wQxL9mR2uN8sD4fG6aC0eK_iY";

SendEvent plain_event() {
    SendEvent event;
    event.recipient_id = RecipientId{"user-123"};
    event.message_id = MessageId{"campaign:spring-sale"};
    event.message_id_given = false;
    event.campaign_id = "spring-sale";
    event.to = {.email = "ann@example.com", .name = ""};
    event.category = "default";
    event.route = "default";
    event.content = SendEvent::Content{.subject = "Hello", .text = "Hi Ann", .html = ""};
    event.json =
        R"({"campaign_id":"spring-sale","recipient_id":"user-123",)"
        R"("to":{"email":"ann@example.com"},"content":{"subject":"Hello","text":"Hi Ann"}})";
    return event;
}

SendEvent full_event() {
    SendEvent event = plain_event();
    event.message_id = MessageId{"welcome-2-user-123"};
    event.message_id_given = true;
    event.to.name = "Ann \"The\" Bell, Jr.";
    event.category = "marketing.eu";
    event.from = Mailbox{.email = "hi@shop.example", .name = "Shop"};
    event.reply_to = Mailbox{.email = "help@shop.example", .name = ""};
    event.content = SendEvent::Content{
        .subject = "Grüße, 2 < 3", .text = "line\nline\t\"quoted\" \\", .html = "<p>\x01</p>"};
    event.headers = {{"X-Campaign", "spring"}, {"list-unsubscribe", "<mailto:old@shop.example>"}};
    event.tags = {"spring", "sale 2026", "spring"};
    event.metadata = {{"order", "42"}, {"postlane_id", "forged"}, {"note", "a b/ü"}};
    event.unsubscribe_url = "https://shop.example/u/opaque-token?x=1";
    event.json =
        " {\"meta\\u0064ata\" : { \"order\":\"42\" , \"postlane_id\": "
        "\"forged\",\"postlane\\u005fid\":\"x\","
        "\"note\":\"a }b\" }, \"message_id\" : \"welcome-2-user-123\",\n"
        "\"recipient_id\":\"user-123\",\"to\":{\"email\":\"ann@example.com\",\"name\":"
        "\"}]\\\"{[\"},\"a\":[1, {\"from\":2}],\"metadat\\u0041\":0,"
        "\"from\":{\"email\":\"hi@shop.example\",\"name\":\"Shop\"},"
        "\"n\":-1.50e3 ,\"t\":true,\"z\":null} \n";
    return event;
}

SendEvent template_event() {
    SendEvent event = plain_event();
    event.content.reset();
    event.templated = SendEvent::Template{.id = "d-123", .data_json = R"({"first_name":"Ann"})"};
    event.json =
        R"({"campaign_id":"spring-sale","recipient_id":null,"message_id":null,"from":null,)"
        R"("to":{"email":"ann@example.com"},"template":{"id":"d-123"}})";
    event.recipient_id_given = false;
    return event;
}

config::Provider provider_of(config::ProviderKind kind) {
    config::Provider provider;
    provider.name = "main";
    provider.kind = kind;
    if (kind == config::ProviderKind::Http) {
        provider.base_url = "http://127.0.0.1:8025/send/";
    } else if (kind == config::ProviderKind::Resend) {
        provider.base_url = "https://api.resend.com/";
        provider.idempotency = config::Idempotency::Header;
    } else {
        provider.base_url = "https://api.sendgrid.com";
    }
    provider.credentials = Secret{"never-rendered"};
    return provider;
}

config::Provider keyed_http() {
    config::Provider provider = provider_of(config::ProviderKind::Http);
    provider.idempotency = config::Idempotency::Header;
    provider.idempotency_header = "X-Once";
    return provider;
}

config::Route route() {
    config::Route route;
    route.name = "default";
    route.from = config::Mailbox{.email = "news@shop.example", .name = "The Shop"};
    return route;
}

struct Golden {
    std::string name;
    std::function<SendEvent()> event;
    std::function<config::Provider()> provider;
};
void PrintTo(const Golden& golden, std::ostream* out) {
    *out << golden.name;
}

// The body stands in the file as it goes over the wire.
std::string as_file(const HttpRequest& request) {
    std::string text = "{\n\"url\": ";
    append_json_string(text, request.url);
    text += ",\n\"headers\": ";
    JsonWriter json{text};
    json.begin_array();
    for (const auto& [name, value] : request.headers) {
        json.begin_array().value(name).value(value).end_array();
    }
    json.end_array();
    return text + ",\n\"body\": " + request.body + "\n}\n";
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file{path, std::ios::binary};
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

class GoldenRequest : public testing::TestWithParam<Golden> {};

TEST_P(GoldenRequest, IsTheSameByteForByte) {
    const Golden& golden = GetParam();
    const auto request = render(golden.event(), golden.provider(), route(), kKey);
    ASSERT_TRUE(request.has_value()) << request.error().detail;
    const auto path = std::filesystem::path{POSTLANE_SOURCE_DIR} / "tests" / "golden" / "requests" /
                      (golden.name + ".json");
    if (std::getenv("POSTLANE_UPDATE_GOLDEN") != nullptr) {
        std::ofstream{path, std::ios::binary} << as_file(*request);
    }
    EXPECT_EQ(as_file(*request), read_file(path));
    EXPECT_THAT(as_file(*request), Not(HasSubstr("never-rendered")));
    // And every time.
    const auto again = render(golden.event(), golden.provider(), route(), kKey);
    EXPECT_EQ(request_hash(*request), request_hash(*again));
}

const auto kSendGrid = [] { return provider_of(config::ProviderKind::SendGrid); };
const auto kResend = [] { return provider_of(config::ProviderKind::Resend); };
const auto kHttp = [] { return provider_of(config::ProviderKind::Http); };

INSTANTIATE_TEST_SUITE_P(Table, GoldenRequest,
                         testing::Values(Golden{"http_plain", plain_event, kHttp},
                                         Golden{"http_full_keyed", full_event, keyed_http},
                                         Golden{"http_nulls_filled_in", template_event, kHttp},
                                         Golden{"sendgrid_plain", plain_event, kSendGrid},
                                         Golden{"sendgrid_full", full_event, kSendGrid},
                                         Golden{"sendgrid_template", template_event, kSendGrid},
                                         Golden{"resend_plain", plain_event, kResend},
                                         Golden{"resend_full", full_event, kResend},
                                         Golden{"resend_template", template_event, kResend}),
                         [](const auto& row) { return row.param.name; });

struct Refusal {
    std::string name;
    std::function<void(SendEvent&)> spoil;
    std::string says;
};
void PrintTo(const Refusal& refusal, std::ostream* out) {
    *out << refusal.name;
}

class RefusedEvent : public testing::TestWithParam<Refusal> {};

TEST_P(RefusedEvent, SaysWhichFieldAndNeverItsValue) {
    for (const auto& provider : {kHttp(), kSendGrid(), kResend()}) {
        SendEvent event = full_event();
        GetParam().spoil(event);
        const auto request = render(event, provider, route(), kKey);
        ASSERT_FALSE(request.has_value());
        EXPECT_EQ(request.error().code, ErrorCode::Malformed);
        EXPECT_THAT(request.error().detail, HasSubstr(GetParam().says));
        EXPECT_THAT(request.error().detail, Not(HasSubstr("Bcc")));
        EXPECT_THAT(request.error().detail, Not(HasSubstr("@")));
    }
}

using std::string_literals::operator""s;

INSTANTIATE_TEST_SUITE_P(
    Table, RefusedEvent,
    testing::Values(
        Refusal{"HeaderValueCr", [](SendEvent& e) { e.headers = {{"X", "a\rBcc: x@y.z"}}; },
                "headers"},
        Refusal{"HeaderValueLf", [](SendEvent& e) { e.headers = {{"X", "a\nBcc: x@y.z"}}; },
                "headers"},
        Refusal{"HeaderValueNul", [](SendEvent& e) { e.headers = {{"X", "a\0b"s}}; }, "headers"},
        Refusal{"HeaderNameColon", [](SendEvent& e) { e.headers = {{"X: Bcc", "a"}}; }, "headers"},
        Refusal{"HeaderNameEmpty", [](SendEvent& e) { e.headers = {{"", "a"}}; }, "headers"},
        Refusal{"HeaderNameLf", [](SendEvent& e) { e.headers = {{"X\nBcc", "a"}}; }, "headers"},
        Refusal{"ToName", [](SendEvent& e) { e.to.name = "Ann\r\nBcc: x@y.z"; }, "to"},
        Refusal{"ToEmail", [](SendEvent& e) { e.to.email = "a@b.c\nBcc: x@y.z"; }, "to"},
        Refusal{"FromName", [](SendEvent& e) { e.from->name = "\n"; }, "from"},
        Refusal{"ReplyTo", [](SendEvent& e) { e.reply_to->email = "\n"; }, "reply_to"},
        Refusal{"Subject", [](SendEvent& e) { e.content->subject = "a\nBcc: b"; }, "subject"},
        Refusal{"UnsubscribeHttp",
                [](SendEvent& e) { e.unsubscribe_url = "http://shop.example/u"; }, "https"},
        Refusal{"UnsubscribeMailto",
                [](SendEvent& e) { e.unsubscribe_url = "mailto:u@shop.example"; }, "https"},
        Refusal{"UnsubscribeTwoLines",
                [](SendEvent& e) { e.unsubscribe_url = "https://shop.example/\n a"; }, "https"},
        Refusal{"UnsubscribeTwoUris",
                [](SendEvent& e) { e.unsubscribe_url = "https://a.example/>,<https://b.example/"; },
                "https"},
        Refusal{"UnsubscribeLongerThanALine",
                [](SendEvent& e) {
                    e.unsubscribe_url = "https://shop.example/" + std::string(1'000, 'a');
                },
                "https"}),
    [](const auto& row) { return row.param.name; });

TEST(Render, WithoutAnySenderItSaysWhatToDo) {
    config::Route senderless = route();
    senderless.from.reset();
    const auto request = render(plain_event(), kSendGrid(), senderless, kKey);
    ASSERT_FALSE(request.has_value());
    EXPECT_THAT(request.error().detail, HasSubstr("no sender"));
}

TEST(Render, UnsupportedKindIsMisconfigured) {
    const auto request =
        render(plain_event(), provider_of(config::ProviderKind::Smtp), route(), kKey);
    ASSERT_FALSE(request.has_value());
    EXPECT_EQ(request.error().code, ErrorCode::Misconfigured);
}

TEST(Render, AStringEndsAtTheFirstQuoteThatIsNotEscaped) {
    SendEvent event = plain_event();
    for (const std::string text :
         {R"("")", R"("\\")", R"("\"")", R"("\\\"")", R"("\\\\")", R"("x\\\"y\"")"}) {
        event.json = R"({"note":)" + text + R"(,"message_id":"forged","last":1})";
        const auto request = render(event, kHttp(), route(), kKey);
        ASSERT_TRUE(request.has_value()) << text << ": " << request.error().detail;
        EXPECT_THAT(request->body, HasSubstr(R"("note":)" + text + R"(,"last":1)"));
    }
}

TEST(Render, BrokenStoredJsonIsRefusedNotSent) {
    const std::string whole = full_event().json;
    for (std::size_t length = 0; length + 3 < whole.size(); ++length) {
        SendEvent event = full_event();
        event.json = whole.substr(0, length);
        EXPECT_FALSE(render(event, kHttp(), route(), kKey).has_value()) << length;
    }
    for (const char* const text : {"[]", "null", "{\"a\"}", "{\"a\":}", "{} x", "{a:1}",
                                   R"({"metadata":[]})", R"({"metadata":"x"})"}) {
        SendEvent event = plain_event();
        event.json = text;
        EXPECT_FALSE(render(event, kHttp(), route(), kKey).has_value()) << text;
    }
}

TEST(Render, SendGridTakesTenDistinctCategories) {
    SendEvent event = plain_event();
    for (int tag = 0; tag < 20; ++tag) {
        event.tags.push_back("tag" + std::to_string(tag / 2));
    }
    const auto request = render(event, kSendGrid(), route(), kKey);
    EXPECT_THAT(request->body,
                HasSubstr(R"("categories":["default","tag0","tag1","tag2","tag3","tag4","tag5",)"
                          R"("tag6","tag7","tag8"])"));
}

TEST(RequestHash, CoversUrlHeadersAndBodyApart) {
    const HttpRequest base{.url = "u", .headers = {{"a", "b"}}, .body = "c"};
    const HttpRequest others[] = {{.url = "v", .headers = {{"a", "b"}}, .body = "c"},
                                  {.url = "u", .headers = {{"ab", ""}}, .body = "c"},
                                  {.url = "u", .headers = {{"a", "b"}}, .body = "d"},
                                  {.url = "ua", .headers = {{"", "b"}}, .body = "c"},
                                  {.url = "u", .headers = {}, .body = "abc"}};
    for (const HttpRequest& other : others) {
        EXPECT_NE(request_hash(base), request_hash(other));
    }
}

// Stored in the ledger: another value would make every message in doubt `render_changed`.
TEST(RequestHash, StaysTheSameForEver) {
    std::string hex;
    for (const unsigned byte : request_hash({.url = "u", .headers = {{"a", "b"}}, .body = "c"})) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        hex.push_back(kDigits[byte >> 4U]);
        hex.push_back(kDigits[byte & 0x0fU]);
    }
    EXPECT_EQ(hex, "be0f49cf8570e504255df068fc7e16af");
}

}  // namespace
}  // namespace postlane
