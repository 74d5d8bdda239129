#include "codec/decode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/encode.h"
#include "decode_support.h"

namespace postlane {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

class Decode : public testing::Test {
protected:
    // One partition: every key belongs to it.
    tl::expected<SendEvent, Rejection> decode(const InputRecord& record) {
        return Decoder{config_, 1}.send(record, 0);
    }
    SendEvent must(std::string json) {
        auto event = decode(record_of(std::move(json)));
        if (!event) {
            ADD_FAILURE() << to_string(event.error().reason) << " " << event.error().detail;
            return {};
        }
        return *event;
    }
    Config config_ = decode_config();
};

TEST_F(Decode, EveryFieldArrives) {
    const std::string json = R"({
      "message_id": "welcome-2-user-123", "campaign_id": "spring-sale", "recipient_id": "user-123",
      "to": {"email": "Ann@Example.com", "name": "Ann"}, "category": " Marketing ",
      "sequence": {"id": "Onboarding", "step": 2}, "send_at": "2026-12-01T10:00:00+01:00",
      "delay_after_previous_ms": 259200000, "expires_at": "2026-12-02T09:00:00Z",
      "route": "BARE", "from": {"email": "hi@shop.example", "name": "Shop"},
      "reply_to": {"email": "re@shop.example"},
      "template": {"id": "d-123", "data": { "first_name": "Ann", "price": 10.00 }},
      "headers": {"X-Campaign": "spring"}, "tags": ["spring", "sale"],
      "metadata": {"order": "42", "n": 10.00, "o": { "a": [1, " b "] }, "z": null},
      "unsubscribe_url": "https://shop.example/u/opaque-token", "future_field": [1]})";
    const SendEvent event = must(json);
    EXPECT_EQ(event.recipient_id.value(), "user-123");
    EXPECT_TRUE(event.recipient_id_given);
    EXPECT_EQ(event.message_id.value(), "welcome-2-user-123");
    EXPECT_TRUE(event.message_id_given);
    EXPECT_EQ(event.campaign_id, "spring-sale");
    EXPECT_EQ(event.to.email, "Ann@Example.com");
    EXPECT_EQ(event.to.name, "Ann");
    EXPECT_EQ(event.address.value(), "ann@example.com");
    EXPECT_EQ(event.category, "marketing");
    EXPECT_EQ(event.sequence, (SequenceRef{"onboarding", 2}));
    EXPECT_EQ(format_time(event.send_at.value()), "2026-12-01T09:00:00.000Z");
    EXPECT_EQ(event.delay_after_previous, Millis{259200000});
    EXPECT_EQ(format_time(event.expires_at.value()), "2026-12-02T09:00:00.000Z");
    EXPECT_EQ(event.route, "bare");
    EXPECT_EQ(event.from.value().name, "Shop");
    EXPECT_EQ(event.reply_to.value().email, "re@shop.example");
    EXPECT_EQ(event.templated.value().id, "d-123");
    EXPECT_EQ(event.templated.value().data_json, R"({ "first_name": "Ann", "price": 10.00 })");
    EXPECT_FALSE(event.content.has_value());
    EXPECT_THAT(event.headers, ElementsAre(Pair("X-Campaign", "spring")));
    EXPECT_THAT(event.tags, ElementsAre("spring", "sale"));
    EXPECT_THAT(event.metadata, ElementsAre(Pair("order", "42"), Pair("n", "10.00"),
                                            Pair("o", R"({"a":[1," b "]})"), Pair("z", "null")));
    EXPECT_EQ(event.unsubscribe_url, "https://shop.example/u/opaque-token");
    EXPECT_EQ(event.json, json);
}

TEST_F(Decode, WhatIsLeftOutHasDefaults) {
    const SendEvent event = must(event_json(R"("campaign_id":"c")", kId));
    EXPECT_EQ(event.category, "default");
    EXPECT_EQ(event.route, "default");
    EXPECT_EQ(event.message_id.value(), "campaign:c");
    EXPECT_FALSE(event.message_id_given);
    EXPECT_FALSE(event.recipient_id_given);
    EXPECT_FALSE(event.from.has_value());
    EXPECT_FALSE(event.sequence.has_value());
    EXPECT_FALSE(event.send_at.has_value());
    EXPECT_EQ(event.content.value().html, "");
}

