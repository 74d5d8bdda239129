// Attempts: what is checked in the moment before one (check 12), and what its answer means.
#include <algorithm>

#include "core/decision.h"
#include "core/retry.h"

namespace postlane {
namespace {

constexpr Millis kQuickRefusals{5'000};  // younger than this, a refused message soon tries again
constexpr Millis kAsideQuick{2'000};
constexpr Millis kAsideMin{12'000};  // longer than an open circuit waits between two probes
constexpr Millis kAsideMax{300'000};
// Shorter than that: the message finds the circuit open, and the route's next provider.
constexpr Millis kAsideToNext{500};

bool takes_keys(const config::Provider& provider) {
    return provider.idempotency == config::Idempotency::Header;
}

bool key_expired(const Decision& decision, const config::Provider& provider,
                 const MessageRow& row) {
    return decision.now() >= row.first_attempt_at + replay_window(decision.config(), provider);
}

void end_ambiguous(Decision& decision, const MessageId& id, MessageRow row, Reason reason) {
    decision.end(id, std::move(row), {.state = MessageState::Ambiguous, .reason = reason});
}

// May an attempt follow one that nobody knows the result of? Ends the message and says no, or says yes.
bool may_replay(Decision& decision, const AttemptDue& input, const MessageRow& row) {
    if (!takes_keys(input.provider)) {
        return true;  // only the route's policy `resend` brings an unkeyed message back here
    }
    if (key_expired(decision, input.provider, row)) {
        end_ambiguous(decision, input.message_id, row, Reason::KeyExpired);
        return false;
    }
    if (row.intent && row.intent->request_hash != input.request_hash) {
        end_ambiguous(decision, input.message_id, row, Reason::RenderChanged);
        return false;
    }
    return true;
}

}  // namespace

// Check 12, before every attempt: time to live, suppression; pauses and routes were the runtime's to choose by.
void on(Decision& decision, const AttemptDue& input) {
    auto row = decision.view().message(input.message_id);
    if (!row || has_ended(row->state) || row->state == MessageState::Sending) {
        violated("only a live message without an open intent is attempted");
    }
    if (decision.now() >= row->expires_at) {
        if (row->maybe_executed) {
            end_ambiguous(decision, input.message_id, *std::move(row), Reason::ExpiredWhileInDoubt);
        } else {
            decision.end(input.message_id, *std::move(row),
                         {.state = MessageState::Expired, .reason = Reason::TtlPassed});
        }
        return;
    }
    auto verdict = ask_gate(decision, input.event);
    if (!verdict.clearance) {
        if (row->maybe_executed) {
            end_ambiguous(decision, input.message_id, *std::move(row),
                          Reason::SuppressedWhileInDoubt);
        } else {
            decision.end(input.message_id, *std::move(row),
                         {.state = MessageState::SuppressedAtSend,
                          .reason = Reason::Suppressed,
                          .checked = CheckedAt::Attempt,
                          .suppression = std::move(verdict.hit)});
        }
        return;
    }
    if (row->maybe_executed && !may_replay(decision, input, *row)) {
        return;
    }
    if (!row->maybe_executed) {
        row->first_attempt_at = decision.now();
    }
    row->provider = input.provider.name;
    row->intent =
        Intent{input.attempt, input.provider.name, decision.config().dispatch.intent_deadline,
               input.provider.timeout, input.request_hash};
    decision.become(*row, MessageState::Sending);
    row->wake_at = {};
    decision.add(SendEmail{input.message_id, *row->intent, *verdict.clearance});
    decision.add(PutMessage{input.message_id, *std::move(row)});
}

namespace {

// Where the route goes on after the provider that has just refused the message for good; nothing at its end, or while
// an earlier attempt is in doubt. Not simply the next place: an open circuit may have moved the attempt further on.
std::optional<std::uint32_t> place_after(const Decision& decision, const MessageRow& row) {
    const config::Route* route = decision.config().find_route(row.route);
    if (route == nullptr || row.maybe_executed) {
        return std::nullopt;
    }
    const auto refused = std::find(route->providers.begin(), route->providers.end(), row.provider);
    const auto next = refused == route->providers.end() ? std::ptrdiff_t{row.route_position} + 1
                                                        : refused - route->providers.begin() + 1;
    if (next >= std::ssize(route->providers)) {
        return std::nullopt;
    }
    return static_cast<std::uint32_t>(next);
}

// How long a message steps aside whose provider refused the account. Such an answer may concern this one message (a
// sender that is not verified): were it the first again at once, it would be every probe of an open circuit, and nobody
// else's turn would ever come. So, unless it is young, it waits longer than a circuit does between two probes. Nothing
// counts how often it was refused; its age tells as much.
Millis aside_after_refusal(Millis age) {
    return age < kQuickRefusals
               ? kAsideQuick
               : std::clamp(std::chrono::floor<Millis>(age / 4), kAsideMin, kAsideMax);
}

// What the end of the last attempt proves.
MessageState not_sent(const MessageRow& row) {
    return row.maybe_executed ? MessageState::Ambiguous : MessageState::Failed;
}

void refused_account(Decision& decision, const MessageId& id, MessageRow row) {
    const Millis aside = place_after(decision, row)
                             ? kAsideToNext
                             : aside_after_refusal(decision.now() - row.due_at);
    const Instant again = decision.now() + aside;
    const Instant wake_at = std::min(again, std::max(row.expires_at, decision.now()));
    decision.keep(id, std::move(row), MessageState::Ready, wake_at);
}

void retry(Decision& decision, const MessageId& id, MessageRow row,
           std::optional<Millis> retry_after) {
    if (row.attempts >= decision.config().dispatch.max_attempts) {
        const MessageState state = not_sent(row);
        decision.end(id, std::move(row), {.state = state, .reason = Reason::RetriesExhausted});
        return;
    }
    const Millis wait = retry_delay(decision.recipient(), id, row.attempts, retry_after);
    const Instant wake_at =
        std::min(decision.now() + wait, std::max(row.expires_at, decision.now()));
    decision.keep(id, std::move(row), MessageState::Retrying, wake_at);
}

void rejected(Decision& decision, const MessageId& id, MessageRow row) {
    if (const auto next = place_after(decision, row)) {
        row.route_position = *next;
        row.intent.reset();
        decision.keep(id, std::move(row), MessageState::Ready, decision.now());
        return;
    }
    const MessageState state = not_sent(row);
    decision.end(id, std::move(row), {.state = state, .reason = Reason::RejectedByProvider});
}

// May or may not have been executed.
void unknown(Decision& decision, const MessageId& id, MessageRow row,
             const config::Provider& provider) {
    row.maybe_executed = true;
    const config::Route* route = decision.config().find_route(row.route);
    const auto policy = route == nullptr ? config::RouteOnAmbiguous::Park : route->on_ambiguous;
    if (policy == config::RouteOnAmbiguous::Resend ||
        (policy == config::RouteOnAmbiguous::Auto && takes_keys(provider))) {
        retry(decision, id, std::move(row), std::nullopt);
        return;
    }
    end_ambiguous(decision, id, std::move(row), Reason::NoIdempotency);
}

void not_handed_over(Decision& decision, const MessageId& id, MessageRow row, NotHandedOver why) {
    if (!row.maybe_executed) {
        row.intent.reset();
    }
    if (why == NotHandedOver::ConnectFailed) {
        const Millis wait = retry_delay(decision.recipient(), id, row.attempts + 1, std::nullopt);
        decision.keep(id, std::move(row), MessageState::Retrying, decision.now() + wait);
        return;
    }
    decision.keep(id, std::move(row), MessageState::Ready, decision.now());
}

}  // namespace

void on(Decision& decision, const AttemptEnded& input) {
    auto row = decision.view().message(input.message_id);
    if (!row || row->state != MessageState::Sending || !row->intent) {
        violated("a result belongs to an open intent");
    }
    const config::Provider* provider = decision.config().find_provider(row->intent->provider);
    if (provider == nullptr) {
        violated("a provider with an attempt of this process is configured");
    }
    const AnswerClass answer = classify(*provider, input.result);
    if (answer != AnswerClass::NotHandedOver && answer != AnswerClass::AccountRefused) {
        row->attempts += 1;
    }
    switch (answer) {
        case AnswerClass::Accepted:
            row->provider_message_id = input.result.answer.provider_message_id;
            decision.end(input.message_id, *std::move(row),
                         {.state = MessageState::Sent,
                          .reason = Reason::Accepted,
                          .ended_at = input.ended_at});
            return;
        case AnswerClass::AccountRefused:
            refused_account(decision, input.message_id, *std::move(row));
            return;
        case AnswerClass::RetryLater:
            retry(decision, input.message_id, *std::move(row), input.result.answer.retry_after);
            return;
        case AnswerClass::Rejected:
            rejected(decision, input.message_id, *std::move(row));
            return;
        case AnswerClass::KeyReused:
            end_ambiguous(decision, input.message_id, *std::move(row), Reason::RenderChanged);
            return;
        case AnswerClass::Unknown:
            unknown(decision, input.message_id, *std::move(row), *provider);
            return;
        case AnswerClass::NotHandedOver:
            not_handed_over(decision, input.message_id, *std::move(row), input.result.why_not);
            return;
    }
}

void on(Decision& decision, const AttemptWithdrawn& input) {
    auto row = decision.view().message(input.message_id);
    if (!row || row->state != MessageState::Sending) {
        violated("only an open intent is withdrawn");
    }
    not_handed_over(decision, input.message_id, *std::move(row), NotHandedOver::Withdrawn);
}

void on(Decision& decision, const RenderFailed& input) {
    auto row = decision.view().message(input.message_id);
    if (!row || has_ended(row->state) || row->state == MessageState::Sending) {
        violated("only a live message without an open intent is rendered");
    }
    row->provider = input.provider.name;
    rejected(decision, input.message_id, *std::move(row));
}

// Nothing can be rendered from it any more. What was never handed over is a dead letter, for a person to repair and
// replay; what may have been executed is in doubt, since the same key could not carry the same bytes again.
void on(Decision& decision, const PayloadUnreadable& input) {
    auto row = decision.view().message(input.message_id);
    if (!row || has_ended(row->state)) {
        return;
    }
    if (row->state == MessageState::Sending) {
        row->attempts += 1;
        row->maybe_executed = true;
    }
    if (row->maybe_executed) {
        end_ambiguous(decision, input.message_id, *std::move(row), Reason::RenderChanged);
        return;
    }
    decision.end(input.message_id, *std::move(row),
                 {.state = MessageState::DeadLettered,
                  .reason = input.why.reason,
                  .detail = input.why.detail});
}

// The order is law: suppressed, expired, then what the provider's kind allows. Never another provider.
void on(Decision& decision, const InDoubt& input) {
    auto row = decision.view().message(input.message_id);
    if (!row || row->state != MessageState::Sending || !row->intent) {
        violated("only an open intent is in doubt");
    }
    row->attempts += 1;
    row->maybe_executed = true;
    if (!ask_gate(decision, input.event).clearance) {
        end_ambiguous(decision, input.message_id, *std::move(row), Reason::SuppressedWhileInDoubt);
        return;
    }
    if (decision.now() >= row->expires_at) {
        end_ambiguous(decision, input.message_id, *std::move(row), Reason::ExpiredWhileInDoubt);
        return;
    }
    const config::Provider* provider = decision.config().find_provider(row->intent->provider);
    if (provider == nullptr) {
        end_ambiguous(decision, input.message_id, *std::move(row), Reason::RenderChanged);
        return;
    }
    if (takes_keys(*provider)) {
        if (key_expired(decision, *provider, *row)) {
            end_ambiguous(decision, input.message_id, *std::move(row), Reason::KeyExpired);
            return;
        }
        if (!input.request_hash || *input.request_hash != row->intent->request_hash) {
            end_ambiguous(decision, input.message_id, *std::move(row), Reason::RenderChanged);
            return;
        }
    }
    unknown(decision, input.message_id, *std::move(row), *provider);
}

}  // namespace postlane
