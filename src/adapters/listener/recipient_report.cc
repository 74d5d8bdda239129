#include "adapters/listener/recipient_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <vector>

#include "codec/encode.h"
#include "postlane/suppression_gate.h"

namespace postlane {
namespace {

namespace json = boost::json;

std::string_view help_of(Reason reason) {
    for (const ReasonInfo& info : reasons()) {
        if (info.reason == reason) {
            return info.help;
        }
    }
    return "";
}

bool is_set(Instant when) {
    return when != Instant{};
}

std::string describe(const SuppressionHit& hit) {
    return fmt::format("{} ({}) since {}", to_string(hit.scope), to_string(hit.reason),
                       format_time(hit.occurred_at));
}

const SequenceRow* find_sequence(const RecipientFacts& facts, const std::string& id) {
    for (const auto& [sequence_id, row] : facts.sequences) {
        if (sequence_id == id) {
            return &row;
        }
    }
    return nullptr;
}

bool is_live(const MessageRow& row) {
    return !has_ended(row.state);
}

// A held step whose gap has closed waits for its turn; its row is not written for that.
MessageState shown_state(const MessageRow& row, const RecipientFacts& facts) {
    if (row.state == MessageState::Held && row.sequence) {
        const SequenceRow* const sequence = find_sequence(facts, row.sequence->id);
        if (sequence != nullptr && row.sequence->step <= sequence->known_through) {
            return MessageState::Waiting;
        }
    }
    return row.state;
}

// What happens to a held step at its wake.
std::string gap_sentence(const MessageRow& row, const Config& config) {
    if (!is_set(row.wake_at)) {
        return "";
    }
    const std::string when = format_time(row.wake_at);
    if (row.expires_at_given == row.wake_at) {
        return "it expires at " + when;
    }
    switch (config.ordering.on_gap) {
        case config::OnGap::DeadLetter:
            return "it is given up at " + when + " (ordering.on_gap)";
        case config::OnGap::Skip:
            return "what is missing is passed over at " + when + " (ordering.on_gap)";
        case config::OnGap::Wait:
            return "it expires at " + when + " (ordering.max_halt_ms)";
    }
    return "";
}

std::string sequence_sentence(const MessageRow& row, const RecipientFacts& facts,
                              const Config& config) {
    if (!row.sequence) {
        return "waits for its turn";
    }
    const SequenceRow* const sequence = find_sequence(facts, row.sequence->id);
    if (sequence == nullptr) {
        return fmt::format("step {} of {} waits for a lower step", row.sequence->step,
                           row.sequence->id);
    }
    if (shown_state(row, facts) == MessageState::Held) {
        const std::string end = gap_sentence(row, config);
        return fmt::format("step {} of {} waits for step {}, which has not arrived{}",
                           row.sequence->step, row.sequence->id,
                           std::max(sequence->expected, sequence->known_through + 1),
                           end.empty() ? "" : "; " + end);
    }
    if (sequence->halt) {
        return fmt::format(
            "step {} of {} waits: step {} halted the sequence ({}), at the latest "
            "until {}",
            row.sequence->step, row.sequence->id, sequence->halt->step,
            to_string(sequence->halt->reason), format_time(sequence->halt->until));
    }
    return fmt::format("step {} of {} waits for step {}, which has not ended", row.sequence->step,
                       row.sequence->id, sequence->expected);
}

std::string ready_sentence(const MessageRow& row, const RecipientFacts& facts) {
    if (row.wake_at > facts.as_of) {
        return "its provider refused the account, or this sender; tried again at " +
               format_time(row.wake_at);
    }
    for (const auto& [id, other] : facts.messages) {
        if (other.state == MessageState::Sending) {
            return fmt::format("waits for {}, another mail of this recipient that is with {}",
                               id.value(), other.intent ? other.intent->provider : other.provider);
        }
    }
    return "waits for a dispatch slot, its provider or a fresh view of the suppressions";
}

std::string retry_sentence(const MessageRow& row, const RecipientFacts& facts) {
    const std::string next = row.wake_at > facts.as_of
                                 ? "the next one at " + format_time(row.wake_at)
                                 : "the next one is due";
    return row.attempts == 0
               ? fmt::format("the last attempt did not reach {}; {}",
                             row.provider.empty() ? "its provider" : row.provider, next)
               : fmt::format("attempt {} was not accepted; {}", row.attempts, next);
}

// What the row knows of the attempts of a message that was not sent.
std::string attempts_sentence(const MessageRow& row) {
    if (!is_set(row.first_attempt_at) || row.provider.empty()) {
        return "";
    }
    return fmt::format(" ({} counted {}, the last with {})", row.attempts,
                       row.attempts == 1 ? "attempt" : "attempts", row.provider);
}

// By recipient; entries by address are not at hand here.
std::optional<SuppressionHit> suppression_of(const MessageRow& row, const RecipientFacts& facts,
                                             const Config& config, Instant when) {
    return SuppressionGate::check(facts.suppressions ? &*facts.suppressions : nullptr, nullptr,
                                  {.category = row.category,
                                   .sequence_id = row.sequence ? std::string_view(row.sequence->id)
                                                               : std::string_view()},
                                  config.suppression.transactional_categories, when)
        .hit;
}

std::string suppressed_sentence(const MessageRow& row, const RecipientFacts& facts,
                                const Config& config) {
    const auto hit = suppression_of(row, facts, config, row.decided_at);
    return hit ? "suppressed: " + describe(*hit)
               : "suppressed, by address or by an entry that has been lifted since; its outcome "
                 "record names the entry";
}

std::string state_sentence(const MessageRow& row, const RecipientFacts& facts,
                           const Config& config) {
    switch (row.state) {
        case MessageState::Held:
        case MessageState::Waiting:
            return sequence_sentence(row, facts, config);
        case MessageState::Scheduled:
            return "due at " + format_time(row.due_at);
        case MessageState::Ready:
            return ready_sentence(row, facts);
        case MessageState::Sending:
            return fmt::format("to be handed to {}, or already; no answer yet",
                               row.intent ? row.intent->provider : row.provider);
        case MessageState::Retrying:
            return retry_sentence(row, facts);
        case MessageState::Sent:
            return fmt::format("{} accepted it at {}", row.provider, format_time(row.decided_at));
        case MessageState::SuppressedAtSend:
            return suppressed_sentence(row, facts, config);
        case MessageState::Expired:
        case MessageState::Failed:
        case MessageState::DeadLettered:
        case MessageState::Ambiguous:
            return fmt::format("{}: {}{}", to_string(row.reason), help_of(row.reason),
                               attempts_sentence(row));
    }
    return "";
}

std::string sentence(const MessageRow& row, const RecipientFacts& facts, const Config& config) {
    std::string text = state_sentence(row, facts, config);
    if (!is_live(row)) {
        return text;
    }
    if (!row.route.empty() && config.find_route(row.route) == nullptr) {
        text +=
            fmt::format("; its route {} is not configured: it stays until it expires", row.route);
    }
    if (row.state == MessageState::Sending || row.maybe_executed) {
        return text;
    }
    if (const auto hit = suppression_of(row, facts, config, std::max(facts.as_of, row.due_at))) {
        text += "; as things stand it will not be sent: suppressed, " + describe(*hit);
    }
    return text;
}

struct Entry {
    Instant at;
    std::string event;
    std::string detail;
};

std::vector<Entry> timeline(const MessageRow& row, const RecipientFacts& facts,
                            const Config& config) {
    std::vector<Entry> entries;
    const auto add = [&entries](Instant at, std::string event, std::string detail) {
        if (is_set(at)) {
            entries.push_back({at, std::move(event), std::move(detail)});
        }
    };
    const bool ended = has_ended(row.state);
    add(row.received_at, "received",
        fmt::format("{}[{}]@{}", config.topics.sends, facts.partition, row.input_offset));
    // The clock of a key starts anew with every attempt until one is in doubt.
    add(row.first_attempt_at, row.maybe_executed ? "first attempt in doubt" : "last attempt",
        row.provider);
    const MessageState shown = shown_state(row, facts);
    add(row.decided_at, std::string(to_string(shown)), sentence(row, facts, config));
    if (!ended) {
        const bool behind = shown == MessageState::Held || shown == MessageState::Waiting;
        const Instant expires = behind ? row.expires_at_given.value_or(Instant{}) : row.expires_at;
        add(behind ? Instant{} : row.due_at, "due", "");
        if (row.wake_at != row.due_at && row.wake_at != expires && shown != MessageState::Waiting) {
            add(row.wake_at, "looked at again", "");
        }
        add(expires, "expires", "not sent after this");
    }
    std::stable_sort(entries.begin(), entries.end(),
                     [](const Entry& left, const Entry& right) { return left.at < right.at; });
    return entries;
}

json::object message_json(const MessageId& id, const MessageRow& row, const RecipientFacts& facts,
                          const Config& config) {
    json::array entries;
    for (const Entry& entry : timeline(row, facts, config)) {
        entries.push_back(json::object{
            {"at", format_time(entry.at)}, {"event", entry.event}, {"detail", entry.detail}});
    }
    json::object body{{"message_id", id.value()},
                      {"verdict", to_string(shown_state(row, facts))},
                      {"sentence", sentence(row, facts, config)},
                      {"attempts", row.attempts}};
    const auto add = [&body](const char* name, const std::string& text) {
        if (!text.empty()) {
            body[name] = text;
        }
    };
    add("reason", row.reason == Reason::None ? "" : std::string(to_string(row.reason)));
    add("campaign_id", row.campaign_id);
    add("category", row.category);
    add("route", row.route);
    add("provider", row.provider);
    add("provider_message_id", row.provider_message_id);
    if (row.sequence) {
        body["sequence"] = json::object{{"id", row.sequence->id}, {"step", row.sequence->step}};
    }
    body["input"] = json::object{{"topic", config.topics.sends},
                                 {"partition", facts.partition},
                                 {"offset", row.input_offset}};
    body["timeline"] = std::move(entries);
    return body;
}

json::array sequences_json(const RecipientFacts& facts) {
    json::array sequences;
    for (const auto& [id, row] : facts.sequences) {
        json::object sequence{{"id", id}, {"expected_step", row.expected}, {"held", row.held}};
        if (row.halt) {
            sequence["halt"] = json::object{{"reason", to_string(row.halt->reason)},
                                            {"step", row.halt->step},
                                            {"until", format_time(row.halt->until)}};
        }
        sequences.push_back(std::move(sequence));
    }
    return sequences;
}

json::array suppressions_json(const RecipientFacts& facts) {
    json::array entries;
    if (!facts.suppressions) {
        return entries;
    }
    for (const SuppressionRow::Entry& entry : facts.suppressions->entries) {
        if (entry.expires_at && *entry.expires_at <= facts.as_of) {
            continue;
        }
        json::object body{{"scope", to_string(entry.scope)},
                          {"reason", to_string(entry.reason)},
                          {"occurred_at", format_time(entry.occurred_at)}};
        if (entry.expires_at) {
            body["expires_at"] = format_time(*entry.expires_at);
        }
        entries.push_back(std::move(body));
    }
    return entries;
}

using Message = std::pair<MessageId, MessageRow>;

std::vector<const Message*> latest_first(const RecipientFacts& facts) {
    std::vector<const Message*> messages;
    messages.reserve(facts.messages.size());
    for (const Message& message : facts.messages) {
        messages.push_back(&message);
    }
    std::stable_sort(messages.begin(), messages.end(),
                     [](const Message* left, const Message* right) {
                         return std::pair(left->second.received_at, left->second.input_offset) >
                                std::pair(right->second.received_at, right->second.input_offset);
                     });
    return messages;
}

std::string unknown_sentence(const RecipientFacts& facts, bool one_message) {
    return fmt::format(
        "the ledger knows no {} (partition {}); it forgets what ended before {}. A record that was "
        "no message has its outcome and dead letter in their topics alone",
        one_message ? "such message" : "message of this recipient", facts.partition,
        format_time(facts.ledger_reaches_back));
}

}  // namespace

std::string recipient_report_json(const RecipientId& recipient,
                                  const std::optional<MessageId>& message,
                                  const RecipientFacts& facts, const Config& config) {
    json::object body{{"recipient_id", recipient.value()},
                      {"partition", facts.partition},
                      {"as_of", format_time(facts.as_of)},
                      {"ledger_reaches_back", format_time(facts.ledger_reaches_back)}};
    const std::vector<const Message*> ordered = latest_first(facts);
    const auto decisive = std::find_if(
        ordered.begin(), ordered.end(),
        [](const Message* candidate) { return candidate->second.state != MessageState::Sent; });
    if (ordered.empty()) {
        body["verdict"] = "unknown";
        body["sentence"] = unknown_sentence(facts, message.has_value());
    } else if (decisive == ordered.end()) {
        body["verdict"] = "sent";
        body["sentence"] = ordered.size() == 1
                               ? sentence(ordered.front()->second, facts, config)
                               : fmt::format("all {} messages were sent", ordered.size());
    } else {
        body["verdict"] = to_string(shown_state((*decisive)->second, facts));
        body["sentence"] = sentence((*decisive)->second, facts, config);
        body["decisive_message_id"] = (*decisive)->first.value();
    }
    json::array messages;
    for (const Message* const entry : ordered) {
        messages.push_back(message_json(entry->first, entry->second, facts, config));
    }
    body["messages"] = std::move(messages);
    body["more_messages"] = facts.more_messages;
    body["sequences"] = sequences_json(facts);
    body["suppressions"] = suppressions_json(facts);
    return json::serialize(body);
}

}  // namespace postlane
