// Every row but the message's (ledger_message.cc).
#include "codec/ledger_codec.h"

#include <utility>

#include "codec/ledger_parts.h"

namespace postlane::ledger {
namespace {

enum class SequenceFlag : std::uint8_t { LastEndAt, Halt, SkippedSteps, RowExpiresAt, End };

void put_scope(Writer& out, const Scope& scope) {
    out.u8(static_cast<std::uint8_t>(scope.kind));
    if (scope.kind != Scope::Kind::Everything) {
        out.text(scope.name);
    }
}
Scope take_scope(Reader& in) {
    const std::uint8_t kind = in.u8();
    in.require(kind <= static_cast<std::uint8_t>(Scope::Kind::Sequence));
    Scope scope{static_cast<Scope::Kind>(kind), {}};
    if (scope.kind != Scope::Kind::Everything) {
        scope.name = take_text(in);
    }
    return scope;
}

SuppressionReason take_suppression_reason(Reader& in) {
    const auto reason = static_cast<SuppressionReason>(in.u8());
    in.require(reason >= SuppressionReason::Unsubscribe && reason <= SuppressionReason::Manual);
    return reason;
}

}  // namespace

std::string encode(const GenesisRow& row) {
    Writer out = versioned();
    out.fixed(row.uuid);
    out.zigzag(row.partition_count);
    out.text(row.partitioner);
    out.u8(row.format);
    return out.take();
}

Result<GenesisRow> decode_genesis(std::string_view bytes) {
    Reader in = versioned(bytes);
    GenesisRow row;
    row.uuid = in.fixed<16>();
    const std::int64_t count = in.zigzag();
    in.require(count >= INT32_MIN && count <= INT32_MAX);
    row.partition_count = static_cast<std::int32_t>(count);
    row.partitioner = take_text(in);
    row.format = in.u8();
    if (!in.finish()) {
        return corrupt("genesis row", bytes);
    }
    return row;
}

std::string encode(const OffsetsRow& row) {
    Writer out = versioned();
    out.zigzag(row.sends);
    out.zigzag(row.suppressions);
    return out.take();
}

Result<OffsetsRow> decode_offsets(std::string_view bytes) {
    Reader in = versioned(bytes);
    OffsetsRow row;
    row.sends = in.zigzag();
    row.suppressions = in.zigzag();
    if (!in.finish()) {
        return corrupt("offsets row", bytes);
    }
    return row;
}

std::string encode(const SequenceRow& row) {
    using enum SequenceFlag;
    Flags<SequenceFlag> flags;
    flags.set_if(LastEndAt, row.last_end_at != Instant{});
    flags.set_if(SequenceFlag::Halt, row.halt.has_value());
    flags.set_if(SkippedSteps, !row.skipped_steps.empty());
    flags.set_if(RowExpiresAt, row.row_expires_at != Instant{});

    Writer out = versioned();
    out.varint(flags.bits());
    out.varint(row.expected);
    out.varint(row.known_through);
    out.varint(row.held);
    if (flags.has(LastEndAt)) {
        put_time(out, row.last_end_at);
    }
    if (flags.has(SequenceFlag::Halt)) {
        out.u8(static_cast<std::uint8_t>(row.halt->reason));
        out.varint(row.halt->step);
        put_time(out, row.halt->until);
    }
    if (flags.has(SkippedSteps)) {
        put_steps(out, row.skipped_steps);
    }
    if (flags.has(RowExpiresAt)) {
        put_time(out, row.row_expires_at);
    }
    return out.take();
}

Result<SequenceRow> decode_sequence(std::string_view bytes) {
    using enum SequenceFlag;
    Reader in = versioned(bytes);
    const Flags<SequenceFlag> flags(in.varint());
    in.require(flags.below(End));
    SequenceRow row;
    row.expected = in.varint();
    row.known_through = in.varint();
    row.held = take_u32(in);
    if (flags.has(LastEndAt)) {
        row.last_end_at = take_time(in);
        in.require(row.last_end_at != Instant{});
    }
    if (flags.has(SequenceFlag::Halt)) {
        SequenceRow::Halt halt;
        halt.reason = take_reason(in);
        halt.step = in.varint();
        halt.until = take_time(in);
        row.halt = halt;
    }
    if (flags.has(SkippedSteps)) {
        row.skipped_steps = take_steps(in);
        in.require(!row.skipped_steps.empty());
    }
    if (flags.has(RowExpiresAt)) {
        row.row_expires_at = take_time(in);
        in.require(row.row_expires_at != Instant{});
    }
    if (!in.finish()) {
        return corrupt("sequence row", bytes);
    }
    return row;
}

std::string encode(const SuppressionRow& row) {
    Writer out = versioned();
    out.varint(row.entries.size());
    for (const SuppressionRow::Entry& entry : row.entries) {
        put_scope(out, entry.scope);
        out.u8(static_cast<std::uint8_t>(entry.reason));
        put_time(out, entry.occurred_at);
        out.u8(entry.expires_at ? 1 : 0);
        if (entry.expires_at) {
            put_time(out, *entry.expires_at, entry.occurred_at);
        }
    }
    out.varint(row.clearings.size());
    for (const SuppressionRow::Clearing& clearing : row.clearings) {
        out.u8(clearing.scope ? 1 : 0);
        if (clearing.scope) {
            put_scope(out, *clearing.scope);
        }
        out.u8(clearing.reason ? static_cast<std::uint8_t>(*clearing.reason) : 0);
        put_time(out, clearing.occurred_at);
    }
    return out.take();
}

Result<SuppressionRow> decode_suppressions(std::string_view bytes) {
    Reader in = versioned(bytes);
    SuppressionRow row;
    const std::size_t entries = in.count();
    for (std::size_t i = 0; i < entries && in.ok(); ++i) {
        SuppressionRow::Entry& entry = row.entries.emplace_back();
        entry.scope = take_scope(in);
        entry.reason = take_suppression_reason(in);
        entry.occurred_at = take_time(in);
        if (take_bool(in)) {
            entry.expires_at = take_time(in, entry.occurred_at);
        }
    }
    const std::size_t clearings = in.count();
    for (std::size_t i = 0; i < clearings && in.ok(); ++i) {
        SuppressionRow::Clearing& clearing = row.clearings.emplace_back();
        if (take_bool(in)) {
            clearing.scope = take_scope(in);
        }
        if (const std::uint8_t reason = in.u8(); reason != 0) {
            in.require(reason <= static_cast<std::uint8_t>(SuppressionReason::Manual));
            clearing.reason = static_cast<SuppressionReason>(reason);
        }
        clearing.occurred_at = take_time(in);
    }
    if (!in.finish()) {
        return corrupt("suppression row", bytes);
    }
    return row;
}

}  // namespace postlane::ledger
