// What postlane writes for its users: outcomes, receipts, dead letters; and the idempotency key.
#pragma once

#include <string>

#include "postlane/config.h"
#include "postlane/effect.h"
#include "postlane/ports/ledger_log.h"

namespace postlane {

// A function of (recipient ID, message ID) alone, the same in every attempt and every process;
// opaque; 43 characters of [A-Za-z0-9_-] (base64url of SHA-256).
[[nodiscard]] std::string idempotency_key(const RecipientId& recipient, const MessageId& message);

// Records for the transaction. `partition` is the input's; outcomes go to the same number. Keys:
// the recipient ID (the raw input key where there is no recipient ID).
[[nodiscard]] OutRecord encode_outcome(const Config& config, PartitionId partition,
                                       const OutcomeRecord& outcome,
                                       const std::optional<std::string>& input_key);
[[nodiscard]] OutRecord encode_receipt(const Config& config, PartitionId partition,
                                       const SuppressionReceipt& receipt,
                                       const std::optional<std::string>& input_key);
// Original key, value, headers, timestamp, plus __connect.errors.* and postlane.* headers. What
// would exceed `max_record_bytes` is left out and named (postlane.value_omitted,
// postlane.headers_omitted). A timestamp behind the broker's `now` becomes that, and is named in
// postlane.timestamp.
[[nodiscard]] OutRecord encode_dead_letter(const Config& config, PartitionId partition,
                                           const DeadLetter& letter, std::size_t max_record_bytes,
                                           Instant now);
// Its headers are left out if the record would exceed `max_record_bytes` with the one that is added.
[[nodiscard]] OutRecord encode_forward(const ForwardSuppression& forward, PartitionId from,
                                       std::size_t max_record_bytes);

// Brokers refuse a record from the future (message.timestamp.after.max.ms, an hour; KIP-937), and with it the whole
// transaction: every record is at most as young as the broker's `now`.
void bound_timestamp(OutRecord& record, Instant now);

// RFC 3339, UTC, milliseconds: "2026-12-01T09:00:00.000Z".
[[nodiscard]] std::string format_time(Instant when);

}  // namespace postlane
