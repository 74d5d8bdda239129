// Message rows: most of the ledger's bytes, so the ended ones are kept small.
#include <utility>

#include "codec/ledger_codec.h"
#include "codec/ledger_parts.h"

namespace postlane::ledger {
namespace {

// DO NOT CHANGE: these are bytes of version 1.
enum class MessageFlag : std::uint8_t {
    Sequence,
    Category,
    Campaign,
    Route,
    Provider,
    ProviderMessageId,
    Attempts,
    RoutePosition,
    MaybeExecuted,
    EndedAhead,
    OutsideSequence,
    ReceivedAt,
    DecidedAt,
    RowExpiresAt,
    LiveOnly,  // those from here on are dropped when the message ends
    DueAt = LiveOnly,
    ExpiresAt,
    ExpiresAtGiven,
    WakeAt,
    FirstAttemptAt,
    SkippedSteps,
    Intent,
    Payload,
    End,
};
using MessageFlags = Flags<MessageFlag>;

MessageFlags flags_of(const MessageRow& row) {
    using enum MessageFlag;
    constexpr Instant kUnset{};
    MessageFlags flags;
    flags.set_if(Sequence, row.sequence.has_value());
    flags.set_if(Category, !row.category.empty());
    flags.set_if(Campaign, !row.campaign_id.empty());
    flags.set_if(Route, !row.route.empty());
    flags.set_if(Provider, !row.provider.empty());
    flags.set_if(ProviderMessageId, !row.provider_message_id.empty());
    flags.set_if(Attempts, row.attempts != 0);
    flags.set_if(RoutePosition, row.route_position != 0);
    flags.set_if(MaybeExecuted, row.maybe_executed);
    flags.set_if(EndedAhead, row.ended_ahead);
    flags.set_if(OutsideSequence, row.outside_sequence);
    flags.set_if(ReceivedAt, row.received_at != kUnset);
    flags.set_if(DecidedAt, row.decided_at != kUnset);
    flags.set_if(RowExpiresAt, row.row_expires_at != kUnset);
    if (has_ended(row.state)) {
        return flags;
    }
    flags.set_if(DueAt, row.due_at != kUnset);
    flags.set_if(ExpiresAt, row.expires_at != kUnset);
    flags.set_if(ExpiresAtGiven, row.expires_at_given.has_value());
    flags.set_if(WakeAt, row.wake_at != kUnset);
    flags.set_if(FirstAttemptAt, row.first_attempt_at != kUnset);
    flags.set_if(SkippedSteps, !row.skipped_steps.empty());
    flags.set_if(Intent, row.intent.has_value());
    flags.set_if(Payload, row.payload != nullptr);
    return flags;
}

MessageState take_state(Reader& in) {
    const auto state = static_cast<MessageState>(in.u8());
    const bool live = state >= MessageState::Held && state <= MessageState::Retrying;
    const bool ended = state >= MessageState::Sent && state <= MessageState::Ambiguous;
    in.require(live || ended);
    return state;
}

void put_intent(Writer& out, const Intent& intent) {
    out.big_endian(intent.attempt.process);
    out.varint(intent.attempt.number);
    out.text(intent.provider);
    out.zigzag(intent.deadline.count());
    out.zigzag(intent.timeout.count());
    out.fixed(intent.request_hash);
}
Intent take_intent(Reader& in) {
    Intent intent;
    intent.attempt.process = in.big_endian();
    intent.attempt.number = in.varint();
    intent.provider = take_text(in);
    intent.deadline = Millis(in.zigzag());
    intent.timeout = Millis(in.zigzag());
    intent.request_hash = in.fixed<16>();
    return intent;
}

void put_payload(Writer& out, const Payload& payload, Instant base) {
    put_time(out, payload.timestamp, base);
    out.text(payload.value);
    out.varint(payload.headers.size());
    for (const Header& header : payload.headers) {
        out.text(header.name);
        out.u8(header.value ? 1 : 0);
        if (header.value) {
            out.text(*header.value);
        }
    }
}
Payload take_payload(Reader& in, Instant base) {
    Payload payload;
    payload.timestamp = take_time(in, base);
    payload.value = take_text(in);
    const std::size_t count = in.count();
    for (std::size_t i = 0; i < count && in.ok(); ++i) {
        Header& header = payload.headers.emplace_back();
        header.name = take_text(in);
        if (take_bool(in)) {
            header.value = take_text(in);
        }
    }
    return payload;
}

void put_live_fields(Writer& out, const MessageRow& row, const MessageFlags& flags) {
    const auto put_if = [&](MessageFlag flag, Instant value) {
        if (flags.has(flag)) {
            put_time(out, value, row.received_at);
        }
    };
    put_if(MessageFlag::DueAt, row.due_at);
    put_if(MessageFlag::ExpiresAt, row.expires_at);
    put_if(MessageFlag::ExpiresAtGiven, row.expires_at_given.value_or(Instant{}));
    put_if(MessageFlag::WakeAt, row.wake_at);
    put_if(MessageFlag::FirstAttemptAt, row.first_attempt_at);
    if (flags.has(MessageFlag::SkippedSteps)) {
        put_steps(out, row.skipped_steps);
    }
    if (flags.has(MessageFlag::Intent)) {
        put_intent(out, *row.intent);
    }
    if (flags.has(MessageFlag::Payload)) {
        put_payload(out, *row.payload, row.received_at);
    }
}

void take_live_fields(Reader& in, MessageRow& row, const MessageFlags& flags) {
    const auto take_if = [&](MessageFlag flag, Instant& value) {
        if (flags.has(flag)) {
            value = take_time(in, row.received_at);
            in.require(value != Instant{});
        }
    };
    take_if(MessageFlag::DueAt, row.due_at);
    take_if(MessageFlag::ExpiresAt, row.expires_at);
    if (flags.has(MessageFlag::ExpiresAtGiven)) {
        row.expires_at_given = take_time(in, row.received_at);
    }
    take_if(MessageFlag::WakeAt, row.wake_at);
    take_if(MessageFlag::FirstAttemptAt, row.first_attempt_at);
    if (flags.has(MessageFlag::SkippedSteps)) {
        row.skipped_steps = take_steps(in);
        in.require(!row.skipped_steps.empty());
    }
    if (flags.has(MessageFlag::Intent)) {
        row.intent = take_intent(in);
    }
    if (flags.has(MessageFlag::Payload)) {
        row.payload = std::make_shared<const struct Payload>(take_payload(in, row.received_at));
    }
}

void put_lasting_fields(Writer& out, const MessageRow& row, const MessageFlags& flags) {
    using enum MessageFlag;
    if (flags.has(ReceivedAt)) {
        put_time(out, row.received_at);
    }
    if (flags.has(DecidedAt)) {
        put_time(out, row.decided_at, row.received_at);
    }
    if (flags.has(RowExpiresAt)) {
        put_time(out, row.row_expires_at, row.decided_at);
    }
    if (flags.has(Sequence)) {
        out.text(row.sequence->id);
        out.varint(row.sequence->step);
    }
    const auto put_if = [&](MessageFlag flag, const std::string& value) {
        if (flags.has(flag)) {
            out.text(value);
        }
    };
    put_if(Category, row.category);
    put_if(Campaign, row.campaign_id);
    put_if(Route, row.route);
    put_if(Provider, row.provider);
    put_if(ProviderMessageId, row.provider_message_id);
    if (flags.has(Attempts)) {
        out.varint(row.attempts);
    }
    if (flags.has(RoutePosition)) {
        out.varint(row.route_position);
    }
}

void take_lasting_fields(Reader& in, MessageRow& row, const MessageFlags& flags) {
    using enum MessageFlag;
    const auto take_time_if = [&](MessageFlag flag, Instant& value, Instant base) {
        if (flags.has(flag)) {
            value = take_time(in, base);
            in.require(value != Instant{});
        }
    };
    take_time_if(ReceivedAt, row.received_at, Instant{});
    take_time_if(DecidedAt, row.decided_at, row.received_at);
    take_time_if(RowExpiresAt, row.row_expires_at, row.decided_at);
    if (flags.has(Sequence)) {
        row.sequence = SequenceRef{take_text(in), 0};
        row.sequence->step = in.varint();
    }
    const auto take_if = [&](MessageFlag flag, std::string& value) {
        if (flags.has(flag)) {
            value = take_present_text(in);
        }
    };
    take_if(Category, row.category);
    take_if(Campaign, row.campaign_id);
    take_if(Route, row.route);
    take_if(Provider, row.provider);
    take_if(ProviderMessageId, row.provider_message_id);
    if (flags.has(Attempts)) {
        row.attempts = take_u32(in);
        in.require(row.attempts != 0);
    }
    if (flags.has(RoutePosition)) {
        row.route_position = take_u32(in);
        in.require(row.route_position != 0);
    }
    row.maybe_executed = flags.has(MaybeExecuted);
    row.ended_ahead = flags.has(EndedAhead);
    row.outside_sequence = flags.has(OutsideSequence);
}

}  // namespace

std::string encode(const MessageRow& row) {
    const MessageFlags flags = flags_of(row);
    constexpr std::size_t kBesidesPayload = 256;
    Writer out = versioned(kBesidesPayload + (row.payload ? row.payload->value.size() : 0));
    out.u8(static_cast<std::uint8_t>(row.state));  // peek_message_state() finds it here
    out.u8(static_cast<std::uint8_t>(row.reason));
    out.varint(flags.bits());
    out.fixed(row.body_hash);
    out.zigzag(row.input_offset);
    put_lasting_fields(out, row, flags);
    put_live_fields(out, row, flags);
    return out.take();
}

Result<MessageRow> decode_message(std::string_view bytes) {
    Reader in = versioned(bytes);
    MessageRow row;
    row.state = take_state(in);
    row.reason = take_reason(in);
    const MessageFlags flags(in.varint());
    in.require(flags.below(has_ended(row.state) ? MessageFlag::LiveOnly : MessageFlag::End));
    row.body_hash = in.fixed<16>();
    row.input_offset = in.zigzag();
    if (in.ok()) {
        take_lasting_fields(in, row, flags);
        take_live_fields(in, row, flags);
    }
    // What the decisions rely on in every row of such a state.
    const bool behind = row.state == MessageState::Held || row.state == MessageState::Waiting;
    in.require(has_ended(row.state) || row.payload);
    in.require(row.state != MessageState::Sending || row.intent);
    in.require(!behind || row.sequence);
    if (!in.finish()) {
        return corrupt("message row", bytes);
    }
    return row;
}

Result<MessageState> peek_message_state(std::string_view bytes) {
    Reader in = versioned(bytes);
    const MessageState state = take_state(in);
    if (!in.ok()) {
        return corrupt("message row", bytes);
    }
    return state;
}

}  // namespace postlane::ledger
