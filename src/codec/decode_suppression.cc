// Suppression events of both topics (protocol section 8). Doubt is resolved towards not mailing:
// whatever is not recognisably an unsuppress suppresses, and an unsuppress that is not perfect is
// refused.
#include <algorithm>

#include "codec/decode.h"
#include "codec/decode_fields.h"
#include "codec/decode_scratch.h"
#include "codec/normalise.h"

namespace postlane {
namespace {

namespace dom = simdjson::dom;

constexpr Millis kSoftBounceTtl = std::chrono::days{7};

enum Field : std::size_t {
    kAction,
    kReason,
    kScope,
    kOccurredAt,
    kExpiresAt,
    kWho,  // recipient_id or email
    kFieldCount,
};

tl::unexpected<Rejection> reject(Reason reason, std::string detail) {
    return tl::unexpected<Rejection>(Rejection{reason, std::move(detail)});
}

// "Un-Suppress" is no action we know, but it was not meant to suppress.
bool looks_like_unsuppress(std::string_view word) {
    std::string letters;
    for (const char c : ascii_lower(word)) {
        if (c >= 'a' && c <= 'z') {
            letters.push_back(c);
        }
    }
    return letters.find("unsuppress") != std::string::npos;
}

bool covers_everything(SuppressionReason reason) noexcept {
    return reason != SuppressionReason::Unsubscribe && reason != SuppressionReason::Manual;
}

// Reads what an event says; the doubts it collects decide later.
class SuppressionReader {
public:
    SuppressionReader(const Members<kFieldCount>& fields, Instant record_time)
        : fields_(fields), record_time_(record_time) {}

    tl::expected<SuppressionEvent, Rejection> read(const Rejection& doubt_about_key) {
        if (doubt_about_key.reason != Reason::None) {
            in_.fail_with(doubt_about_key);
        }
        SuppressionEvent event;
        event.action = action();
        event.reason = reason();
        event.scope = scope();
        event.occurred_at = occurred_at(event.action);
        if (event.action == SuppressionEvent::Action::Unsuppress) {
            if (in_.failed()) {
                return tl::unexpected<Rejection>(std::move(in_).rejection());
            }
            return event;
        }
        if (covers_everything(event.reason)) {
            event.scope = Scope{};
        }
        if (event.reason == SuppressionReason::SoftBounce) {
            event.expires_at = soft_bounce_end(event.occurred_at);
        }
        event.made_effective = in_.failed();
        return event;
    }

private:
    SuppressionEvent::Action action() {
        std::string_view word;
        if (!fields_[kAction]) {
            in_.fail("action", "required");
        } else if (fields_[kAction]->get(word) != simdjson::SUCCESS) {
            in_.fail("action", "must be a string");
        } else if (word == "unsuppress") {
            return SuppressionEvent::Action::Unsuppress;
        } else if (word != "suppress") {
            in_.fail("action", "must be suppress or unsuppress");
            if (looks_like_unsuppress(word)) {
                return SuppressionEvent::Action::Unsuppress;
            }
        }
        return SuppressionEvent::Action::Suppress;
    }
    SuppressionReason reason() {
        std::string_view word;
        if (!fields_[kReason]) {
            in_.fail("reason", "required");
        } else if (fields_[kReason]->get(word) != simdjson::SUCCESS) {
            in_.fail("reason", "must be a string");
        } else if (const auto known = suppression_reason_from(word)) {
            return *known;
        } else {
            in_.fail("reason",
                     "must be unsubscribe, hard_bounce, soft_bounce, complaint, objection, "
                     "erasure or manual");
        }
        return SuppressionReason::Manual;
    }
    Scope scope() {
        static constexpr std::array<std::string_view, 2> kNames{"category", "sequence"};
        if (!fields_[kScope]) {
            return Scope{};
        }
        dom::object object;
        if (fields_[kScope]->get(object) != simdjson::SUCCESS) {
            in_.fail("scope", "must be an object");
            return Scope{};
        }
        const Members<2> members{object, kNames};
        if (members[0].has_value() == members[1].has_value()) {
            in_.fail("scope", "must name either a category or a sequence");
            return Scope{};
        }
        const bool by_category = members[0].has_value();
        FieldReader inner;
        auto name = by_category ? inner.name(members[0], "scope.category")
                                : inner.name(members[1], "scope.sequence");
        if (!name) {
            in_.fail_with(std::move(inner).rejection());
            return Scope{};
        }
        return Scope{by_category ? Scope::Kind::Category : Scope::Kind::Sequence, std::move(*name)};
    }
    // Never later than the record. An unsuppress from the future is merely cut: what it clears is
    // older than the record either way.
    Instant occurred_at(SuppressionEvent::Action action) {
        FieldReader inner;
        const auto given = inner.time(fields_[kOccurredAt], "occurred_at");
        inner.require(given, "occurred_at");
        if (!given) {
            in_.fail_with(std::move(inner).rejection());
            return record_time_;
        }
        if (*given > record_time_) {
            if (action == SuppressionEvent::Action::Suppress) {
                in_.fail("occurred_at", "lies after the record's own time");
            }
            return record_time_;
        }
        return *given;
    }
    Instant soft_bounce_end(Instant occurred_at) {
        const Instant standard = occurred_at + kSoftBounceTtl;
        if (!fields_[kExpiresAt]) {
            return standard;
        }
        FieldReader inner;
        const auto given = inner.time(fields_[kExpiresAt], "expires_at");
        if (!given || *given <= occurred_at) {
            in_.fail("expires_at", "must be an RFC 3339 time after occurred_at");
            return standard;
        }
        return *given;
    }

