// What became of one attempt, and what a provider's answer means.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "postlane/config.h"
#include "postlane/types.h"

namespace postlane {

// What the provider said. `error_word` is the vendor's machine-readable error name, lower case, or
// empty; `none_accepted` is set where a 2xx body says that nothing was accepted.
struct ProviderAnswer {
    int status = 0;
    std::string provider_message_id;
    std::optional<Millis> retry_after;
    std::string error_word;
    bool none_accepted = false;
};

// Why the last check refused, or why the request never reached it.
enum class NotHandedOver : std::uint8_t {
    ConnectFailed,  // DNS, connect, TLS: no byte of the request left
    EpochEnded,     // the partition is no longer ours, or was restarted
    DeadlinePassed,
    ViewStale,           // suppressions not proven fresh within F
    SuppressionArrived,  // one that may touch this recipient was applied since the decision
    Withdrawn,           // never left the queue: shutdown or a full queue
};
[[nodiscard]] std::string_view to_string(NotHandedOver why) noexcept;

struct AttemptResult {
    enum class Kind : std::uint8_t {
        NotHandedOver,  // certain: the provider saw nothing; the attempt does not count
        Answered,       // a complete answer
        NoAnswer,       // the last check had passed; nobody can know
    };
    Kind kind = Kind::NotHandedOver;
    NotHandedOver why_not = NotHandedOver::Withdrawn;  // kind NotHandedOver
    ProviderAnswer answer;                             // kind Answered
    std::string transport_error;                       // for people; no address, no credential
    BootInstant handed_over_at{};                      // when the last check passed
    BootInstant ended_at{};
};

// The table of protocol section 9: what each answer lets postlane conclude.
enum class AnswerClass : std::uint8_t {
    Accepted,
    AccountRefused,  // 401, 403, account-level: the provider's circuit opens, the message stays
    RetryLater,      // certain: not executed; try again, Retry-After obeyed
    Rejected,        // certain: will never be accepted
    KeyReused,       // the key is known with other bytes: something was executed under it
    Unknown,         // may or may not have been executed
    NotHandedOver,   // certain: not executed, and the attempt does not count
};
[[nodiscard]] std::string_view to_string(AnswerClass answer) noexcept;

[[nodiscard]] AnswerClass classify(const config::Provider& provider, const AttemptResult& result);

// How long after its first attempt a message in doubt may be sent again with the same key, so that the provider still
// knows the key whenever that request reaches it. Not positive: never.
[[nodiscard]] Millis replay_window(const Config& config, const config::Provider& provider);

}  // namespace postlane
