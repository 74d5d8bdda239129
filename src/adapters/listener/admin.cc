#include "adapters/listener/admin.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <string>

#include "adapters/listener/recipient_report.h"
#include "adapters/listener/telemetry.h"
#include "codec/decode.h"
#include "codec/encode.h"
#include "codec/normalise.h"
#include "postlane/suppression_gate.h"

namespace postlane {
namespace {

namespace json = boost::json;

HttpReply refusal(const AdminError& error) {
    HttpReply reply;
    switch (error.kind) {
        case AdminError::Kind::NotOwned:
            return problem(421, "not_owned", error.detail);
        case AdminError::Kind::Unsupported:
            return problem(400, "unsupported", error.detail);
        case AdminError::Kind::Restoring:
            reply = problem(503, "restoring", error.detail);
            break;
        case AdminError::Kind::Busy:
            reply = problem(409, "busy", error.detail);
            break;
        case AdminError::Kind::Unavailable:
            reply = problem(503, "unavailable", error.detail);
            break;
    }
    const auto wait = error.retry_after.value_or(std::chrono::seconds(2));
    reply.headers.emplace_back("Retry-After", std::to_string(wait.count()));
    return reply;
}

HttpReply timeline(AdminSource& admin, const Config& config, const HttpCall& call) {
    const std::string& id = call.parameters.at("id");
    const auto message = call.query_value("message");
    if (!is_id(id) || (message && !is_id(*message))) {
        return problem(400, "bad_id", "recipient and message ids are 1 to 512 bytes of UTF-8");
    }
    const RecipientId recipient(id);
    std::optional<MessageId> message_id;
    if (message) {
        message_id.emplace(*message);
    }
    const auto facts = admin.recipient(recipient, message_id);
    return facts ? json_reply(recipient_report_json(recipient, message_id, *facts, config))
                 : refusal(facts.error());
}

struct Check {
    SuppressionQuestion question;
    std::string category = "default";
    std::string sequence;
};

// Absent: fine. Present: a text.
bool read_text(simdjson::dom::object object, const char* name, std::optional<std::string>& text) {
    const auto found = object[name];
    if (found.error() == simdjson::NO_SUCH_FIELD) {
        return true;
    }
    std::string_view value;
    if (found.get(value) != simdjson::SUCCESS) {
        return false;
    }
    text = value;
    return true;
}

tl::expected<Check, std::string> parse_check(const std::string& body) {
    simdjson::dom::parser parser;
    simdjson::dom::object object;
    if (parser.parse(body).get(object) != simdjson::SUCCESS) {
        return tl::unexpected<std::string>("the body must be a JSON object");
    }
    std::optional<std::string> recipient;
    std::optional<std::string> email;
    std::optional<std::string> category;
    std::optional<std::string> sequence;
    if (!read_text(object, "recipient_id", recipient) || !read_text(object, "email", email) ||
        !read_text(object, "category", category) || !read_text(object, "sequence", sequence)) {
        return tl::unexpected<std::string>(
            "recipient_id, email, category and sequence must be strings");
    }
    Check check;
    if (recipient) {
        if (!is_id(*recipient)) {
            return tl::unexpected<std::string>("recipient_id must be 1 to 512 bytes");
        }
        check.question.recipient.emplace(*recipient);
    }
    if (email) {
        check.question.address = normalise_address(*email);
        if (!check.question.address) {
            return tl::unexpected<std::string>("email is no address");
        }
    }
    if (!recipient && !email) {
        return tl::unexpected<std::string>("give recipient_id, email or both");
    }
    const auto category_name = normalise_name(category.value_or("default"));
    const std::optional<std::string> sequence_name =
        sequence ? normalise_name(*sequence) : std::string();
    if (!category_name || !sequence_name) {
        return tl::unexpected<std::string>(
            "category and sequence are names: 1 to 64 letters, digits, '.', '_' or '-'");
    }
    check.category = *category_name;
    check.sequence = *sequence_name;
    return check;
}

// What a producer asks before it enqueues. A courtesy: the check that counts is made at the send.
HttpReply check_suppressions(AdminSource& admin, const Config& config, const HttpCall& call) {
    const auto check = parse_check(call.body);
    if (!check) {
        return problem(400, "bad_body", check.error());
    }
    const auto facts = admin.suppressions(check->question);
    if (!facts) {
        return refusal(facts.error());
    }
    const auto verdict =
        SuppressionGate::check(facts->by_recipient ? &*facts->by_recipient : nullptr,
                               facts->by_address ? &*facts->by_address : nullptr,
                               {.category = check->category, .sequence_id = check->sequence},
                               config.suppression.transactional_categories, facts->as_of);
    json::object body{{"suppressed", verdict.hit.has_value()},
                      {"proven_fresh", facts->proven_fresh},
                      {"as_of", format_time(facts->as_of)}};
    if (verdict.hit) {
        const bool by_address = verdict.hit->by == SuppressionHit::By::Address;
        body["suppression"] = json::object{{"scope", to_string(verdict.hit->scope)},
                                           {"reason", to_string(verdict.hit->reason)},
                                           {"occurred_at", format_time(verdict.hit->occurred_at)},
                                           {"by", by_address ? "address" : "recipient"}};
    }
    return json_reply(json::serialize(body));
}

template <class T>
void add_if(json::object& object, const char* name, const std::optional<T>& value) {
    if (value) {
        object[name] = *value;
    }
}

json::array partitions_json(const StatusSource& status) {
    json::array partitions;
    for (const PartitionStatus& partition : status.partitions()) {
        json::object body{{"partition", partition.partition},
                          {"state", to_string(partition.state)},
                          {"in_flight", partition.in_flight},
                          {"held", partition.held}};
        add_if(body, "restore_remaining_records", partition.restore_remaining_records);
        add_if(body, "sends_lag_records", partition.sends_lag_records);
        add_if(body, "suppressions_lag_records", partition.suppressions_lag_records);
        if (partition.suppression_staleness) {
            body["suppression_staleness_ms"] = partition.suppression_staleness->count();
        }
        partitions.push_back(std::move(body));
    }
    return partitions;
}

HttpReply instance_status(AdminSource& admin, const StatusSource& status) {
    const auto instance = admin.status();
    if (!instance) {
        return refusal(instance.error());
    }
    json::array providers;
    for (const ProviderStatus& provider : instance->providers) {
        providers.push_back(json::object{{"name", provider.name},
                                         {"circuit_open", provider.circuit_open},
                                         {"on_the_wire", provider.on_the_wire}});
    }
    const json::object body{{"version", instance->version},
                            {"started_at", format_time(instance->started_at)},
                            {"group_joined", instance->group_joined},
                            {"draining", status.draining()},
                            {"partition_count", instance->partition_count},
                            {"in_flight", instance->in_flight},
                            {"max_in_flight", instance->max_in_flight},
                            {"providers", std::move(providers)},
                            {"partitions", partitions_json(status)}};
    return json_reply(json::serialize(body));
}

}  // namespace

std::string ledger_stats_json(const std::vector<LedgerPartitionStats>& partitions) {
    json::array rows;
    for (const LedgerPartitionStats& stats : partitions) {
        rows.push_back(json::object{{"partition", stats.partition},
                                    {"ledger_next", stats.ledger_next},
                                    {"messages_live", stats.messages_live},
                                    {"messages_ended", stats.messages_ended},
                                    {"sequences", stats.sequences},
                                    {"suppressions", stats.suppressions},
                                    {"store_bytes", stats.store_bytes}});
    }
    return json::serialize(json::object{{"partitions", std::move(rows)}});
}

std::string ledger_verdict_json(const std::vector<LedgerPartitionVerdict>& partitions) {
    json::array rows;
    bool agrees = true;
    for (const LedgerPartitionVerdict& verdict : partitions) {
        agrees = agrees && verdict.agrees();
        rows.push_back(json::object{{"partition", verdict.partition},
                                    {"agrees", verdict.agrees()},
                                    {"compared", verdict.compared},
                                    {"missing", verdict.missing},
                                    {"different", verdict.different},
                                    {"extra", verdict.extra}});
    }
    return json::serialize(json::object{{"agrees", agrees}, {"partitions", std::move(rows)}});
}

void add_admin_routes(Router& router, AdminSource& admin, const StatusSource& status,
                      const Config& config) {
    router.add("GET", "/api/v1/recipients/{id}/timeline",
               [&](const HttpCall& call) { return timeline(admin, config, call); });
    router.add("POST", "/api/v1/suppressions:check",
               [&](const HttpCall& call) { return check_suppressions(admin, config, call); });
    router.add("GET", "/api/v1/partitions", [&](const HttpCall&) {
        return json_reply(json::serialize(json::object{{"partitions", partitions_json(status)}}));
    });
    router.add("GET", "/api/v1/status",
               [&](const HttpCall&) { return instance_status(admin, status); });
    router.add("GET", "/api/v1/ledger", [&](const HttpCall&) {
        const auto stats = admin.ledger_stats();
        return stats ? json_reply(ledger_stats_json(*stats)) : refusal(stats.error());
    });
    router.add("POST", "/api/v1/ledger:verify", [&](const HttpCall&) {
        const auto verdicts = admin.ledger_verify();
        return verdicts ? json_reply(ledger_verdict_json(*verdicts)) : refusal(verdicts.error());
    });
    router.add("GET", "/api/v1/openapi.json",
               [](const HttpCall&) { return json_reply(std::string(openapi_document())); });
}

}  // namespace postlane
