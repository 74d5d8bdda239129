#include "codec/encode.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>

#include "decode_support.h"

namespace postlane {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

// A file of samples for tests/codec/test_schemas.py, if it asked for one.
void show(const OutRecord& record) {
    if (const char* path = std::getenv("POSTLANE_TEST_SAMPLES")) {
        std::ofstream{path, std::ios::app} << record.value.value() << '\n';
    }
}

class Encode : public testing::Test {
protected:
    std::string outcome(const OutcomeRecord& record,
                        const std::optional<std::string>& key = "user-123") {
        const OutRecord out = encode_outcome(config_, 3, record, key);
        show(out);
        return out.value.value();
    }
    static std::map<std::string, std::string> headers(const OutRecord& record) {
        std::map<std::string, std::string> result;
        for (const Header& header : record.headers) {
            EXPECT_TRUE(result.emplace(header.name, header.value.value_or("")).second)
                << header.name << " twice";
        }
        return result;
    }
    Config config_ = decode_config();
};

OutcomeRecord sent() {
    OutcomeRecord record;
    record.outcome = Outcome::Sent;
    record.reason = Reason::Accepted;
    record.recipient_id = RecipientId{"user-123"};
    record.message_id = MessageId{"m-1"};
    record.campaign_id = "spring-sale";
    record.sequence = SequenceRef{"onboarding", 2};
    record.category = "marketing";
    record.route = "default";
    record.provider = "ses-eu";
    record.provider_message_id = "0102-x";
    record.attempts = 1;
    record.input_offset = 88123;
    record.received_at = kRecordTime;
    record.decided_at = kRecordTime + Millis{1};
    return record;
}

TEST_F(Encode, AnOutcomeIsTheContractsJson) {
    EXPECT_EQ(
        outcome(sent()),
        R"({"type":"outcome","outcome":"sent","reason":"accepted","recipient_id":"user-123",)"
        R"("message_id":"m-1","campaign_id":"spring-sale","sequence":{"id":"onboarding","step":2},)"
        R"("category":"marketing","route":"default","provider":"ses-eu",)"
        R"("provider_message_id":"0102-x",)"
        R"("idempotency_key":"E43DoGu0TaGUqW6rcprhOyBwGgAMZfYhjjSSkXfEFas","attempts":1,)"
        R"("input":{"topic":"postlane.sends","partition":3,"offset":88123},)"
        R"("received_at":"2025-12-01T09:00:00.000Z","decided_at":"2025-12-01T09:00:00.001Z"})");
}

TEST_F(Encode, WhatIsAbsentIsLeftOut) {
    OutcomeRecord record;
    record.outcome = Outcome::DeadLettered;
    record.reason = Reason::MalformedJson;
    EXPECT_EQ(
        outcome(record),
        R"({"type":"outcome","outcome":"dead_lettered","reason":"malformed_json",)"
        R"("recipient_id":"user-123","attempts":0,)"
        R"("input":{"topic":"postlane.sends","partition":3,"offset":0},)"
        R"("received_at":"1970-01-01T00:00:00.000Z","decided_at":"1970-01-01T00:00:00.000Z"})");
}

TEST_F(Encode, ASuppressionNamesItself) {
    OutcomeRecord record = sent();
    record.outcome = Outcome::SuppressedAtSend;
    record.reason = Reason::Suppressed;
    record.attempts = 0;
    record.checked = CheckedAt::Attempt;
    record.suppression =
        SuppressionHit{Scope{Scope::Kind::Category, "marketing"}, SuppressionReason::Unsubscribe,
                       kRecordTime, SuppressionHit::By::Address};
    record.skipped_steps = {1, 2};
    const std::string json = outcome(record);
    EXPECT_THAT(json, testing::EndsWith(
                          R"("decided_at":"2025-12-01T09:00:00.001Z","checked":"attempt",)"
                          R"("suppression":{"scope":"category:marketing","reason":"unsubscribe",)"
                          R"("occurred_at":"2025-12-01T09:00:00.000Z","by":"address"},)"
                          R"("skipped_steps":[1,2]})"));
    EXPECT_THAT(json, testing::Not(testing::HasSubstr("idempotency_key")));
    record.checked = CheckedAt::Acceptance;
    record.suppression->by = SuppressionHit::By::Recipient;
    EXPECT_THAT(outcome(record), testing::HasSubstr(R"("checked":"acceptance")"));
    EXPECT_THAT(outcome(record), testing::HasSubstr(R"("by":"recipient")"));
}

TEST_F(Encode, ADuplicateNamesItsOriginal) {
    OutcomeRecord record = sent();
    record.outcome = Outcome::Duplicate;
    record.reason = Reason::KnownMessage;
    record.original = OutcomeRecord::Original{88000, MessageState::Sent};
    EXPECT_THAT(outcome(record),
                testing::EndsWith(R"("original":{"input":{"topic":"postlane.sends","partition":3,)"
                                  R"("offset":88000},"state":"sent"}})"));
}

TEST_F(Encode, KeysAreTheRecipientOrElseTheRawKey) {
    OutcomeRecord record = sent();
    EXPECT_EQ(encode_outcome(config_, 3, record, "other").key, "user-123");
    record.recipient_id.reset();
    const OutRecord raw = encode_outcome(config_, 3, record, "\xff");
    EXPECT_EQ(raw.key, "\xff");
    EXPECT_EQ(raw.partition, 3);
    EXPECT_EQ(raw.destination, Destination::Outcomes);
    EXPECT_THAT(raw.value.value(), testing::Not(testing::HasSubstr("recipient_id")));
    EXPECT_EQ(encode_outcome(config_, 3, record, std::nullopt).key, std::nullopt);
}

// Its own size and its size as JSON text together must fit the topic, whatever the key.
TEST_F(Encode, AKeyThatIsNoIdIsLeftOutOnceItIsLong) {
    OutcomeRecord record;
    record.outcome = Outcome::DeadLettered;
    record.reason = Reason::InvalidField;
    const OutRecord whole = encode_outcome(config_, 3, record, std::string(4'096, 'k'));
    EXPECT_EQ(whole.key, std::string(4'096, 'k'));
    EXPECT_THAT(whole.value.value(), testing::HasSubstr("recipient_id"));
    const OutRecord cut = encode_outcome(config_, 3, record, std::string(1'000'000, '\x01'));
    EXPECT_EQ(cut.key, std::nullopt);
    EXPECT_LT(cut.value->size(), 1'000U);
    SuppressionReceipt receipt;
    receipt.result = SuppressionReceipt::Result::Rejected;
    receipt.reason = Reason::InvalidField;
    EXPECT_EQ(encode_receipt(config_, 3, receipt, std::string(4'097, 'k')).key, std::nullopt);
}

TEST_F(Encode, TextIsEscapedAndAlwaysUtf8) {
    OutcomeRecord record = sent();
    record.message_id = MessageId{"a\"\\\n\x01\xc3\xa9"};
    record.provider_message_id = "x\xff";
    const std::string json = outcome(record);
    EXPECT_THAT(json, testing::HasSubstr("\"message_id\":\"a\\\"\\\\\\n\\u0001\xc3\xa9\""));
    EXPECT_THAT(json, testing::HasSubstr(R"("provider_message_id":"x?")"));
}

TEST_F(Encode, AReceiptForEveryResult) {
    SuppressionReceipt receipt;
    receipt.reason = Reason::NewerStands;
    receipt.recipient_id = RecipientId{"user-123"};
    receipt.input_offset = 7;
    receipt.decided_at = kRecordTime;
    using Result = SuppressionReceipt::Result;
    for (const auto& [result, word] :
         {std::pair{Result::Applied, "applied"}, std::pair{Result::Superseded, "superseded"},
          std::pair{Result::Forwarded, "forwarded"}, std::pair{Result::Rejected, "rejected"}}) {
        receipt.result = result;
        const OutRecord out = encode_receipt(config_, 3, receipt, "user-123");
        show(out);
        EXPECT_EQ(out.key, "user-123");
        EXPECT_EQ(out.value, std::string{R"({"type":"suppression","result":")"} + word +
                                 R"(","reason":"newer_stands","recipient_id":"user-123",)"
                                 R"("input":{"topic":"postlane.suppressions","partition":3,)"
                                 R"("offset":7},"decided_at":"2025-12-01T09:00:00.000Z"})");
    }
}

TEST(IdempotencyKey, IsStableOpaqueAndUnambiguous) {
    const auto key = [](std::string_view recipient, std::string_view message) {
        return idempotency_key(RecipientId{std::string{recipient}},
                               MessageId{std::string{message}});
    };
    // SHA-256 of "postlane-id-1", 8 as u64le, "user-123", 3 as u64le, "m-1".
    EXPECT_EQ(key("user-123", "m-1"), "E43DoGu0TaGUqW6rcprhOyBwGgAMZfYhjjSSkXfEFas");
    EXPECT_NE(key("ab", "c"), key("a", "bc"));
    EXPECT_NE(key("a", ""), key("", "a"));
    for (int i = 0; i < 100; ++i) {
        EXPECT_THAT(key("user", std::to_string(i)), testing::MatchesRegex("[A-Za-z0-9_-]{43}"));
    }
}

DeadLetter letter(Reason reason = Reason::InvalidField) {
    DeadLetter dead;
    dead.reason = reason;
    dead.detail = "to.email: not an email address";
    dead.record = record_of("0123456789");
    dead.record.headers = {{"trace", "abc"}, {"empty", std::nullopt}};
    return dead;
}

TEST_F(Encode, ADeadLetterCarriesTheRecordAndItsStory) {
    DeadLetter dead = letter(Reason::GapTimeout);
    dead.attempts = 2;
    dead.message_id = MessageId{"m-1"};
    const OutRecord out = encode_dead_letter(config_, 3, dead, 1'000'000, kRecordTime);
    EXPECT_EQ(out.destination, Destination::DeadLetters);
    EXPECT_EQ(out.partition, 3);
    EXPECT_EQ(out.key, "user-123");
    EXPECT_EQ(out.value, "0123456789");
    EXPECT_EQ(out.timestamp, kRecordTime);
    EXPECT_EQ(out.headers.at(0), (Header{"trace", "abc"}));
    EXPECT_EQ(out.headers.at(1), (Header{"empty", std::nullopt}));
    const std::map<std::string, std::string> expected{
        {"trace", "abc"},
        {"empty", ""},
        {"__connect.errors.topic", "postlane.sends"},
        {"__connect.errors.partition", "3"},
        {"__connect.errors.offset", "88123"},
        {"__connect.errors.stage", "TASK_PUT"},
        {"__connect.errors.exception.class.name", "postlane.gap_timeout"},
        {"__connect.errors.exception.message", "to.email: not an email address"},
        {"postlane.reason", "gap_timeout"},
        {"postlane.attempts", "2"},
        {"postlane.message_id", "m-1"},
    };
    EXPECT_EQ(headers(out), expected);
}

TEST_F(Encode, ADeadLetterOfTheSuppressionsSaysSo) {
    DeadLetter dead = letter();
    dead.from_suppressions = true;
    const auto named = headers(encode_dead_letter(config_, 3, dead, 1'000'000, kRecordTime));
    EXPECT_EQ(named.at("__connect.errors.topic"), "postlane.suppressions");
    EXPECT_EQ(named.at("__connect.errors.stage"), "VALUE_CONVERTER");
    EXPECT_EQ(headers(encode_dead_letter(config_, 3, letter(Reason::MisroutedKey), 1'000'000,
                                         kRecordTime))
                  .at("__connect.errors.stage"),
              "KEY_CONVERTER");
    DeadLetter bad_key = letter(Reason::InvalidField);
    bad_key.detail = "key: must have 1 to 512 bytes of valid UTF-8";
    EXPECT_EQ(headers(encode_dead_letter(config_, 3, bad_key, 1'000'000, kRecordTime))
                  .at("__connect.errors.stage"),
              "KEY_CONVERTER");
}

TEST_F(Encode, AReplayedDeadLetterHasOneStory) {
    DeadLetter dead = letter();
    const OutRecord first = encode_dead_letter(config_, 3, dead, 1'000'000, kRecordTime);
    dead.record.headers = first.headers;
    dead.record.headers.push_back({"postlane.value_omitted", "1"});
    EXPECT_EQ(encode_dead_letter(config_, 3, dead, 1'000'000, kRecordTime).headers, first.headers);
}

TEST_F(Encode, WhatDoesNotFitIsLeftOutInOrder) {
    DeadLetter dead = letter();
    dead.record.value = std::string(100'000, 'v');
    dead.record.headers = {{"trace", std::string(50'000, 'h')}, {"x", "y"}};
    dead.record.key = std::string(20'000, 'k');

    const OutRecord whole = encode_dead_letter(config_, 3, dead, 200'000, kRecordTime);
    EXPECT_TRUE(whole.value.has_value());

    const OutRecord no_value = encode_dead_letter(config_, 3, dead, 90'000, kRecordTime);
    EXPECT_EQ(no_value.value, std::nullopt);
    EXPECT_EQ(headers(no_value).at("postlane.value_omitted"), "100000");
    EXPECT_EQ(headers(no_value).count("trace"), 1U);
    EXPECT_TRUE(no_value.key.has_value());

    const OutRecord no_headers = encode_dead_letter(config_, 3, dead, 30'000, kRecordTime);
    EXPECT_EQ(headers(no_headers).at("postlane.value_omitted"), "100000");
    EXPECT_EQ(headers(no_headers).at("postlane.headers_omitted"), "2");
    EXPECT_EQ(headers(no_headers).count("trace"), 0U);
    EXPECT_TRUE(no_headers.key.has_value());

    const OutRecord no_key = encode_dead_letter(config_, 3, dead, 10'000, kRecordTime);
    EXPECT_EQ(no_key.key, std::nullopt);
    EXPECT_EQ(headers(no_key).at("postlane.key_omitted"), "20000");
}

TEST_F(Encode, ADeadLetterFromTheFutureSaysWhenItWas) {
    const DeadLetter dead = letter();
    const Instant now = kRecordTime - std::chrono::hours{2};
    const OutRecord out = encode_dead_letter(config_, 3, dead, 1'000'000, now);
    EXPECT_EQ(out.timestamp, now);
    EXPECT_EQ(headers(out).at("postlane.timestamp"), format_time(kRecordTime));

    // Also that has to fit: in the room in which the letter just fits without it, the value is left out.
    std::size_t room = 1;
    while (!encode_dead_letter(config_, 3, dead, room, kRecordTime).value) {
        ++room;
    }
    EXPECT_EQ(encode_dead_letter(config_, 3, dead, room, now).value, std::nullopt);
}

TEST_F(Encode, ATooLargeValueIsAlwaysLeftOut) {
    const OutRecord out =
        encode_dead_letter(config_, 3, letter(Reason::TooLarge), 1'000'000, kRecordTime);
    EXPECT_EQ(out.value, std::nullopt);
    EXPECT_EQ(headers(out).at("postlane.value_omitted"), "10");
    EXPECT_EQ(headers(out).at("trace"), "abc");
}

TEST_F(Encode, ATombstoneOmitsNothing) {
    DeadLetter dead = letter();
    dead.record.value.reset();
    dead.record.key.reset();
    const OutRecord out = encode_dead_letter(config_, 3, dead, 1'000'000, kRecordTime);
    EXPECT_EQ(headers(out).count("postlane.value_omitted"), 0U);
    EXPECT_EQ(out.key, std::nullopt);
}

TEST_F(Encode, ALongExplanationIsCutBetweenCharacters) {
    DeadLetter dead = letter();
    dead.detail.clear();
    for (int i = 0; i < 600; ++i) {
        dead.detail += "\xe2\x82\xac";
    }
    const auto named = headers(encode_dead_letter(config_, 3, dead, 1'000'000, kRecordTime));
    EXPECT_EQ(named.at("__connect.errors.exception.message").size(), 999U);
}

TEST_F(Encode, AForwardedSuppressionKeepsEverything) {
    ForwardSuppression forward;
    forward.target = 5;
    forward.record = record_of("{}");
    forward.record.headers = {{"trace", "abc"}, {"postlane.forwarded_from", "1"}};
    const OutRecord out = encode_forward(forward, 3, 1'000'000);
    EXPECT_EQ(out.destination, Destination::Suppressions);
    EXPECT_EQ(out.partition, 5);
    EXPECT_EQ(out.key, "user-123");
    EXPECT_EQ(out.value, "{}");
    EXPECT_EQ(out.timestamp, kRecordTime);
    EXPECT_THAT(out.headers,
                ElementsAre(Header{"trace", "abc"}, Header{"postlane.forwarded_from", "3"}));
}

TEST(EncodeForward, ALargeOneTravelsWithoutHeaders) {
    ForwardSuppression forward;
    forward.record = record_of(std::string(5'000, 'x'));
    forward.record.headers = {{"trace", "abc"}};
    EXPECT_THAT(encode_forward(forward, 3, 5'000).headers, IsEmpty());
    EXPECT_EQ(encode_forward(forward, 3, 5'000).value, forward.record.value);
    EXPECT_THAT(encode_forward(forward, 3, 6'000).headers, SizeIs(2));
}

TEST(BoundTimestamp, NothingIsFromTheFuture) {
    const Instant now = kRecordTime;
    const auto bounded = [&](Destination destination, std::optional<Instant> timestamp) {
        OutRecord record;
        record.destination = destination;
        record.timestamp = timestamp;
        bound_timestamp(record, now);
        return record;
    };
    EXPECT_EQ(bounded(Destination::Outcomes, std::nullopt).timestamp, now);
    EXPECT_EQ(bounded(Destination::DeadLetters, now - Millis{1}).timestamp, now - Millis{1});
    EXPECT_THAT(bounded(Destination::DeadLetters, now).headers, IsEmpty());
    EXPECT_EQ(bounded(Destination::DeadLetters, now + std::chrono::hours{2}).timestamp, now);
    EXPECT_THAT(bounded(Destination::Suppressions, now + Millis{1}).headers, IsEmpty());
}

}  // namespace
}  // namespace postlane
