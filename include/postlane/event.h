// What users' records say once decoded. Produced by codec, consumed by core.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "postlane/reason.h"
#include "postlane/types.h"

namespace postlane {

struct Mailbox {
    std::string email;  // as delivered; never rewritten
    std::string name;   // may be empty
};

// A send event whose every field was checked. Text fields are exact; category, sequence id and route are normalised.
struct SendEvent {
    RecipientId recipient_id;
    MessageId message_id;     // given, or the contract's default
    std::string campaign_id;  // empty: none
    Mailbox to;
    AddressKey address;  // of `to`
    std::string category;
    std::optional<SequenceRef> sequence;
    std::optional<Instant> send_at;
    std::optional<Millis> delay_after_previous;
    std::optional<Instant> expires_at;
    std::string route;
    std::optional<Mailbox> from;  // absent: the route's
    std::optional<Mailbox> reply_to;
    struct Template {
        std::string id;
        std::string data_json;  // a JSON object, "{}" if absent
    };
    std::optional<Template> templated;  // exactly one of templated, content
    struct Content {
        std::string subject;
        std::string text;
        std::string html;
    };
    std::optional<Content> content;
    std::vector<std::pair<std::string, std::string>> headers;
    std::vector<std::string> tags;
    std::vector<std::pair<std::string, std::string>> metadata;  // non-strings as compact JSON
    std::string unsubscribe_url;                                // empty: none
    Hash128 body_hash{};  // canonical, over what the contract names
    // The event's JSON text (framing stripped), as given. For providers that take the event itself.
    std::string json;
    bool message_id_given = true;
    bool recipient_id_given = true;
};

enum class SuppressionReason : std::uint8_t {
    Unsubscribe = 1,
    HardBounce = 2,
    SoftBounce = 3,
    Complaint = 4,
    Objection = 5,
    Erasure = 6,
    Manual = 7,
};
[[nodiscard]] std::string_view to_string(SuppressionReason reason) noexcept;
[[nodiscard]] std::optional<SuppressionReason> suppression_reason_from(
    std::string_view word) noexcept;

// What mail a suppression covers. Persisted numbers: do not change.
struct Scope {
    enum class Kind : std::uint8_t { Everything = 0, Category = 1, Sequence = 2 };
    Kind kind = Kind::Everything;
    std::string name;  // normalised; empty for Everything
    friend auto operator<=>(const Scope&, const Scope&) = default;
    friend bool operator==(const Scope&, const Scope&) = default;
};
// "everything", "category:marketing", "sequence:onboarding".
[[nodiscard]] std::string to_string(const Scope& scope);

struct SuppressionEvent {
    enum class Action : std::uint8_t { Suppress, Unsuppress };
    Action action = Action::Suppress;
    SuppressionReason reason = SuppressionReason::Manual;
    Scope scope;                        // for unsuppress, Everything means: every scope
    Instant occurred_at{};              // already cut to the record's time
    std::optional<Instant> expires_at;  // soft_bounce only; its default already filled in
    bool made_effective = false;        // an invalid suppress that suppresses nevertheless
    // An unsuppress from the future clears what is there as it says, but stands against later suppressions only as of
    // this moment, or it would defeat every one of them.
    std::optional<Instant> stands_as_of;
};

// Why a record did not decode. `detail` names the field and what is wrong, never a value.
struct Rejection {
    Reason reason = Reason::None;
    std::string detail;
    // Which message it is, where all of it was understood: only its key or its route is wrong.
    struct Message {
        MessageId id;
        std::string campaign_id;
        std::optional<SequenceRef> sequence;
        std::string category;
        std::string route;
    };
    std::optional<Message> message = std::nullopt;
};

}  // namespace postlane
