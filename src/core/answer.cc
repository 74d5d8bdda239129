// answer.cc: what a provider's answer lets postlane conclude. Protocol section 9, as tables.
#include "postlane/answer.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

namespace postlane {
namespace {

using config::Idempotency;
using config::Provider;
using config::ProviderKind;

enum class Only : std::uint8_t { Always, Keyed, WithRetryAfter };

// Statuses first..last, with this error word (empty: any), under this condition.
struct Rule {
    int first;
    int last;
    std::string_view word;
    Only only;
    AnswerClass answer;
};

// Tried after the kind's own rules, in this order. A redirect is never followed: it would hand the
// message to another place than the configured one, so it counts as a refusal.
constexpr std::array kCommon{
    Rule{200, 299, "", Only::Always, AnswerClass::Accepted},
    Rule{300, 399, "", Only::Always, AnswerClass::Rejected},
    Rule{401, 401, "", Only::Always, AnswerClass::AccountRefused},
    Rule{403, 403, "", Only::Always, AnswerClass::AccountRefused},
    Rule{408, 408, "", Only::Always, AnswerClass::RetryLater},
    Rule{425, 425, "", Only::Always, AnswerClass::RetryLater},
    Rule{429, 429, "", Only::Always, AnswerClass::RetryLater},
    Rule{400, 499, "", Only::Always, AnswerClass::Rejected},
    Rule{503, 503, "", Only::WithRetryAfter, AnswerClass::RetryLater},
    Rule{500, 599, "", Only::Always, AnswerClass::Unknown},
};

// Resend names its errors. A used-up quota answers 429 but will not pass soon: the account's
// trouble, not the message's.
constexpr std::array kResend{
    Rule{409, 409, "invalid_idempotent_request", Only::Always, AnswerClass::KeyReused},
    Rule{409, 409, "", Only::Always, AnswerClass::RetryLater},
    Rule{429, 429, "daily_quota_exceeded", Only::Always, AnswerClass::AccountRefused},
    Rule{429, 429, "monthly_quota_exceeded", Only::Always, AnswerClass::AccountRefused},
};

// An endpoint that honours keys answers 409 while the first request with that key still runs; only
// the word tells that the key came with other bytes.
constexpr std::array kHttp{
    Rule{409, 409, "invalid_idempotent_request", Only::Keyed, AnswerClass::KeyReused},
    Rule{409, 409, "", Only::Keyed, AnswerClass::RetryLater},
};

// Out of credits: SendGrid says so with 401 or 429.
constexpr std::array kSendGrid{
    Rule{400, 499, "maximum_credits_exceeded", Only::Always, AnswerClass::AccountRefused},
};

std::span<const Rule> rules_of(ProviderKind kind) {
    switch (kind) {
        case ProviderKind::Resend:
            return kResend;
        case ProviderKind::Http:
            return kHttp;
        case ProviderKind::SendGrid:
            return kSendGrid;
        case ProviderKind::Ses:
        case ProviderKind::Mailgun:
        case ProviderKind::Postmark:
        case ProviderKind::SparkPost:
        case ProviderKind::Brevo:
        case ProviderKind::MailerSend:
        case ProviderKind::Smtp:
            return {};
    }
    return {};
}

bool matches(const Rule& rule, const Provider& provider, const ProviderAnswer& answer) {
    if (answer.status < rule.first || answer.status > rule.last) {
        return false;
    }
    if (!rule.word.empty() && rule.word != answer.error_word) {
        return false;
    }
    switch (rule.only) {
        case Only::Always:
            return true;
        case Only::Keyed:
            return provider.idempotency == Idempotency::Header;
        case Only::WithRetryAfter:
            return answer.retry_after.has_value();
    }
    return false;
}

const Rule* find(std::span<const Rule> rules, const Provider& provider,
                 const ProviderAnswer& answer) {
    const auto found = std::find_if(rules.begin(), rules.end(), [&](const Rule& rule) {
        return matches(rule, provider, answer);
    });
    return found == rules.end() ? nullptr : &*found;
}

bool lists(const std::optional<std::vector<int>>& statuses, int status) {
    return statuses && std::find(statuses->begin(), statuses->end(), status) != statuses->end();
}

AnswerClass classify_answer(const Provider& provider, const ProviderAnswer& answer) {
    // The configuration's exceptions stand above every table. In doubt beats retry: it is the one
    // of the two that cannot send twice.
    if (lists(provider.ambiguous_statuses, answer.status)) {
        return AnswerClass::Unknown;
    }
    if (lists(provider.retry_statuses, answer.status)) {
        return AnswerClass::RetryLater;
    }
    const Rule* rule = find(rules_of(provider.kind), provider, answer);
    if (rule == nullptr) {
        rule = find(kCommon, provider, answer);
    }
    if (rule == nullptr) {
        return AnswerClass::Unknown;  // no HTTP status that means anything
    }
    if (rule->answer == AnswerClass::Accepted && answer.none_accepted) {
        return AnswerClass::Rejected;
    }
    return rule->answer;
}

}  // namespace

std::string_view to_string(NotHandedOver why) noexcept {
    switch (why) {
        case NotHandedOver::ConnectFailed:
            return "connect_failed";
        case NotHandedOver::EpochEnded:
            return "epoch_ended";
        case NotHandedOver::DeadlinePassed:
            return "deadline_passed";
        case NotHandedOver::ViewStale:
            return "view_stale";
        case NotHandedOver::SuppressionArrived:
            return "suppression_arrived";
        case NotHandedOver::Withdrawn:
            return "withdrawn";
    }
    return "unknown";
}

std::string_view to_string(AnswerClass answer) noexcept {
    switch (answer) {
        case AnswerClass::Accepted:
            return "accepted";
        case AnswerClass::AccountRefused:
            return "account_refused";
        case AnswerClass::RetryLater:
            return "retry_later";
        case AnswerClass::Rejected:
            return "rejected";
        case AnswerClass::KeyReused:
            return "key_reused";
        case AnswerClass::Unknown:
            return "unknown";
        case AnswerClass::NotHandedOver:
            return "not_handed_over";
    }
    return "unknown";
}

AnswerClass classify(const Provider& provider, const AttemptResult& result) {
    switch (result.kind) {
        case AttemptResult::Kind::NotHandedOver:
            return AnswerClass::NotHandedOver;
        case AttemptResult::Kind::NoAnswer:
            return AnswerClass::Unknown;
        case AttemptResult::Kind::Answered:
            return classify_answer(provider, result.answer);
    }
    return AnswerClass::Unknown;
}

// A provider forgets a key some time after it first saw it; near that moment it may already have. What is decided now
// may begin as late as the intent's deadline, and be executed as late as the end of its time-out.
Millis replay_window(const Config& config, const config::Provider& provider) {
    const Millis lifetime = provider.idempotency_lifetime;
    return lifetime - std::min<Millis>(lifetime / 10, std::chrono::minutes{5}) -
           config.dispatch.intent_deadline - provider.timeout;
}

}  // namespace postlane
