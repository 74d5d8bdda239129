#include "codec/encode.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstdlib>

#include "codec/json_writer.h"

namespace postlane {
namespace {

void append_length_prefixed(std::string& out, std::string_view bytes) {
    const std::uint64_t length = bytes.size();
    for (unsigned shift = 0; shift < 64; shift += 8) {
        out.push_back(static_cast<char>(length >> shift & 0xffU));
    }
    out.append(bytes);
}

using Sha256 = std::array<unsigned char, 32>;

// EVP_Digest looks its algorithm up by name and makes a context each time, which costs more than the digest of a key.
class Sha256Context {
public:
    Sha256Context()
        : algorithm_(EVP_MD_fetch(nullptr, "SHA2-256", nullptr)), context_(EVP_MD_CTX_new()) {}
    ~Sha256Context() {
        EVP_MD_CTX_free(context_);
        EVP_MD_free(algorithm_);
    }
    Sha256Context(const Sha256Context&) = delete;
    Sha256Context& operator=(const Sha256Context&) = delete;

    Sha256 digest(std::string_view bytes) {
        Sha256 result{};
        unsigned length = 0;
        if (EVP_DigestInit_ex2(context_, algorithm_, nullptr) != 1 ||
            EVP_DigestUpdate(context_, bytes.data(), bytes.size()) != 1 ||
            EVP_DigestFinal_ex(context_, result.data(), &length) != 1 || length != result.size()) {
            std::abort();  // a key that is not this one could send twice
        }
        return result;
    }

private:
    EVP_MD* const algorithm_;
    EVP_MD_CTX* const context_;
};

// RFC 4648 section 5, without padding.
std::string base64url(const Sha256& bytes) {
    constexpr std::size_t kDigits = (Sha256{}.size() * 4 + 2) / 3;
    std::array<unsigned char, kDigits + 2> text{};  // OpenSSL adds one "=" and a NUL
    EVP_EncodeBlock(text.data(), bytes.data(), static_cast<int>(bytes.size()));
    std::string result(text.begin(), text.begin() + kDigits);
    std::replace(result.begin(), result.end(), '+', '-');
    std::replace(result.begin(), result.end(), '/', '_');
    return result;
}

// A provider's bytes are not ours to trust: what is no UTF-8 loses its non-ASCII bytes.
std::string valid_text(std::string_view text) {
    std::string result{text};
    if (!simdjson::validate_utf8(text)) {
        std::replace_if(
            result.begin(), result.end(),
            [](char c) { return static_cast<unsigned char>(c) >= 0x80; }, '?');
    }
    return result;
}

void member_unless_empty(JsonWriter& json, std::string_view name, const std::string& text) {
    if (!text.empty()) {
        json.member(name, std::string_view{text});
    }
}

void input(JsonWriter& json, const std::string& topic, PartitionId partition, Offset offset) {
    json.key("input").begin_object();
    json.member("topic", std::string_view{topic});
    json.member("partition", partition).member("offset", offset).end_object();
}

// A longer raw key is no ID, and twice in a record (as its key and in its value) it may not fit the topic.
constexpr std::size_t kRawKeyBytesMax = 4'096;

bool fits(const std::optional<std::string>& input_key) {
    return input_key && input_key->size() <= kRawKeyBytesMax;
}

// Of the ID where there is one, else of the raw key if that is text.
std::optional<std::string> recipient_text(const std::optional<RecipientId>& recipient,
                                          const std::optional<std::string>& input_key) {
    if (recipient) {
        return recipient->value();
    }
    if (fits(input_key) && simdjson::validate_utf8(*input_key)) {
        return input_key;
    }
    return std::nullopt;
}

void recipient_member(JsonWriter& json, const std::optional<RecipientId>& recipient,
                      const std::optional<std::string>& input_key) {
    if (const auto text = recipient_text(recipient, input_key)) {
        json.member("recipient_id", std::string_view{*text});
    }
}

OutRecord to_outcomes(PartitionId partition, const std::optional<RecipientId>& recipient,
                      const std::optional<std::string>& input_key, std::string value) {
    OutRecord record;
    record.destination = Destination::Outcomes;
    record.partition = partition;
    if (recipient) {
        record.key = recipient->value();
    } else if (fits(input_key)) {
        record.key = input_key;
    }
    record.value = std::move(value);
    return record;
}

void suppression_member(JsonWriter& json, const SuppressionHit& hit) {
    json.key("suppression").begin_object();
    json.member("scope", std::string_view{to_string(hit.scope)});
    json.member("reason", to_string(hit.reason));
    json.member("occurred_at", std::string_view{format_time(hit.occurred_at)});
    json.member("by", hit.by == SuppressionHit::By::Recipient ? "recipient" : "address");
    json.end_object();
}

void message_members(JsonWriter& json, const OutcomeRecord& outcome) {
    if (outcome.message_id) {
        json.member("message_id", std::string_view{outcome.message_id->value()});
    }
    member_unless_empty(json, "campaign_id", outcome.campaign_id);
    if (outcome.sequence) {
        json.key("sequence").begin_object();
        json.member("id", std::string_view{outcome.sequence->id});
        json.member("step", outcome.sequence->step).end_object();
    }
    member_unless_empty(json, "category", outcome.category);
    member_unless_empty(json, "route", outcome.route);
    member_unless_empty(json, "provider", outcome.provider);
    member_unless_empty(json, "provider_message_id", valid_text(outcome.provider_message_id));
    if (outcome.attempts > 0 && outcome.recipient_id && outcome.message_id) {
        json.member("idempotency_key",
                    std::string_view{idempotency_key(*outcome.recipient_id, *outcome.message_id)});
    }
    json.member("attempts", outcome.attempts);
}

std::string_view result_word(SuppressionReceipt::Result result) noexcept {
    switch (result) {
        case SuppressionReceipt::Result::Applied:
            return "applied";
        case SuppressionReceipt::Result::Superseded:
            return "superseded";
        case SuppressionReceipt::Result::Forwarded:
            return "forwarded";
        case SuppressionReceipt::Result::Rejected:
            return "rejected";
    }
    std::abort();  // no such result: memory is damaged
}

}  // namespace

std::string idempotency_key(const RecipientId& recipient, const MessageId& message) {
    // Lengths keep ("ab", "c") and ("a", "bc") apart. Providers remember keys: never change this.
    std::string bytes;
    bytes.reserve(64 + recipient.value().size() + message.value().size());
    bytes = "postlane-id-1";
    append_length_prefixed(bytes, recipient.value());
    append_length_prefixed(bytes, message.value());
    thread_local Sha256Context sha256;
    return base64url(sha256.digest(bytes));
}

OutRecord encode_outcome(const Config& config, PartitionId partition, const OutcomeRecord& outcome,
                         const std::optional<std::string>& input_key) {
    std::string value;
    value.reserve(768);
    JsonWriter json{value};
    json.begin_object();
    json.member("type", "outcome").member("outcome", to_string(outcome.outcome));
    if (outcome.reason != Reason::None) {
        json.member("reason", to_string(outcome.reason));
    }
    recipient_member(json, outcome.recipient_id, input_key);
    message_members(json, outcome);
    input(json, config.topics.sends, partition, outcome.input_offset);
    json.member("received_at", std::string_view{format_time(outcome.received_at)});
    json.member("decided_at", std::string_view{format_time(outcome.decided_at)});
    if (outcome.checked) {
        json.member("checked",
                    *outcome.checked == CheckedAt::Acceptance ? "acceptance" : "attempt");
    }
    if (outcome.suppression) {
        suppression_member(json, *outcome.suppression);
    }
    if (!outcome.skipped_steps.empty()) {
        json.key("skipped_steps").begin_array();
        for (const Step step : outcome.skipped_steps) {
            json.value(step);
        }
        json.end_array();
    }
    if (outcome.original) {
        json.key("original").begin_object();
        input(json, config.topics.sends, partition, outcome.original->input_offset);
        json.member("state", to_string(outcome.original->state)).end_object();
    }
    json.end_object();
    return to_outcomes(partition, outcome.recipient_id, input_key, std::move(value));
}

OutRecord encode_receipt(const Config& config, PartitionId partition,
                         const SuppressionReceipt& receipt,
                         const std::optional<std::string>& input_key) {
    std::string value;
    JsonWriter json{value};
    json.begin_object();
    json.member("type", "suppression").member("result", result_word(receipt.result));
    if (receipt.reason != Reason::None) {
        json.member("reason", to_string(receipt.reason));
    }
    recipient_member(json, receipt.recipient_id, input_key);
    input(json, config.topics.suppressions, partition, receipt.input_offset);
    json.member("decided_at", std::string_view{format_time(receipt.decided_at)}).end_object();
    return to_outcomes(partition, receipt.recipient_id, input_key, std::move(value));
}

}  // namespace postlane
