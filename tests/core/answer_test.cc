// The table of protocol section 9, row by row.
#include "postlane/answer.h"

#include <gtest/gtest.h>

namespace postlane {
namespace {

using config::ProviderKind;
using enum AnswerClass;

enum class Who : std::uint8_t { SendGrid, Resend, PlainHttp, KeyedHttp };

config::Provider provider_of(Who who) {
    config::Provider provider;
    switch (who) {
        case Who::SendGrid:
            provider.kind = ProviderKind::SendGrid;
            break;
        case Who::Resend:
            provider.kind = ProviderKind::Resend;
            provider.idempotency = config::Idempotency::Header;
            break;
        case Who::PlainHttp:
            provider.kind = ProviderKind::Http;
            break;
        case Who::KeyedHttp:
            provider.kind = ProviderKind::Http;
            provider.idempotency = config::Idempotency::Header;
            break;
    }
    return provider;
}

AttemptResult answered(int status, std::string word = {}, bool retry_after = false) {
    AttemptResult result;
    result.kind = AttemptResult::Kind::Answered;
    result.answer.status = status;
    result.answer.error_word = std::move(word);
    if (retry_after) {
        result.answer.retry_after = Millis{1'000};
    }
    return result;
}

struct Row {
    int status;
    std::string word;
    bool retry_after;
    // in the order of Who
    AnswerClass sendgrid;
    AnswerClass resend;
    AnswerClass plain_http;
    AnswerClass keyed_http;
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.status << row.word << (row.retry_after ? "RetryAfter" : "");
}

class Classify : public testing::TestWithParam<Row> {};

TEST_P(Classify, FollowsTheTable) {
    const Row& row = GetParam();
    const AttemptResult result = answered(row.status, row.word, row.retry_after);
    EXPECT_EQ(classify(provider_of(Who::SendGrid), result), row.sendgrid);
    EXPECT_EQ(classify(provider_of(Who::Resend), result), row.resend);
    EXPECT_EQ(classify(provider_of(Who::PlainHttp), result), row.plain_http);
    EXPECT_EQ(classify(provider_of(Who::KeyedHttp), result), row.keyed_http);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Classify,
    testing::Values(
        //  status word  retry-after   SendGrid        Resend          http            http with
        //  keys
        Row{200, "", false, Accepted, Accepted, Accepted, Accepted},
        Row{201, "", false, Accepted, Accepted, Accepted, Accepted},
        Row{202, "", false, Accepted, Accepted, Accepted, Accepted},
        Row{204, "", false, Accepted, Accepted, Accepted, Accepted},
        Row{299, "", true, Accepted, Accepted, Accepted, Accepted},
        Row{301, "", false, Rejected, Rejected, Rejected, Rejected},
        Row{304, "", false, Rejected, Rejected, Rejected, Rejected},
        Row{307, "", true, Rejected, Rejected, Rejected, Rejected},
        Row{400, "", false, Rejected, Rejected, Rejected, Rejected},
        Row{400, "invalid_idempotency_key", false, Rejected, Rejected, Rejected, Rejected},
        Row{401, "", false, AccountRefused, AccountRefused, AccountRefused, AccountRefused},
        Row{403, "", false, AccountRefused, AccountRefused, AccountRefused, AccountRefused},
        Row{403, "", true, AccountRefused, AccountRefused, AccountRefused, AccountRefused},
        Row{404, "", false, Rejected, Rejected, Rejected, Rejected},
        Row{408, "", false, RetryLater, RetryLater, RetryLater, RetryLater},
        Row{409, "", false, Rejected, RetryLater, Rejected, RetryLater},
        Row{409, "concurrent_idempotent_requests", false, Rejected, RetryLater, Rejected,
            RetryLater},
        Row{409, "invalid_idempotent_request", false, Rejected, KeyReused, Rejected, KeyReused},
        Row{413, "", false, Rejected, Rejected, Rejected, Rejected},
        Row{422, "validation_error", false, Rejected, Rejected, Rejected, Rejected},
        Row{425, "", false, RetryLater, RetryLater, RetryLater, RetryLater},
        Row{429, "", false, RetryLater, RetryLater, RetryLater, RetryLater},
        Row{429, "rate_limit_exceeded", true, RetryLater, RetryLater, RetryLater, RetryLater},
        Row{429, "daily_quota_exceeded", false, RetryLater, AccountRefused, RetryLater, RetryLater},
        Row{429, "monthly_quota_exceeded", false, RetryLater, AccountRefused, RetryLater,
            RetryLater},
        Row{429, "maximum_credits_exceeded", false, AccountRefused, RetryLater, RetryLater,
            RetryLater},
        Row{451, "", false, Rejected, Rejected, Rejected, Rejected},
        Row{499, "", true, Rejected, Rejected, Rejected, Rejected},
        Row{500, "", false, Unknown, Unknown, Unknown, Unknown},
        Row{500, "", true, Unknown, Unknown, Unknown, Unknown},
        Row{502, "", false, Unknown, Unknown, Unknown, Unknown},
        Row{503, "", false, Unknown, Unknown, Unknown, Unknown},
        Row{503, "", true, RetryLater, RetryLater, RetryLater, RetryLater},
        Row{504, "", true, Unknown, Unknown, Unknown, Unknown},
        Row{599, "", false, Unknown, Unknown, Unknown, Unknown},
        Row{0, "", false, Unknown, Unknown, Unknown, Unknown},
        Row{101, "", false, Unknown, Unknown, Unknown, Unknown},
        Row{600, "", false, Unknown, Unknown, Unknown, Unknown}),
    [](const auto& row) {
        return std::to_string(row.param.status) + row.param.word +
               (row.param.retry_after ? "RetryAfter" : "");
    });

TEST(Classify, SuccessThatAcceptedNobodyIsARejection) {
    AttemptResult result = answered(200);
    result.answer.none_accepted = true;
    EXPECT_EQ(classify(provider_of(Who::PlainHttp), result), Rejected);
}

TEST(Classify, NoAnswerIsUnknownAndNotHandedOverIsCertain) {
    AttemptResult result;
    EXPECT_EQ(classify(provider_of(Who::Resend), result), AnswerClass::NotHandedOver);
    result.kind = AttemptResult::Kind::NoAnswer;
    EXPECT_EQ(classify(provider_of(Who::Resend), result), Unknown);
}

TEST(Classify, ConfiguredStatusesWin) {
    config::Provider provider = provider_of(Who::Resend);
    provider.ambiguous_statuses = std::vector<int>{401, 422, 502};
    provider.retry_statuses = std::vector<int>{403, 500, 502};
    EXPECT_EQ(classify(provider, answered(401)), Unknown);
    EXPECT_EQ(classify(provider, answered(422)), Unknown);
    EXPECT_EQ(classify(provider, answered(403)), RetryLater);
    EXPECT_EQ(classify(provider, answered(500)), RetryLater);
    EXPECT_EQ(classify(provider, answered(502)), Unknown);  // in both lists: in doubt is safer
    EXPECT_EQ(classify(provider, answered(404)), Rejected);
}

TEST(Words, AreDistinct) {
    EXPECT_EQ(to_string(AccountRefused), "account_refused");
    EXPECT_EQ(to_string(AnswerClass::NotHandedOver), "not_handed_over");
    EXPECT_EQ(to_string(postlane::NotHandedOver::ViewStale), "view_stale");
    EXPECT_EQ(to_string(postlane::NotHandedOver::SuppressionArrived), "suppression_arrived");
}

}  // namespace
}  // namespace postlane
