// Send events: checks 1-5 of protocol section 6.
#include <fmt/format.h>

#include "codec/body_hash.h"
#include "codec/decode.h"
#include "codec/decode_fields.h"
#include "codec/decode_header_names.h"
#include "codec/decode_scratch.h"
#include "codec/normalise.h"

namespace postlane {
namespace {

namespace dom = simdjson::dom;

// Text that reaches a header stays on one line of RFC 5322's 998 characters.
constexpr std::size_t kHeaderBytesMax = 998;
constexpr TextRule kIdRule{Characters::OneLine, 1, 256};
constexpr TextRule kSubjectRule{Characters::OneLine, 1, kHeaderBytesMax};
constexpr TextRule kBodyRule{Characters::Text, 0, SIZE_MAX};
constexpr TextRule kHeaderValueRule{Characters::OneLine, 0, kHeaderBytesMax};
constexpr TextRule kUrlRule{Characters::OneLine, 1, 900};
constexpr TextRule kTagRule{Characters::OneLine, 1, 128};
constexpr TextRule kMetadataRule{Characters::OneLine, 0, 10'000};
constexpr std::size_t kHeadersMax = 50;
constexpr std::size_t kTagsMax = 10;
constexpr std::size_t kMetadataMax = 50;
constexpr std::size_t kMetadataKeyBytesMax = 128;
constexpr std::size_t kMetadataBytesMax = 10'000;
// Of the record, not of the mail. The ledger keeps them beside the value until the message ends, and its topic takes
// records of dispatch.max_payload_bytes and 64 KiB.
constexpr std::size_t kRecordHeadersBytesMax = 32 * 1024;
constexpr std::uint64_t kStepMax = std::uint64_t{1} << 53U;  // what every JSON reader holds exactly
constexpr std::uint64_t kDelayMaxMs = std::uint64_t{3650} * 86'400'000;

enum Field : std::size_t {
    kMessageId,
    kCampaignId,
    kRecipientId,
    kTo,
    kCategory,
    kSequence,
    kSendAt,
    kDelay,
    kExpiresAt,
    kRoute,
    kFrom,
    kReplyTo,
    kTemplate,
    kContent,
    kHeaders,
    kTags,
    kMetadata,
    kUnsubscribeUrl,
    kSpecVersion,
    kFieldCount,
};
constexpr std::array<std::string_view, kFieldCount> kFieldNames{
    "message_id", "campaign_id",     "recipient_id", "to",
    "category",   "sequence",        "send_at",      "delay_after_previous_ms",
    "expires_at", "route",           "from",         "reply_to",
    "template",   "content",         "headers",      "tags",
    "metadata",   "unsubscribe_url", "specversion"};

// One printable ASCII line with a host and no credentials, that fits between '<' and '>'.
bool is_https_url(std::string_view url) noexcept {
    constexpr std::string_view kScheme = "https://";
    if (url.size() <= kScheme.size() ||
        !equal_ignoring_case(url.substr(0, kScheme.size()), kScheme)) {
        return false;
    }
    for (const char c : url) {
        if (c <= ' ' || c > '~' || c == '<' || c == '>' || c == '"' || c == '\\') {
            return false;
        }
    }
    url.remove_prefix(kScheme.size());
    const std::string_view authority = url.substr(0, url.find_first_of("/?#"));
    return !authority.empty() && authority.front() != ':' &&
           authority.find('@') == std::string_view::npos;
}

// Reads one event; the record's own checks are done.
class SendReader {
public:
    SendReader(const JsonReader& json, dom::object object)
        : json_(json), fields_(object, kFieldNames) {}

    void read(SendEvent& event) {
        ids(event);
        to(event);
        sequence(event);
        if (auto category = in_.name(fields_[kCategory], "category")) {
            event.category = std::move(*category);
        } else {
            event.category = "default";
        }
        times(event);
        event.route = in_.name(fields_[kRoute], "route").value_or("default");
        event.from = in_.mailbox(fields_[kFrom], {"from", "from.email", "from.name"});
        event.reply_to =
            in_.mailbox(fields_[kReplyTo], {"reply_to", "reply_to.email", "reply_to.name"});
        templated(event);
        content(event);
        url(event);
        headers(event);
        tags(event);
        metadata(event);
        default_message_id(event);
    }

    FieldReader& problems() noexcept { return in_; }
    // Absent unless given and a string; whether it is the right one is the caller's question.
    [[nodiscard]] const std::optional<std::string_view>& recipient() const noexcept {
        return recipient_;
    }
    [[nodiscard]] const std::optional<dom::element>& template_data() const noexcept {
        return template_data_;
    }

private:
    // recipient_id and message_id are exact bytes and reach no header.
    std::optional<std::string_view> id(Field field) {
        const auto& value = fields_[field];
        if (!value || in_.failed()) {
            return std::nullopt;
        }
        std::string_view text;
        if (value->get(text) != simdjson::SUCCESS) {
            in_.fail(kFieldNames[field], "must be a string");
            return std::nullopt;
        }
        if (!is_id(text)) {
            in_.fail(kFieldNames[field], "must have 1 to 512 bytes");
            return std::nullopt;
        }
        return text;
    }
    void ids(SendEvent& event) {
        if (const auto given = id(kMessageId)) {
            event.message_id = MessageId{std::string{*given}};
            event.message_id_given = true;
        } else {
            event.message_id_given = false;
        }
        if (const auto given = in_.text(fields_[kCampaignId], "campaign_id", kIdRule)) {
            event.campaign_id = *given;
        }
        recipient_ = id(kRecipientId);
        event.recipient_id_given = recipient_.has_value();
    }
    void to(SendEvent& event) {
        auto mailbox = in_.mailbox(fields_[kTo], {"to", "to.email", "to.name"}, &event.address);
        if (mailbox) {
            event.to = std::move(*mailbox);
        } else if (!fields_[kTo] && fields_[kSpecVersion]) {
            in_.fail("to", kEnvelopeHint);
        } else {
            in_.require(mailbox, "to");
        }
    }
    void sequence(SendEvent& event) {
        static constexpr std::array<std::string_view, 2> kNames{"id", "step"};
        const auto object = in_.object(fields_[kSequence], "sequence");
        if (!object) {
            return;
        }
        const Members<2> members{*object, kNames};
        auto name = in_.name(members[0], "sequence.id");
        in_.require(name, "sequence.id");
        const auto step = in_.whole_number(members[1], "sequence.step", 1, kStepMax);
        in_.require(step, "sequence.step");
        if (name && step) {
            event.sequence = SequenceRef{std::move(*name), *step};
        }
    }
    void times(SendEvent& event) {
        event.send_at = in_.time(fields_[kSendAt], "send_at");
        const auto delay =
            in_.whole_number(fields_[kDelay], "delay_after_previous_ms", 0, kDelayMaxMs);
        if (delay && !event.sequence) {
            in_.fail("delay_after_previous_ms", "only with a sequence");
        } else if (delay) {
            event.delay_after_previous = Millis{static_cast<Millis::rep>(*delay)};
        }
        event.expires_at = in_.time(fields_[kExpiresAt], "expires_at");
    }
    void templated(SendEvent& event) {
        static constexpr std::array<std::string_view, 2> kNames{"id", "data"};
        const auto object = in_.object(fields_[kTemplate], "template");
        if (!object) {
            return;
        }
        const Members<2> members{*object, kNames};
        const auto name = in_.text(members[0], "template.id", kIdRule);
        in_.require(name, "template.id");
        const auto data = in_.object(members[1], "template.data");
        if (in_.failed()) {
            return;
        }
        event.templated = SendEvent::Template{std::string{*name}, "{}"};
        if (data) {
            // As written: a number keeps every digit.
            const auto outer = raw_member(json_.text(), fields_.ordinal(kTemplate));
            event.templated->data_json = raw_member(outer, members.ordinal(1));
            template_data_ = members[1];
        }
    }
    void content(SendEvent& event) {
        static constexpr std::array<std::string_view, 3> kNames{"subject", "text", "html"};
        const auto object = in_.object(fields_[kContent], "content");
        if (object) {
            const Members<3> members{*object, kNames};
            const auto subject = in_.text(members[0], "content.subject", kSubjectRule);
            in_.require(subject, "content.subject");
            const auto text = in_.text(members[1], "content.text", kBodyRule).value_or("");
            const auto html = in_.text(members[2], "content.html", kBodyRule).value_or("");
            if (text.empty() && html.empty()) {
                in_.fail("content", "needs text or html");
            }
            event.content = SendEvent::Content{std::string{subject.value_or("")}, std::string{text},
                                               std::string{html}};
        }
        if (event.templated && event.content) {
            in_.fail("content", "not together with template");
        } else if (!fields_[kTemplate] && !fields_[kContent]) {
            in_.fail("template", "either template or content is required");
        }
    }
    void url(SendEvent& event) {
        const auto given = in_.text(fields_[kUnsubscribeUrl], "unsubscribe_url", kUrlRule);
        if (given && !is_https_url(*given)) {
            in_.fail("unsubscribe_url",
                     "must be an https URL in ASCII, without user name (RFC 8058)");
        } else if (given) {
            event.unsubscribe_url = *given;
        }
    }
    void headers(SendEvent& event) {
        const auto object = in_.object(fields_[kHeaders], "headers");
        if (!object) {
            return;
        }
        for (const dom::key_value_pair member : *object) {
            if (event.headers.size() == kHeadersMax) {
                in_.fail("headers", fmt::format("more than {}", kHeadersMax));
            } else if (!is_header_name(member.key)) {
                in_.fail("headers", "a name is not a header name of at most 76 characters");
            } else if (is_reserved_header(member.key, !event.unsubscribe_url.empty())) {
                in_.fail("headers", "a name belongs to postlane, the provider or the mail system");
            }
            for (const auto& [name, value] : event.headers) {
                if (equal_ignoring_case(name, member.key)) {
                    in_.fail("headers", "a name appears twice, in other letter case");
                }
            }
            const auto value = in_.text(member.value, "headers (a value)", kHeaderValueRule);
            if (in_.failed()) {
                return;
            }
            event.headers.emplace_back(member.key, *value);
        }
    }
    void tags(SendEvent& event) {
        if (!fields_[kTags] || in_.failed()) {
            return;
        }
        dom::array array;
        if (fields_[kTags]->get(array) != simdjson::SUCCESS) {
            in_.fail("tags", "must be an array of strings");
            return;
        }
        for (const dom::element element : array) {
            if (event.tags.size() == kTagsMax) {
                in_.fail("tags", fmt::format("more than {}", kTagsMax));
            }
            const auto tag = in_.text(element, "tags (an item)", kTagRule);
            if (in_.failed()) {
                return;
            }
            event.tags.emplace_back(*tag);
        }
    }
    void metadata(SendEvent& event) {
        const auto object = in_.object(fields_[kMetadata], "metadata");
        if (!object) {
            return;
        }
        std::size_t bytes = 0;
        std::size_t ordinal = 0;
        std::string_view raw;
        for (const dom::key_value_pair member : *object) {
            if (event.metadata.size() == kMetadataMax) {
                in_.fail("metadata", fmt::format("more than {} members", kMetadataMax));
            } else if (member.key.empty() || member.key.size() > kMetadataKeyBytesMax ||
                       !has_only(member.key, Characters::OneLine)) {
                in_.fail("metadata", "a key must have 1 to 128 bytes on one line");
            } else if (member.key == "postlane_id") {
                in_.fail("metadata", "postlane_id is written by postlane");
            }
            std::string value;
            if (member.value.is_string()) {
                value = in_.text(member.value, "metadata (a value)", kMetadataRule).value_or("");
            } else {
                if (raw.empty()) {
                    raw = raw_member(json_.text(), fields_.ordinal(kMetadata));
                }
                value = compact(raw_member(raw, ordinal));
            }
            bytes += member.key.size() + value.size();
            if (bytes > kMetadataBytesMax) {
                in_.fail("metadata",
                         fmt::format("keys and values exceed {} bytes", kMetadataBytesMax));
            }
            if (in_.failed()) {
                return;
            }
            event.metadata.emplace_back(member.key, std::move(value));
            ++ordinal;
        }
    }
    // The contract's defaults. Built from checked ids, so the result is one.
    void default_message_id(SendEvent& event) {
        if (event.message_id_given || in_.failed()) {
            return;
        }
        std::string made;
        if (!event.campaign_id.empty()) {
            made = "campaign:" + event.campaign_id;
        }
        if (event.sequence) {
            made += fmt::format("{}sequence:{}:{}", made.empty() ? "" : ":", event.sequence->id,
                                event.sequence->step);
        }
        if (made.empty()) {
            in_.fail("message_id", "required where there is neither campaign_id nor sequence");
        }
        event.message_id = MessageId{std::move(made)};
    }

    const JsonReader& json_;
    const Members<kFieldCount> fields_;
    FieldReader in_;
    std::optional<std::string_view> recipient_;
    std::optional<dom::element> template_data_;
};

tl::unexpected<Rejection> reject(Reason reason, std::string detail) {
    return tl::unexpected<Rejection>(Rejection{reason, std::move(detail)});
}

Rejection::Message message_of(SendEvent event) {
    return {.id = std::move(event.message_id),
            .campaign_id = std::move(event.campaign_id),
            .sequence = std::move(event.sequence),
            .category = std::move(event.category),
            .route = std::move(event.route)};
}

std::size_t bytes_of(const std::vector<Header>& headers) {
    constexpr std::size_t kLengths = 8;
    std::size_t bytes = 0;
    for (const Header& header : headers) {
        bytes += header.name.size() + (header.value ? header.value->size() : 0) + kLengths;
    }
    return bytes;
}

}  // namespace

tl::expected<SendEvent, Rejection> Decoder::send(const InputRecord& record, PartitionId partition) {
    if (!record.key || record.key->empty()) {
        return reject(Reason::MissingKey, "key: required; it is the recipient's id");
    }
    const PartitionId home =
        partition_for(*record.key, partition_count_, config_.kafka.partitioner);
    if (home != partition) {
        return reject(Reason::MisroutedKey,
                      fmt::format("key: belongs to partition {} by kafka.partitioner; give the "
                                  "producer the same partitioner",
                                  home));
    }
    if (record.value && record.value->size() > config_.dispatch.max_payload_bytes) {
        return reject(Reason::TooLarge,
                      fmt::format("value: {} bytes; dispatch.max_payload_bytes is {}",
                                  record.value->size(), config_.dispatch.max_payload_bytes));
    }
    if (const std::size_t bytes = bytes_of(record.headers); bytes > kRecordHeadersBytesMax) {
        return reject(Reason::TooLarge, fmt::format("headers of the record: {} bytes; at most {}",
                                                    bytes, kRecordHeadersBytesMax));
    }
    return decode_send(record.value, *record.key, Checks::All);
}

tl::expected<SendEvent, Rejection> Decoder::stored(const RecipientId& recipient,
                                                   const Payload& payload) {
    return decode_send(payload.value, recipient.value(), Checks::FieldsOnly);
}

tl::expected<SendEvent, Rejection> Decoder::decode_send(const std::optional<std::string>& value,
                                                        const std::string& key, Checks checks) {
    const auto document = scratch_->json.parse(value);
    if (!document) {
        return tl::unexpected<Rejection>(document.error());
    }
    if (repeats_a_key(*document)) {
        return reject(Reason::MalformedJson, "value: an object has the same key twice");
    }
    dom::object object;
    if (document->get(object) != simdjson::SUCCESS) {
        return reject(Reason::InvalidField, "value: must be a JSON object");
    }
    SendEvent event;
    SendReader reader{scratch_->json, object};
    FieldReader& problems = reader.problems();
    if (checks == Checks::All && !is_id(key)) {
        problems.fail("key", "must have 1 to 512 bytes of valid UTF-8");
    }
    reader.read(event);
    if (checks == Checks::All) {
        if (reader.recipient() && *reader.recipient() != key) {
            problems.fail("recipient_id", "differs from the record's key", Reason::KeyMismatch);
        }
        const config::Route* const route = config_.find_route(event.route);
        if (route == nullptr) {
            problems.fail("route", "no such route is configured", Reason::UnknownRoute);
        } else if (!event.from && !route->from) {
            problems.fail("from", "required, because the route has none");
        }
    }
    if (problems.failed()) {
        Rejection rejection = std::move(problems).rejection();
        if (rejection.reason == Reason::KeyMismatch || rejection.reason == Reason::UnknownRoute) {
            if (config_.find_route(event.route) == nullptr) {
                event.route.clear();  // anything may stand there, an address too
            }
            rejection.message = message_of(std::move(event));
        }
        return tl::unexpected<Rejection>(std::move(rejection));
    }
    event.recipient_id = RecipientId{key};
    event.body_hash = body_hash(event, reader.template_data(), scratch_->canonical);
    event.json = scratch_->json.text();
    return event;
}

}  // namespace postlane
