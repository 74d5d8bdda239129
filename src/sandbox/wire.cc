#include "sandbox/wire.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>

#include "sandbox/json.h"

namespace postlane::sandbox {
namespace {

using simdjson::dom::array;
using simdjson::dom::element;
using simdjson::dom::object;
using Text = std::optional<std::string_view>;
using MaybeProblem = std::optional<Problem>;

Text text_at(const object& parent, std::string_view key) {
    std::string_view text;
    if (parent[key].get(text) == simdjson::SUCCESS) {
        return text;
    }
    return std::nullopt;
}

bool has_text(const object& parent, std::string_view key) {
    const Text text = text_at(parent, key);
    return text && !text->empty();
}

std::optional<object> object_at(const object& parent, std::string_view key) {
    object child;
    if (parent[key].get(child) == simdjson::SUCCESS) {
        return child;
    }
    return std::nullopt;
}

void take_first(Text& field, const Text& candidate) {
    if (!field) {
        field = candidate;
    }
}

bool is_address(const Text& text) {
    return text && text->size() >= 3 && text->find('@') != std::string_view::npos;
}

// "Ann <ann@example.com>" or the bare address.
std::string_view bare_address(std::string_view mailbox) {
    const auto open = mailbox.rfind('<');
    const auto close = mailbox.rfind('>');
    if (open == std::string_view::npos || close == std::string_view::npos || close < open) {
        return mailbox;
    }
    return mailbox.substr(open + 1, close - open - 1);
}

// SendGrid -------------------------------------------------------------------------------------

Problem sendgrid_problem(std::string field, std::string message) {
    return {.status = 400, .name = {}, .field = std::move(field), .message = std::move(message)};
}

void read_custom_args(const object& parent, Envelope& envelope) {
    if (const auto args = object_at(parent, "custom_args")) {
        take_first(envelope.postlane_id, text_at(*args, "postlane_id"));
        take_first(envelope.tag, text_at(*args, "tag"));
    }
}

MaybeProblem read_recipients(const object& personalization, std::size_t index, Envelope& envelope) {
    array recipients;
    if (personalization["to"].get(recipients) != simdjson::SUCCESS || recipients.size() == 0) {
        return sendgrid_problem(fmt::format("personalizations.{}.to", index),
                                "The to array is required for all personalization objects, and "
                                "must have at least one email object with a valid email address.");
    }
    for (const element recipient : recipients) {
        object mailbox;
        Text email;
        if (recipient.get(mailbox) == simdjson::SUCCESS) {
            email = text_at(mailbox, "email");
        }
        if (!is_address(email)) {
            return sendgrid_problem(fmt::format("personalizations.{}.to", index),
                                    "Does not contain a valid address.");
        }
        take_first(envelope.to, email);
        ++envelope.recipients;
    }
    return std::nullopt;
}

MaybeProblem read_personalizations(const object& root, Envelope& envelope, bool& all_have_subject) {
    array personalizations;
    if (root["personalizations"].get(personalizations) != simdjson::SUCCESS ||
        personalizations.size() == 0 || personalizations.size() > 1000) {
        return sendgrid_problem("personalizations",
                                "The personalizations field is required and must have from 1 to "
                                "1000 personalizations.");
    }
    std::size_t index = 0;
    for (const element item : personalizations) {
        object personalization;
        if (item.get(personalization) != simdjson::SUCCESS) {
            return sendgrid_problem("personalizations", "Each personalization must be an object.");
        }
        if (auto problem = read_recipients(personalization, index, envelope)) {
            return problem;
        }
        read_custom_args(personalization, envelope);
        take_first(envelope.subject, text_at(personalization, "subject"));
        all_have_subject = all_have_subject && has_text(personalization, "subject");
        ++index;
    }
    return std::nullopt;
}

MaybeProblem check_sendgrid_content(const object& root) {
    array content;
    if (root["content"].get(content) != simdjson::SUCCESS || content.size() == 0) {
        return sendgrid_problem("content",
                                "Unless a valid template_id is provided, the content "
                                "parameter is required.");
    }
    for (const element item : content) {
        object part;
        if (item.get(part) != simdjson::SUCCESS || !has_text(part, "type") ||
            !has_text(part, "value")) {
            return sendgrid_problem("content",
                                    "Each content object needs a type and a value of "
                                    "at least one character.");
        }
    }
    return std::nullopt;
}

MaybeProblem read_sendgrid(const object& root, Envelope& envelope) {
    bool all_have_subject = true;
    if (auto problem = read_personalizations(root, envelope, all_have_subject)) {
        return problem;
    }
    read_custom_args(root, envelope);
    take_first(envelope.subject, text_at(root, "subject"));
    const auto from = object_at(root, "from");
    if (!from || !is_address(text_at(*from, "email"))) {
        return sendgrid_problem("from.email",
                                "The from object must be provided for every email "
                                "send, with a valid email address.");
    }
    if (has_text(root, "template_id")) {
        return std::nullopt;
    }
    if (!all_have_subject && !has_text(root, "subject")) {
        return sendgrid_problem("subject",
                                "The subject is required. You can get around this "
                                "requirement with a template_id.");
    }
    return check_sendgrid_content(root);
}

// Resend ---------------------------------------------------------------------------------------

Problem missing_field(std::string_view field) {
    return {.status = 422,
            .name = "missing_required_field",
            .field = std::string{field},
            .message = fmt::format("Missing `{}` field.", field)};
}

Problem invalid_address(std::string_view field) {
    return {.status = 422,
            .name = "validation_error",
            .field = std::string{field},
            .message = fmt::format("Invalid `{}` field. The email address needs to follow the "
                                   "`email@example.com` or `Name <email@example.com>` format.",
                                   field)};
}

MaybeProblem read_resend_recipients(const object& root, Envelope& envelope) {
    element to;
    if (root["to"].get(to) != simdjson::SUCCESS) {
        return missing_field("to");
    }
    std::string_view single;
    if (to.get(single) == simdjson::SUCCESS) {
        if (!is_address(single)) {
            return invalid_address("to");
        }
        envelope.to = bare_address(single);
        envelope.recipients = 1;
        return std::nullopt;
    }
    array several;
    if (to.get(several) != simdjson::SUCCESS || several.size() == 0 || several.size() > 50) {
        return invalid_address("to");
    }
    for (const element item : several) {
        if (item.get(single) != simdjson::SUCCESS || !is_address(single)) {
            return invalid_address("to");
        }
        take_first(envelope.to, bare_address(single));
        ++envelope.recipients;
    }
    return std::nullopt;
}

void read_resend_tags(const object& root, Envelope& envelope) {
    array tags;
    if (root["tags"].get(tags) != simdjson::SUCCESS) {
        return;
    }
    for (const element item : tags) {
        object tag;
        if (item.get(tag) != simdjson::SUCCESS) {
            continue;
        }
        const Text name = text_at(tag, "name");
        if (name == "tag") {
            take_first(envelope.tag, text_at(tag, "value"));
        } else if (name == "postlane_id") {
            take_first(envelope.postlane_id, text_at(tag, "value"));
        }
    }
}

MaybeProblem read_resend(const object& root, Envelope& envelope) {
    envelope.subject = text_at(root, "subject");
    read_resend_tags(root, envelope);
    if (auto problem = read_resend_recipients(root, envelope)) {
        return problem;
    }
    const Text from = text_at(root, "from");
    if (!from) {
        return missing_field("from");
    }
    if (!is_address(from)) {
        return invalid_address("from");
    }
    element ignored;
    const bool has_template = root["template"].get(ignored) == simdjson::SUCCESS;
    if (!has_text(root, "subject") && !has_template) {
        return missing_field("subject");
    }
    if (!has_text(root, "html") && !has_text(root, "text") && !has_template) {
        return missing_field("html");
    }
    return std::nullopt;
}

// The generic provider: a send event -------------------------------------------------------------

MaybeProblem read_http(const object& root, Envelope& envelope) {
    envelope.recipient_id = text_at(root, "recipient_id");
    envelope.message_id = text_at(root, "message_id");
    if (const auto metadata = object_at(root, "metadata")) {
        envelope.tag = text_at(*metadata, "tag");
        envelope.postlane_id = text_at(*metadata, "postlane_id");
    }
    if (const auto content = object_at(root, "content")) {
        envelope.subject = text_at(*content, "subject");
    }
    take_first(envelope.subject, text_at(root, "subject"));
    if (const auto sequence = object_at(root, "sequence")) {
        envelope.sequence_id = text_at(*sequence, "id");
        std::int64_t step = 0;
        if ((*sequence)["step"].get(step) == simdjson::SUCCESS) {
            envelope.sequence_step = step;
        }
    }
    if (const auto to = object_at(root, "to")) {
        envelope.to = text_at(*to, "email");
    }
    if (!is_address(envelope.to)) {
        return Problem{.status = 400,
                       .name = "invalid_field",
                       .field = "to.email",
                       .message = "to.email must be an address"};
    }
    envelope.recipients = 1;
    return std::nullopt;
}

}  // namespace

std::string_view name_of(Provider provider) {
    static constexpr std::array<std::string_view, kProviderCount> kNames{"sendgrid", "resend",
                                                                         "http"};
    return kNames.at(static_cast<std::size_t>(provider));
}

Provider provider_of(std::string_view path) {
    if (path == "/v3/mail/send") {
        return Provider::SendGrid;
    }
    return path == "/emails" ? Provider::Resend : Provider::Http;
}

struct BodyReader::State {
    simdjson::dom::parser parser;
};

BodyReader::BodyReader() : state_(new State) {}
BodyReader::~BodyReader() {
    delete state_;
}

std::optional<Problem> BodyReader::read(Provider provider, std::string& body, Envelope& envelope) {
    // simdjson reads past the end; with the room reserved it need not copy the body.
    body.reserve(body.size() + simdjson::SIMDJSON_PADDING);
    element root;
    const auto error = state_->parser.parse(body.data(), body.size(), false).get(root);
    object message;
    if (error != simdjson::SUCCESS || root.get(message) != simdjson::SUCCESS) {
        return Problem{.status = 400,
                       .name = "validation_error",
                       .field = {},
                       .message = error == simdjson::SUCCESS
                                      ? "The body must be a JSON object."
                                      : fmt::format("The body is not valid JSON: {}",
                                                    simdjson::error_message(error))};
    }
    std::optional<Problem> problem;
    switch (provider) {
        case Provider::SendGrid:
            problem = read_sendgrid(message, envelope);
            break;
        case Provider::Resend:
            problem = read_resend(message, envelope);
            break;
        case Provider::Http:
            problem = read_http(message, envelope);
            break;
    }
    take_first(envelope.tag, envelope.subject);
    return problem;
}

Answer accepted(Provider provider, std::string_view id) {
    if (provider == Provider::SendGrid) {
        return {.status = 202, .body = {}, .headers = fmt::format("X-Message-Id: {}\r\n", id)};
    }
    return {.status = 200, .body = fmt::format("{{\"id\":\"{}\"}}", id), .headers = {}};
}

Answer refused(Provider provider, const Problem& problem) {
    Answer answer{.status = problem.status, .body = {}, .headers = {}};
    const std::string message = json_string(problem.message);
    switch (provider) {
        case Provider::SendGrid:
            answer.body =
                fmt::format(R"({{"errors":[{{"message":{},"field":{},"help":null}}]}})", message,
                            problem.field.empty() ? "null" : json_string(problem.field));
            break;
        case Provider::Resend:
            answer.body = fmt::format(R"({{"statusCode":{},"name":{},"message":{}}})",
                                      problem.status, json_string(problem.name), message);
            break;
        case Provider::Http:
            answer.body =
                fmt::format(R"({{"error":{},"message":{}}})", json_string(problem.name), message);
            break;
    }
    return answer;
}

Answer throttled(Provider provider, std::uint32_t retry_after_s) {
    Answer answer = refused(provider, {.status = 429,
                                       .name = "rate_limit_exceeded",
                                       .field = {},
                                       .message = "Too many requests."});
    answer.headers = fmt::format("Retry-After: {}\r\n", retry_after_s);
    return answer;
}

}  // namespace postlane::sandbox