TEST_F(Decode, NullCountsAsAbsent) {
    const SendEvent event = must(event_json(
        R"("message_id":null,"campaign_id":"c","recipient_id":null,"category":null,"sequence":null,
           "send_at":null,"delay_after_previous_ms":null,"expires_at":null,"route":null,"from":null,
           "reply_to":null,"template":null,"headers":null,"tags":null,"metadata":null,
           "unsubscribe_url":null)",
        kId));
    EXPECT_EQ(event.message_id.value(), "campaign:c");
    EXPECT_EQ(event.category, "default");
}

struct IdRow {
    std::string name;
    std::string members;
    std::string message_id;
};
void PrintTo(const IdRow& row, std::ostream* out) {
    *out << row.name;
}
class DefaultId : public Decode, public testing::WithParamInterface<IdRow> {};

TEST_P(DefaultId, FollowsTheContract) {
    EXPECT_EQ(must(event_json(GetParam().members, kId)).message_id.value(), GetParam().message_id);
}

INSTANTIATE_TEST_SUITE_P(
    Table, DefaultId,
    testing::Values(IdRow{"Campaign", R"("campaign_id":"Spring")", "campaign:Spring"},
                    IdRow{"Sequence", R"("sequence":{"id":" DRIP ","step":3})", "sequence:drip:3"},
                    IdRow{"Both", R"("campaign_id":"c","sequence":{"id":"drip","step":1})",
                          "campaign:c:sequence:drip:1"},
                    IdRow{"Given", R"("message_id":" x ","campaign_id":"c")", " x "}),
    [](const auto& row) { return row.param.name; });

TEST_F(Decode, RecordChecksComeInTheirOrder) {
    config_.dispatch.max_payload_bytes = 10;
    Decoder decoder{config_, 8};
    const PartitionId home = partition_for("user-123", 8, config::Partitioner::Murmur2);
    const auto reason = [&](const InputRecord& record, PartitionId partition) {
        return decoder.send(record, partition).error().reason;
    };
    InputRecord record = record_of("not JSON, and too long");
    EXPECT_EQ(reason(record, home), Reason::TooLarge);
    EXPECT_EQ(reason(record, home + 1), Reason::MisroutedKey);
    record.key = "";
    EXPECT_EQ(reason(record, home), Reason::MissingKey);
    record.key.reset();
    EXPECT_EQ(reason(record, home), Reason::MissingKey);
    EXPECT_EQ(reason(record_of("not JSON"), home), Reason::MalformedJson);
    EXPECT_EQ(reason(record_of("[1]"), home), Reason::InvalidField);
}

TEST_F(Decode, ThePayloadLimitIsInclusive) {
    const std::string json = event_json("");
    config_.dispatch.max_payload_bytes = json.size();
    EXPECT_TRUE(decode(record_of(json)).has_value());
    EXPECT_EQ(decode(record_of(json + " ")).error().reason, Reason::TooLarge);
}