    const Members<kFieldCount>& fields_;
    const Instant record_time_;
    FieldReader in_;
};

constexpr std::array<std::string_view, kFieldCount> field_names(std::string_view who) {
    return {"action", "reason", "scope", "occurred_at", "expires_at", who};
}
constexpr auto kByRecipient = field_names("recipient_id");
constexpr auto kByAddress = field_names("email");

// The event's object, or why there is none.
tl::expected<dom::object, Rejection> object_of(JsonReader& json, const InputRecord& record) {
    const auto document = json.parse(record.value);
    if (!document) {
        return tl::unexpected<Rejection>(document.error());
    }
    dom::object object;
    if (document->get(object) != simdjson::SUCCESS) {
        return reject(Reason::InvalidField, "value: must be a JSON object");
    }
    return object;
}

// Whether any member called "action" asks for the opposite; Members keeps only one of several.
bool any_action_unsuppresses(dom::object object) {
    for (const dom::key_value_pair member : object) {
        std::string_view word;
        if (member.key == "action" && member.value.get(word) == simdjson::SUCCESS &&
            looks_like_unsuppress(word)) {
            return true;
        }
    }
    return false;
}

std::optional<std::string_view> text_of(const std::optional<dom::element>& value) {
    std::string_view text;
    if (!value || value->get(text) != simdjson::SUCCESS) {
        return std::nullopt;
    }
    return text;
}

tl::expected<SuppressionEvent, Rejection> read_event(dom::object object,
                                                     const Members<kFieldCount>& fields,
                                                     Instant record_time, const Rejection& doubt) {
    // Which of the two is meant? The one that covers more.
    if (repeats_a_key(object)) {
        if (any_action_unsuppresses(object)) {
            return reject(Reason::MalformedJson, "value: an object has the same key twice");
        }
        SuppressionEvent event;
        event.occurred_at = record_time;
        event.made_effective = true;
        return event;
    }
    return SuppressionReader{fields, record_time}.read(doubt);
}

void bound(tl::expected<SuppressionEvent, Rejection>& event, Instant latest) {
    if (event && event->action == SuppressionEvent::Action::Unsuppress &&
        event->occurred_at > latest) {
        event->stands_as_of = latest;
    }
}

constexpr std::string_view kKeyMissing = "key: required";

}  // namespace

Decoder::Suppression Decoder::suppression(const InputRecord& record, PartitionId partition,
                                          Instant latest) {
    Suppression result;
    const bool key_given = record.key && !record.key->empty();
    if (key_given && is_id(*record.key)) {
        result.recipient = RecipientId{*record.key};
    }
    const auto object = object_of(scratch_->json, record);
    Rejection doubt;
    std::optional<Members<kFieldCount>> fields;
    if (object) {
        fields.emplace(*object, kByRecipient);
        const auto who = text_of((*fields)[kWho]);
        if (!result.recipient) {
            // Not the producer's rule, but better than mailing someone who asked not to be.
            doubt = key_given ? Rejection{Reason::InvalidField,
                                          "key: must have 1 to 512 bytes of valid UTF-8"}
                              : Rejection{Reason::MissingKey, std::string{kKeyMissing}};
            if (who && is_id(*who)) {
                result.recipient = RecipientId{std::string{*who}};
            }
        } else if ((*fields)[kWho] && !(who && is_id(*who))) {
            doubt = {Reason::InvalidField, "recipient_id: must be a string of 1 to 512 bytes"};
        } else if (who && *who != result.recipient->value()) {
            doubt = {Reason::KeyMismatch, "recipient_id: differs from the record's key"};
        }
    }
    if (result.recipient) {
        const PartitionId home =
            partition_for(result.recipient->value(), partition_count_, config_.kafka.partitioner);
        if (home != partition) {
            result.belongs_to = home;
        }
    }
    if (!object) {
        result.event = tl::unexpected<Rejection>(
            key_given ? object.error() : Rejection{Reason::MissingKey, std::string{kKeyMissing}});
    } else if (!result.recipient) {
        result.event = tl::unexpected<Rejection>(doubt);
    } else {
        result.event = read_event(*object, *fields, record.timestamp, doubt);
        bound(result.event, latest);
    }
    return result;
}

Decoder::Suppression Decoder::address_suppression(const InputRecord& record, Instant latest) {
    Suppression result;
    const bool key_given = record.key && !record.key->empty();
    if (key_given) {
        result.address = normalise_address(*record.key);
    }
    const auto object = object_of(scratch_->json, record);
    if (!object) {
        result.event = tl::unexpected<Rejection>(
            key_given ? object.error() : Rejection{Reason::MissingKey, std::string{kKeyMissing}});
        return result;
    }
    const Members<kFieldCount> fields{*object, kByAddress};
    const auto who = text_of(fields[kWho]);
    const auto address = who ? normalise_address(*who) : std::nullopt;
    Rejection doubt;
    if (!result.address) {
        doubt = key_given ? Rejection{Reason::InvalidField, "key: not an email address"}
                          : Rejection{Reason::MissingKey, std::string{kKeyMissing}};
        result.address = address;
    } else if (fields[kWho] && !address) {
        doubt = {Reason::InvalidField, "email: not an email address"};
    } else if (address && *address != *result.address) {
        doubt = {Reason::KeyMismatch, "email: differs from the record's key"};
    }
    if (!result.address) {
        result.event = tl::unexpected<Rejection>(doubt);
    } else {
        result.event = read_event(*object, fields, record.timestamp, doubt);
        bound(result.event, latest);
    }
    return result;
}

}  // namespace postlane
