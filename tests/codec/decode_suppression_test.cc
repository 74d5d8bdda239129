#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "codec/encode.h"
#include "decode_support.h"

namespace postlane {
namespace {

constexpr std::string_view kOccurred = "2025-11-21T10:00:00.000Z";

// `overrides` come first, and a member they name is left out of the rest.
std::string suppression(std::string_view overrides,
                        std::string_view who = R"("recipient_id":"user-123")") {
    std::string json = "{" + std::string{overrides};
    for (const std::string_view member :
         {std::string_view{R"("action":"suppress")"}, std::string_view{R"("reason":"unsubscribe")"},
          std::string_view{R"("occurred_at":"2025-11-21T10:00:00Z")"}, who}) {
        const std::string_view name = member.substr(0, member.find(':'));
        if (json.find(name) == std::string::npos && !member.empty()) {
            json += std::string{json.size() > 1 ? "," : ""} + std::string{member};
        }
    }
    return json + "}";
}

std::string describe(const Decoder::Suppression& result) {
    if (!result.event) {
        return std::string{to_string(result.event.error().reason)};
    }
    const SuppressionEvent& event = *result.event;
    std::string text = event.action == SuppressionEvent::Action::Suppress ? "+" : "-";
    text += std::string{to_string(event.reason)} + " " + to_string(event.scope);
    if (format_time(event.occurred_at) != kOccurred) {
        text += " at " + format_time(event.occurred_at);
    }
    if (event.expires_at) {
        text += " until " + format_time(*event.expires_at);
    }
    return text + (event.made_effective ? " !" : "");
}

struct Row {
    std::string name;
    std::string json;
    std::string expected;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}
std::string name_of(const testing::TestParamInfo<Row>& row) {
    return row.param.name;
}

class Suppressions : public testing::TestWithParam<Row> {
protected:
    Config config_ = decode_config();
};

TEST_P(Suppressions, ByRecipient) {
    const auto result =
        Decoder{config_, 1}.suppression(record_of(GetParam().json), 0, Instant::max());
    EXPECT_EQ(result.recipient, RecipientId{"user-123"});
    EXPECT_FALSE(result.belongs_to.has_value());
    EXPECT_EQ(describe(result), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Valid, Suppressions,
    testing::Values(
        Row{"Unscoped", suppression(""), "+unsubscribe everything"},
        Row{"NullScope", suppression(R"("scope":null,"expires_at":null)"),
            "+unsubscribe everything"},
        Row{"Category", suppression(R"("scope":{"category":" Marketing"})"),
            "+unsubscribe category:marketing"},
        Row{"Sequence", suppression(R"("scope":{"sequence":"onboarding"})"),
            "+unsubscribe sequence:onboarding"},
        Row{"NullBesides", suppression(R"("scope":{"sequence":"x","category":null})"),
            "+unsubscribe sequence:x"},
        Row{"Manual", suppression(R"("reason":"manual","scope":{"category":"m"})"),
            "+manual category:m"},
        Row{"HardBounce", suppression(R"("reason":"hard_bounce","scope":{"category":"m"})"),
            "+hard_bounce everything"},
        Row{"Complaint", suppression(R"("reason":"complaint","scope":{"sequence":"m"})"),
            "+complaint everything"},
        Row{"Objection", suppression(R"("reason":"objection")"), "+objection everything"},
        Row{"Erasure", suppression(R"("reason":"erasure")"), "+erasure everything"},
        Row{"SoftBounce", suppression(R"("reason":"soft_bounce")"),
            "+soft_bounce everything until 2025-11-28T10:00:00.000Z"},
        Row{"SoftBounceUntil",
            suppression(R"("reason":"soft_bounce","expires_at":"2025-12-24T00:00:00Z")"),
            "+soft_bounce everything until 2025-12-24T00:00:00.000Z"},
        Row{"ExpiryIgnored", suppression(R"("expires_at":"2025-12-24T00:00:00Z")"),
            "+unsubscribe everything"},
        Row{"BadExpiryIgnored", suppression(R"("expires_at":"soon")"), "+unsubscribe everything"},
        Row{"WithoutRecipient", suppression("", ""), "+unsubscribe everything"},
        Row{"UnknownFields", suppression(R"("event_id":7,"source":[],"x":{})"),
            "+unsubscribe everything"},
        Row{"Unsuppress", suppression(R"("action":"unsuppress")"), "-unsubscribe everything"},
        Row{"UnsuppressScope", suppression(R"("action":"unsuppress","scope":{"category":"m"})"),
            "-unsubscribe category:m"},
        Row{"UnsuppressAny", suppression(R"("action":"unsuppress","reason":"manual")"),
            "-manual everything"},
        Row{"UnsuppressFuture",
            suppression(R"("action":"unsuppress","occurred_at":"2030-01-01T00:00:00Z")"),
            "-unsubscribe everything at 2025-12-01T09:00:00.000Z"},
        Row{"Framed", std::string("\0\0\0\0\7", 5) + suppression(""), "+unsubscribe everything"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    InvalidButEffective, Suppressions,
    testing::Values(
        Row{"UnknownReason", suppression(R"("reason":"bored")"), "+manual everything !"},
        Row{"ReasonNumber", suppression(R"("reason":1)"), "+manual everything !"},
        Row{"NoReason", suppression(R"("reason":null)"), "+manual everything !"},
        Row{"UnknownReasonKeepsScope", suppression(R"("reason":"x","scope":{"category":"m"})"),
            "+manual category:m !"},
        Row{"ScopeText", suppression(R"("scope":"marketing")"), "+unsubscribe everything !"},
        Row{"ScopeEmpty", suppression(R"("scope":{})"), "+unsubscribe everything !"},
        Row{"ScopeBoth", suppression(R"("scope":{"category":"a","sequence":"b"})"),
            "+unsubscribe everything !"},
        Row{"ScopeBadName", suppression(R"("scope":{"category":"a b"})"),
            "+unsubscribe everything !"},
        Row{"NoTime", suppression(R"("occurred_at":null)"),
            "+unsubscribe everything at 2025-12-01T09:00:00.000Z !"},
        Row{"BadTime", suppression(R"("occurred_at":"yesterday")"),
            "+unsubscribe everything at 2025-12-01T09:00:00.000Z !"},
        Row{"FutureTime", suppression(R"("occurred_at":"2025-12-01T09:00:00.001Z")"),
            "+unsubscribe everything at 2025-12-01T09:00:00.000Z !"},
        Row{"BadExpiry", suppression(R"("reason":"soft_bounce","expires_at":"soon")"),
            "+soft_bounce everything until 2025-11-28T10:00:00.000Z !"},
        Row{"ExpiryBeforeStart",
            suppression(R"("reason":"soft_bounce","expires_at":"2025-11-21T10:00:00Z")"),
            "+soft_bounce everything until 2025-11-28T10:00:00.000Z !"},
        Row{"OtherRecipient", suppression(R"("recipient_id":"user-124")"),
            "+unsubscribe everything !"},
        Row{"RecipientNumber", suppression(R"("recipient_id":7)"), "+unsubscribe everything !"},
        Row{"NoAction", suppression(R"("action":null)"), "+unsubscribe everything !"},
        Row{"UnknownAction", suppression(R"("action":"block")"), "+unsubscribe everything !"},
        Row{"ActionCase", suppression(R"("action":"SUPPRESS")"), "+unsubscribe everything !"},
        Row{"ActionObject", suppression(R"("action":{})"), "+unsubscribe everything !"},
        Row{"Nothing", "{}", "+manual everything at 2025-12-01T09:00:00.000Z !"},
        Row{"Twice",
            R"({"action":"suppress","reason":"complaint","scope":{"category":"a"},"scope":null})",
            "+manual everything at 2025-12-01T09:00:00.000Z !"}),
    name_of);

INSTANTIATE_TEST_SUITE_P(
    Refused, Suppressions,
    testing::Values(
        Row{"UnsuppressNoReason", suppression(R"("action":"unsuppress","reason":null)"),
            "invalid_field"},
        Row{"UnsuppressUnknownReason", suppression(R"("action":"unsuppress","reason":"x")"),
            "invalid_field"},
        Row{"UnsuppressBadScope",
            suppression(R"("action":"unsuppress","scope":{"category":"a b"})"), "invalid_field"},
        Row{"UnsuppressEmptyScope", suppression(R"("action":"unsuppress","scope":{})"),
            "invalid_field"},
        Row{"UnsuppressNoTime", suppression(R"("action":"unsuppress","occurred_at":null)"),
            "invalid_field"},
        Row{"UnsuppressBadTime", suppression(R"("action":"unsuppress","occurred_at":"x")"),
            "invalid_field"},
        Row{"UnsuppressMismatch", suppression(R"("action":"unsuppress","recipient_id":"user-124")"),
            "key_mismatch"},
        Row{"UnsuppressRecipientNumber", suppression(R"("action":"unsuppress","recipient_id":7)"),
            "invalid_field"},
        Row{"UnsuppressCase", suppression(R"("action":"Un-Suppress")"), "invalid_field"},
        Row{"UnsuppressTwice", R"({"action":"unsuppress","action":"suppress","reason":"manual"})",
            "malformed_json"},
        Row{"NoJson", "suppress", "malformed_json"}, Row{"Empty", "", "malformed_json"},
        Row{"Truncated", R"({"action":"suppress")", "malformed_json"},
        Row{"Array", "[]", "invalid_field"}),
    name_of);

class SuppressionKeys : public testing::Test {
protected:
    Decoder::Suppression decode(std::optional<std::string> key, std::string json,
                                PartitionId partition) {
        InputRecord record = record_of(std::move(json));
        record.key = std::move(key);
        return Decoder{config_, 8}.suppression(record, partition, Instant::max());
    }
    static PartitionId home(std::string_view key) {
        return partition_for(key, 8, config::Partitioner::Murmur2);
    }
    Config config_ = decode_config();
};

TEST_F(SuppressionKeys, AMisroutedOneNamesItsPartition) {
    const PartitionId right = home("user-123");
    EXPECT_FALSE(decode("user-123", suppression(""), right).belongs_to.has_value());
    const auto misrouted = decode("user-123", suppression(""), right + 1);
    EXPECT_EQ(misrouted.belongs_to, right);
    EXPECT_TRUE(misrouted.event.has_value());
    EXPECT_EQ(decode("user-123", "x", right + 1).belongs_to, right);
}

TEST_F(SuppressionKeys, TheKeyWinsOverTheBody) {
    const auto result = decode("user-124", suppression(""), home("user-124"));
    EXPECT_EQ(result.recipient, RecipientId{"user-124"});
    EXPECT_FALSE(result.belongs_to.has_value());
    EXPECT_TRUE(result.event.value().made_effective);
}

TEST_F(SuppressionKeys, WithoutAKeyTheBodyNamesWhom) {
    for (const auto& key : {std::optional<std::string>{}, std::optional<std::string>{""},
                            std::optional<std::string>{"\xff"}}) {
        const auto here = decode(key, suppression(""), home("user-123"));
        EXPECT_EQ(here.recipient, RecipientId{"user-123"});
        EXPECT_FALSE(here.belongs_to.has_value());
        EXPECT_EQ(describe(here), "+unsubscribe everything !");
        EXPECT_EQ(decode(key, suppression(""), home("user-123") + 1).belongs_to, home("user-123"));
    }
}

TEST_F(SuppressionKeys, WithoutAnyoneItIsRefused) {
    const auto nobody = decode(std::nullopt, suppression("", ""), 0);
    EXPECT_EQ(describe(nobody), "missing_key");
    EXPECT_FALSE(nobody.recipient.has_value());
    EXPECT_FALSE(nobody.belongs_to.has_value());
    EXPECT_EQ(describe(decode(std::nullopt, "x", 0)), "missing_key");
    EXPECT_EQ(describe(decode("\xff", suppression("", ""), 0)), "invalid_field");
    EXPECT_EQ(
        describe(decode(std::nullopt, suppression(R"("action":"unsuppress")"), home("user-123"))),
        "missing_key");
}

struct AddressRow {
    std::string name;
    std::optional<std::string> key;
    std::string json;
    std::string address;
    std::string expected;
};
void PrintTo(const AddressRow& row, std::ostream* out) {
    *out << row.name;
}
class AddressSuppressions : public testing::TestWithParam<AddressRow> {
protected:
    Config config_ = decode_config();
};

TEST_P(AddressSuppressions, ByAddress) {
    InputRecord record = record_of(GetParam().json);
    record.key = GetParam().key;
    const auto result = Decoder{config_, 8}.address_suppression(record, Instant::max());
    EXPECT_EQ(result.address ? result.address->value() : "", GetParam().address);
    EXPECT_EQ(describe(result), GetParam().expected);
    EXPECT_FALSE(result.recipient.has_value());
    EXPECT_FALSE(result.belongs_to.has_value());
}

std::string by_email(std::string_view overrides, std::string_view email = "ann@example.com") {
    return suppression(overrides, "\"email\":\"" + std::string{email} + "\"");
}

INSTANTIATE_TEST_SUITE_P(
    Table, AddressSuppressions,
    testing::Values(
        AddressRow{"Plain", "ann@example.com", by_email(R"("reason":"complaint")"),
                   "ann@example.com", "+complaint everything"},
        AddressRow{"NormalisedAgain",
                   "Ann@B\xc3\xbc"
                   "cher.example",
                   by_email("", "ann@xn--bcher-kva.example"), "ann@xn--bcher-kva.example",
                   "+unsubscribe everything"},
        AddressRow{"NoBody", "ann@example.com", suppression("", ""), "ann@example.com",
                   "+unsubscribe everything"},
        AddressRow{"KeyWins", "bob@example.com", by_email(""), "bob@example.com",
                   "+unsubscribe everything !"},
        AddressRow{"BadBody", "ann@example.com", by_email("", "x"), "ann@example.com",
                   "+unsubscribe everything !"},
        AddressRow{"NoKey", std::nullopt, by_email(""), "ann@example.com",
                   "+unsubscribe everything !"},
        AddressRow{"BadKey", "user-123", by_email(""), "ann@example.com",
                   "+unsubscribe everything !"},
        AddressRow{"Nobody", std::nullopt, suppression("", ""), "", "missing_key"},
        AddressRow{"NobodyValid", "user-123", by_email("", "x"), "", "invalid_field"},
        AddressRow{"UnsuppressMismatch", "bob@example.com", by_email(R"("action":"unsuppress")"),
                   "bob@example.com", "key_mismatch"},
        AddressRow{"Unsuppress", "ann@example.com", by_email(R"("action":"unsuppress")"),
                   "ann@example.com", "-unsubscribe everything"},
        AddressRow{"NoJson", "ann@example.com", "x", "ann@example.com", "malformed_json"}),
    [](const auto& row) { return row.param.name; });

TEST(SuppressionDetails, NeverShowAValue) {
    const Config config = decode_config();
    Decoder decoder{config, 1};
    for (const std::string& json :
         {suppression(R"("action":"unsuppress","reason":"secret")"),
          suppression(R"("action":"unsuppress","scope":{"category":"secret x"})"),
          suppression(R"("action":"unsuppress","occurred_at":"secret")"),
          suppression(R"("action":"unsuppress","recipient_id":"secret")"), std::string{"secret"}}) {
        const auto result = decoder.suppression(record_of(json), 0, Instant::max());
        ASSERT_FALSE(result.event.has_value());
        EXPECT_THAT(result.event.error().detail, testing::Not(testing::HasSubstr("secret")));
    }
}

}  // namespace
}  // namespace postlane