// The ledger keeps them beside the value, so a record must not be able to outgrow the ledger topic through them.
TEST_F(Decode, HeadersOfTheRecordAreLimitedToo) {
    InputRecord record = record_of(event_json(""));
    record.headers.push_back({"trace", std::string(32 * 1024 - 13, 'x')});
    EXPECT_TRUE(decode(record).has_value());
    record.headers.push_back({"one-more", std::nullopt});
    EXPECT_EQ(decode(record).error().reason, Reason::TooLarge);
    record.headers.assign(4'097, Header{});
    EXPECT_EQ(decode(record).error().reason, Reason::TooLarge);
}

TEST_F(Decode, ConfluentFramingIsStripped) {
    const SendEvent event = must(std::string("\0\0\0\0\7", 5) + event_json(""));
    EXPECT_EQ(event.json, event_json(""));
}

TEST_F(Decode, CloudEventsHeadersAreAccepted) {
    InputRecord record = record_of(event_json(""));
    record.headers = {
        {"ce_specversion", "1.0"}, {"ce_type", "send"}, {"content-type", "application/json"}};
    EXPECT_TRUE(decode(record).has_value());
}

TEST_F(Decode, AnEnvelopeIsNamedAsSuch) {
    const auto event = decode(record_of(R"({"specversion":"1.0","type":"x","data":{}})"));
    EXPECT_EQ(event.error().reason, Reason::InvalidField);
    EXPECT_THAT(event.error().detail, HasSubstr("CloudEvents"));
}

struct Row {
    std::string name;
    std::string value;
    Reason reason;
    std::string field;  // what the explanation begins with
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

class Rejected : public Decode, public testing::WithParamInterface<Row> {};

TEST_P(Rejected, WithItsReasonAndItsField) {
    const auto event = decode(record_of(GetParam().value));
    ASSERT_FALSE(event.has_value());
    EXPECT_EQ(event.error().reason, GetParam().reason) << event.error().detail;
    EXPECT_THAT(event.error().detail, testing::StartsWith(GetParam().field + ":"));
    EXPECT_THAT(event.error().detail, Not(HasSubstr("secret")));
    // Only where everything else was understood is it known which message this is.
    const bool understood =
        GetParam().reason == Reason::KeyMismatch || GetParam().reason == Reason::UnknownRoute;
    ASSERT_EQ(event.error().message.has_value(), understood);
    if (understood) {
        EXPECT_FALSE(event.error().message->id.value().empty());
        EXPECT_NE(event.error().message->route, "secret") << "not a configured name";
    }
}

std::string nested(std::size_t depth) {
    return std::string(depth, '[') + std::string(depth, ']');
}
std::string text_of(std::size_t length) {
    return std::string(length, 'x');
}
Row malformed(std::string name, std::string value) {
    return {std::move(name), std::move(value), Reason::MalformedJson, "value"};
}
Row field(std::string name, std::string field, std::string_view members,
          std::string_view without = "") {
    return {std::move(name), event_json(members, without), Reason::InvalidField, std::move(field)};
}
std::string name_of(const testing::TestParamInfo<Row>& row) {
    return row.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Malformed, Rejected,
    testing::Values(malformed("Empty", ""), malformed("Blank", " \n"), malformed("Word", "hello"),
                    malformed("Bom", "\xef\xbb\xbf" + event_json("")),
                    malformed("Trailing", event_json("") + "x"),
                    malformed("TwoDocuments", event_json("") + event_json("")),
                    malformed("Comment", "// x\n" + event_json("")),
                    malformed("CommentInside", event_json("/*x*/")),
                    malformed("TrailingComma", R"({"a":1,})"), malformed("SingleQuotes", "{'a':1}"),
                    malformed("Truncated", R"({"to":{"email":"sec)"),
                    malformed("BadUtf8", "{\"a\":\"\xff\"}"),
                    malformed("Cesu", "{\"a\":\"\xed\xa0\x80\"}"),
                    malformed("RawNewLine", "{\"a\":\"x\ny\"}"),
                    malformed("LoneHighSurrogate", event_json(R"("x":"\ud83d")")),
                    malformed("LoneLowSurrogate", event_json(R"("x":"\udc00")")),
                    malformed("HighThenNoLow", event_json(R"("x":"\ud83d\ue000")")),
                    malformed("LoneSurrogateKey", event_json(R"("\udc00":1)")),
                    malformed("BadEscape", R"({"a":"\x"})"),
                    malformed("DeepArray", event_json("\"x\":" + nested(64))),
                    malformed("DepthBomb", nested(100'000)),
                    malformed("OpenDepthBomb", std::string(100'000, '[')),
                    malformed("HugeInteger", event_json(R"("x":18446744073709551616)")),
                    malformed("HugeDouble", event_json(R"("x":1e400)")),
                    malformed("LeadingZero", event_json(R"("x":01)")),
                    malformed("NaN", event_json(R"("x":NaN)")),
                    malformed("Twice", event_json(R"("to":{"email":"b@example.com"})")),
                    malformed("TwiceEscaped", event_json(R"("\u0074o":{"email":"b@example.com"})")),
                    malformed("TwiceInside", event_json(R"("x":[{"secret":1,"secret":1}])")),
                    malformed("FramingOnly", std::string("\0\0\0\0\1", 5)),
                    malformed("ShortFraming", std::string("\0\0", 2)),
                    malformed("AvroLike", std::string("\0\0\0\0\1\x0cuser", 10)),
                    malformed("Utf16", std::string("{\0\"\0", 4))),
    name_of);

INSTANTIATE_TEST_SUITE_P(NoObject, Rejected,
                         testing::Values(Row{"Array", "[]", Reason::InvalidField, "value"},
                                         Row{"Null", "null", Reason::InvalidField, "value"},
                                         Row{"Text", "\"x\"", Reason::InvalidField, "value"},
                                         Row{"Number", "7", Reason::InvalidField, "value"}),
                         name_of);

INSTANTIATE_TEST_SUITE_P(
    KeyAndRoute, Rejected,
    testing::Values(
        Row{"OtherRecipient", event_json(R"("recipient_id":"secret")"), Reason::KeyMismatch,
            "recipient_id"},
        Row{"RecipientCase", event_json(R"("recipient_id":"User-123")"), Reason::KeyMismatch,
            "recipient_id"},
        Row{"InvalidBeforeMismatch", event_json(R"("recipient_id":"secret","category":"?")"),
            Reason::InvalidField, "category"},
        Row{"MismatchBeforeRoute", event_json(R"("recipient_id":"secret","route":"secret")"),
            Reason::KeyMismatch, "recipient_id"},
        Row{"UnknownRoute", event_json(R"("route":"secret")"), Reason::UnknownRoute, "route"},
        field("FromNeeded", "from", R"("route":"bare")")),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Ids, Rejected,
    testing::Values(
        field("MessageIdEmpty", "message_id", R"("message_id":"")", kId),
        field("MessageIdNumber", "message_id", R"("message_id":1)", kId),
        field("MessageIdLong", "message_id", "\"message_id\":\"" + text_of(513) + "\"", kId),
        field("MessageIdMissing", "message_id", "", kId),
        field("RecipientNumber", "recipient_id", R"("recipient_id":123)"),
        field("RecipientEmpty", "recipient_id", R"("recipient_id":"")"),
        field("CampaignEmpty", "campaign_id", R"("campaign_id":"")"),
        field("CampaignLong", "campaign_id", "\"campaign_id\":\"" + text_of(257) + "\""),
        field("CampaignNewLine", "campaign_id", R"("campaign_id":"a\nb")"),
        field("CategoryNumber", "category", R"("category":7)"),
        field("CategoryBad", "category", R"("category":"a b")"),
        field("CategoryEmpty", "category", R"("category":"")"),
        field("RouteBad", "route", R"("route":"a/b")")),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Mailboxes, Rejected,
    testing::Values(
        field("ToMissing", "to", "", kTo), field("ToNull", "to", R"("to":null)", kTo),
        field("ToText", "to", R"("to":"secret@example.com")", kTo),
        field("ToArray", "to", R"("to":[{"email":"secret@example.com"}])", kTo),
        field("ToNoEmail", "to.email", R"("to":{"name":"x"})", kTo),
        field("ToBadEmail", "to.email", R"("to":{"email":"secret"})", kTo),
        field("ToInjection", "to.email",
              R"("to":{"email":"secret@example.com\r\nBcc: a@example.com"})", kTo),
        field("ToNul", "to.email", R"("to":{"email":"a@example.com\u0000"})", kTo),
        field("ToName", "to.name", R"("to":{"email":"a@example.com","name":"a\nBcc: x"})", kTo),
        field("ToNameNumber", "to.name", R"("to":{"email":"a@example.com","name":1})", kTo),
        field("ToNameLong", "to.name",
              R"("to":{"email":"a@example.com","name":")" + text_of(257) + "\"}", kTo),
        field("FromBad", "from.email", R"("from":{"email":"x"})"),
        field("ReplyToBad", "reply_to.email",
              R"("reply_to":{"email":"a@example.com,b@example.com"})")),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    SequenceAndTimes, Rejected,
    testing::Values(
        field("SequenceText", "sequence", R"("sequence":"x")"),
        field("SequenceNoId", "sequence.id", R"("sequence":{"step":1})"),
        field("SequenceBadId", "sequence.id", R"("sequence":{"id":"a b","step":1})"),
        field("SequenceNoStep", "sequence.step", R"("sequence":{"id":"x"})"),
        field("StepZero", "sequence.step", R"("sequence":{"id":"x","step":0})"),
        field("StepNegative", "sequence.step", R"("sequence":{"id":"x","step":-1})"),
        field("StepFraction", "sequence.step", R"("sequence":{"id":"x","step":1.5})"),
        field("StepText", "sequence.step", R"("sequence":{"id":"x","step":"1"})"),
        field("StepBool", "sequence.step", R"("sequence":{"id":"x","step":true})"),
        field("StepBig", "sequence.step", R"("sequence":{"id":"x","step":9007199254740993})"),
        field("StepHuge", "sequence.step", R"("sequence":{"id":"x","step":18446744073709551615})"),
        field("DelayAlone", "delay_after_previous_ms", R"("delay_after_previous_ms":1)"),
        field("DelayNegative", "delay_after_previous_ms",
              R"("sequence":{"id":"x","step":1},"delay_after_previous_ms":-1)"),
        field("DelayFraction", "delay_after_previous_ms",
              R"("sequence":{"id":"x","step":1},"delay_after_previous_ms":0.5)"),
        field("DelayLong", "delay_after_previous_ms",
              R"("sequence":{"id":"x","step":1},"delay_after_previous_ms":315360000001)"),
        field("SendAtLocal", "send_at", R"("send_at":"2026-12-01T09:00:00")"),
        field("SendAtNumber", "send_at", R"("send_at":1764579600)"),
        field("ExpiresAtWord", "expires_at", R"("expires_at":"never")")),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Body, Rejected,
    testing::Values(
        field("Neither", "template", "", kContent),
        field("Both", "content", R"("template":{"id":"x"})"),
        field("TemplateText", "template", R"("template":"x")", kContent),
        field("TemplateNoId", "template.id", R"("template":{"data":{}})", kContent),
        field("TemplateIdNewLine", "template.id", R"("template":{"id":"a\r"})", kContent),
        field("TemplateDataArray", "template.data", R"("template":{"id":"x","data":[]})", kContent),
        field("NoSubject", "content.subject", R"("content":{"text":"t"})", kContent),
        field("EmptySubject", "content.subject", R"("content":{"subject":"","text":"t"})",
              kContent),
        field("SubjectNewLine", "content.subject",
              R"("content":{"subject":"a\nBcc: x","text":"t"})", kContent),
        field("SubjectNul", "content.subject", R"("content":{"subject":"a\u0000","text":"t"})",
              kContent),
        field("SubjectLong", "content.subject",
              "\"content\":{\"subject\":\"" + text_of(999) + "\",\"text\":\"t\"}", kContent),
        field("NoText", "content", R"("content":{"subject":"s"})", kContent),
        field("EmptyText", "content", R"("content":{"subject":"s","text":"","html":""})", kContent),
        field("TextNul", "content.text", R"("content":{"subject":"s","text":"a\u0000"})", kContent),
        field("HtmlNumber", "content.html", R"("content":{"subject":"s","html":1})", kContent)),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    HeadersAndTags, Rejected,
    testing::Values(
        field("HeadersArray", "headers", R"("headers":[])"),
        field("HeaderBlank", "headers", R"("headers":{"X A":"1"})"),
        field("HeaderColon", "headers", R"("headers":{"X:":"1"})"),
        field("HeaderEmptyName", "headers", R"("headers":{"":"1"})"),
        field("HeaderNameNewLine", "headers", R"("headers":{"X\r\nBcc":"1"})"),
        field("HeaderNameBeyondAscii", "headers", "\"headers\":{\"X-\xc3\xa9\":\"1\"}"),
        field("HeaderNameLong", "headers", "\"headers\":{\"" + text_of(77) + "\":\"1\"}"),
        field("HeaderValueNewLine", "headers (a value)", R"("headers":{"X-A":"a\r\nBcc: b"})"),
        field("HeaderValueNumber", "headers (a value)", R"("headers":{"X-A":1})"),
        field("HeaderValueNull", "headers (a value)", R"("headers":{"X-A":null})"),
        field("HeaderValueLong", "headers (a value)",
              "\"headers\":{\"X-A\":\"" + text_of(999) + "\"}"),
        field("HeaderTwice", "headers", R"("headers":{"X-A":"1","x-a":"2"})"),
        field("HeaderTo", "headers", R"("headers":{"TO":"x"})"),
        field("HeaderBcc", "headers", R"("headers":{"bcc":"x"})"),
        field("HeaderFrom", "headers", R"("headers":{"From":"x"})"),
        field("HeaderSubject", "headers", R"("headers":{"Subject":"x"})"),
        field("HeaderContentType", "headers", R"("headers":{"Content-Type":"x"})"),
        field("HeaderDkim", "headers", R"("headers":{"DKIM-Signature":"x"})"),
        field("HeaderSmtpApi", "headers", R"("headers":{"X-SMTPAPI":"x"})"),
        field("HeaderUnsubscribe", "headers",
              R"("headers":{"List-Unsubscribe":"x"},"unsubscribe_url":"https://a.example/")"),
        field("TagsText", "tags", R"("tags":"x")"),
        field("TagNumber", "tags (an item)", R"("tags":[1])"),
        field("TagEmpty", "tags (an item)", R"("tags":[""])"),
        field("TagNewLine", "tags (an item)", R"("tags":["a\nb"])"),
        field("TagLong", "tags (an item)", "\"tags\":[\"" + text_of(129) + "\"]"),
        field("TagsMany", "tags", R"("tags":["1","2","3","4","5","6","7","8","9","10","11"])"),
        field("MetadataArray", "metadata", R"("metadata":[])"),
        field("MetadataNoKey", "metadata", R"("metadata":{"":"x"})"),
        field("MetadataKeyNewLine", "metadata", R"("metadata":{"a\nb":"x"})"),
        field("MetadataNewLine", "metadata (a value)", R"("metadata":{"a":"x\r\n"})"),
        field("MetadataOurs", "metadata", R"("metadata":{"postlane_id":"x"})"),
        field("MetadataLarge", "metadata",
              "\"metadata\":{\"a\":\"" + text_of(6000) + "\",\"b\":\"" + text_of(6000) + "\"}"),
        field("UrlHttp", "unsubscribe_url", R"("unsubscribe_url":"http://a.example/secret")"),
        field("UrlMailto", "unsubscribe_url", R"("unsubscribe_url":"mailto:secret@a.example")"),
        field("UrlNoHost", "unsubscribe_url", R"("unsubscribe_url":"https:///x")"),
        field("UrlOnlyScheme", "unsubscribe_url", R"("unsubscribe_url":"https://")"),
        field("UrlUser", "unsubscribe_url", R"("unsubscribe_url":"https://secret@a.example/")"),
        field("UrlBlank", "unsubscribe_url", R"("unsubscribe_url":"https://a.example/a b")"),
        field("UrlAngle", "unsubscribe_url",
              R"("unsubscribe_url":"https://a.example/>,<mailto:x@y>")"),
        field("UrlNewLine", "unsubscribe_url",
              R"("unsubscribe_url":"https://a.example/\r\nBcc: x")"),
        field("UrlBeyondAscii", "unsubscribe_url",
              "\"unsubscribe_url\":\"https://a.example/\xc3\xa9\""),
        field("UrlEmpty", "unsubscribe_url", R"("unsubscribe_url":"")"),
        field("UrlLong", "unsubscribe_url",
              "\"unsubscribe_url\":\"https://a.example/" + text_of(900) + "\"")),
    name_of);

TEST_F(Decode, TheKeyMustBeAnId) {
    EXPECT_EQ(decode(record_of(event_json(""), "\xff")).error().detail.substr(0, 4), "key:");
    EXPECT_EQ(decode(record_of(event_json(""), text_of(513))).error().reason, Reason::InvalidField);
    EXPECT_TRUE(decode(record_of(event_json(""), text_of(512))).has_value());
}

struct GoodRow {
    std::string name;
    std::string value;
};
void PrintTo(const GoodRow& row, std::ostream* out) {
    *out << row.name;
}
class Accepted : public Decode, public testing::WithParamInterface<GoodRow> {};
TEST_P(Accepted, AsItStands) {
    must(GetParam().value);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Accepted,
    testing::Values(
        GoodRow{"LongestMessageId", event_json("\"message_id\":\"" + text_of(512) + "\"", kId)},
        GoodRow{"AnyBytesInMessageId", event_json(R"("message_id":"a\n\u0000b")", kId)},
        GoodRow{"SurrogatePair", event_json(R"("x":"\ud83d\udce7")")},
        GoodRow{"DepthAtTheLimit", event_json("\"x\":" + nested(63))},
        GoodRow{"LargestInteger", event_json(R"("x":18446744073709551615)")},
        GoodRow{"StepMax", event_json(R"("sequence":{"id":"x","step":9007199254740992})")},
        GoodRow{"StepAsWholeDouble", event_json(R"("sequence":{"id":"x","step":2.0})")},
        GoodRow{
            "DelayMax",
            event_json(R"("sequence":{"id":"x","step":1},"delay_after_previous_ms":315360000000)")},
        GoodRow{"TabInSubject",
                event_json(R"("content":{"subject":"a\tb","html":"<p>\r\n</p>"})", kContent)},
        GoodRow{"OwnListUnsubscribe",
                event_json(R"("headers":{"List-Unsubscribe":"<mailto:u@shop.example>"})")},
        GoodRow{"Threading",
                event_json(R"("headers":{"In-Reply-To":"<a@b>","References":"<a@b>"})")},
        GoodRow{"UrlInCapitals",
                event_json(R"("unsubscribe_url":"HTTPS://a.example:8443/u?t=1#x")")},
        GoodRow{"RouteWithoutFrom",
                event_json(R"("route":"bare","from":{"email":"a@example.com"})")},
        GoodRow{"WhiteSpaceAround", " \n" + event_json("") + "\r\n"}),
    [](const auto& row) { return row.param.name; });

TEST_F(Decode, ARawValueIsFoundWhereverItStands) {
    const SendEvent event = must(event_json(
        R"("x":"}\"{[","y":[{"a":"]"}],
           "t\u0065mplate" : { "z":"\\","data" :{"q":"\"}"} ,"id":"i"})",
        kContent));
    EXPECT_EQ(event.templated.value().data_json, R"({"q":"\"}"})");
}

TEST_F(Decode, TheRouteIsNotAskedForOfAStoredMessage) {
    Decoder decoder{config_, 8};
    const Payload payload{
        kRecordTime, event_json(R"("route":"gone","recipient_id":"elsewhere")"), {}};
    const auto event = decoder.stored(RecipientId{"user-123"}, payload);
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->recipient_id.value(), "user-123");
    EXPECT_EQ(event->route, "gone");
    EXPECT_EQ(decoder.stored(RecipientId{"x"}, Payload{}).error().reason, Reason::MalformedJson);
}

TEST_F(Decode, ADecoderMayBeUsedAgainAfterAnything) {
    Decoder decoder{config_, 1};
    const std::string large = event_json("\"x\":\"" + text_of(200'000) + "\"");
    for (int i = 0; i < 3; ++i) {
        EXPECT_TRUE(decoder.send(record_of(event_json("")), 0).has_value());
        EXPECT_FALSE(decoder.send(record_of("{"), 0).has_value());
        EXPECT_TRUE(decoder.send(record_of(large), 0).has_value());
        EXPECT_EQ(decoder.send(record_of(nested(70)), 0).error().detail,
                  "value: nested deeper than 64 levels");
    }
}

}  // namespace
}  // namespace postlane
