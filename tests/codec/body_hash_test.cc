#include "codec/body_hash.h"

#include <gtest/gtest.h>

#include "decode_support.h"

namespace postlane {
namespace {

Hash128 hash_of(const std::string& json) {
    const Config config = decode_config();
    const auto event = Decoder{config, 1}.send(record_of(json), 0);
    EXPECT_TRUE(event.has_value()) << json << event.error().detail;
    return event ? event->body_hash : Hash128{};
}
std::string templated(std::string_view data) {
    return event_json(R"("template":{"id":"t","data":)" + std::string{data} + "}", kContent);
}

struct Row {
    std::string name;
    std::string one;
    std::string other;
    bool same;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}
class BodyHash : public testing::TestWithParam<Row> {};

TEST_P(BodyHash, SeesWhatTheContractNames) {
    EXPECT_EQ(hash_of(GetParam().one) == hash_of(GetParam().other), GetParam().same);
}

const std::string kBase = event_json("");
std::string moved() {
    return R"({ "content":{"text":"t","subject":"s"} , "message_id":"m-1",
               "to":{"\u0065mail":"ann@example.com"}})";
}

INSTANTIATE_TEST_SUITE_P(
    Table, BodyHash,
    testing::Values(
        Row{"KeyOrderAndSpace", kBase, moved(), true},
        Row{"Defaults", kBase, event_json(R"("category":"Default","reply_to":null)"), true},
        Row{"EmptyName", kBase, event_json(R"("to":{"email":"ann@example.com","name":""})", kTo),
            true},
        Row{"MessageId", kBase, event_json(R"("message_id":"other")", kId), true},
        Row{"Tags", kBase, event_json(R"("tags":["x"],"metadata":{"a":"b"})"), true},
        Row{"Times", kBase,
            event_json(R"("send_at":"2026-12-01T09:00:00Z","expires_at":"2027-12-01T09:00:00Z")"),
            true},
        Row{"DataOrder", templated(R"({"a":1,"b":[true,null]})"),
            templated(R"({ "b":[true , null],"a":1.0})"), true},
        Row{"EmptyData", templated("{}"), event_json(R"("template":{"id":"t"})", kContent), true},
        Row{"HeaderOrder", event_json(R"("headers":{"X-A":"1","X-B":"2"})"),
            event_json(R"("headers":{"X-B":"2","X-A":"1"})"), true},
        Row{"To", kBase, event_json(R"("to":{"email":"Ann@example.com"})", kTo), false},
        Row{"ToName", kBase, event_json(R"("to":{"email":"ann@example.com","name":"Ann"})", kTo),
            false},
        Row{"From", kBase, event_json(R"("from":{"email":"a@example.com"})"), false},
        Row{"FromIsNotReplyTo", event_json(R"("from":{"email":"a@example.com"})"),
            event_json(R"("reply_to":{"email":"a@example.com"})"), false},
        Row{"Subject", kBase, event_json(R"("content":{"subject":"S","text":"t"})", kContent),
            false},
        Row{"TextIsNotHtml", kBase, event_json(R"("content":{"subject":"s","html":"t"})", kContent),
            false},
        Row{"Headers", kBase, event_json(R"("headers":{"X-A":"1"})"), false},
        Row{"Url", kBase, event_json(R"("unsubscribe_url":"https://a.example/")"), false},
        Row{"Category", kBase, event_json(R"("category":"marketing")"), false},
        Row{"Step", event_json(R"("sequence":{"id":"x","step":1})"),
            event_json(R"("sequence":{"id":"x","step":2})"), false},
        Row{"DataNumber", templated(R"({"a":1})"), templated(R"({"a":2})"), false},
        Row{"DataType", templated(R"({"a":1})"), templated(R"({"a":"1"})"), false},
        Row{"DataNull", templated(R"({"a":null})"), templated("{}"), false},
        Row{"DataArrayOrder", templated(R"({"a":[1,2]})"), templated(R"({"a":[2,1]})"), false},
        Row{"DataNesting", templated(R"({"a":[1],"b":2})"), templated(R"({"a":[1,2],"b":2})"),
            false}),
    [](const auto& row) { return row.param.name; });

// The hash lies in ledgers. If this fails, every redelivery after an upgrade is a payload_conflict.
TEST(BodyHash, NeverChanges) {
    const Hash128 hash = hash_of(event_json(
        R"("from":{"email":"a@example.com","name":"A"},"sequence":{"id":"x","step":2},
           "template":{"id":"t","data":{"n":[1,-2.5,18446744073709551615,"é",true,null]}},
           "headers":{"X-B":"2","X-A":"1"},"unsubscribe_url":"https://a.example/u")",
        kContent));
    std::string hex;
    for (const std::uint8_t byte : hash) {
        constexpr std::string_view kDigits = "0123456789abcdef";
        hex += kDigits[byte >> 4U];
        hex += kDigits[byte & 15U];
    }
    EXPECT_EQ(hex, "b71a037518f90add98ff4cae7ef625a1");
}

}  // namespace
}  // namespace postlane
