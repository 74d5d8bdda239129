// What happened to a recipient's mail, told from the ledger's rows: verdict first, then the times.
#pragma once

#include <optional>
#include <string>

#include "adapters/listener/admin_source.h"
#include "postlane/config.h"

namespace postlane {

// JSON: {"recipient_id", "partition", "as_of", "verdict", "sentence", "messages": [{"message_id",
// "verdict", "sentence", "timeline": [{"at", "event", "detail"}, …]}, …], "sequences",
// "suppressions"}. The verdict of a recipient is "sent" if every message was, "unknown" if there is
// none, else that of the latest message that was not sent.
[[nodiscard]] std::string recipient_report_json(const RecipientId& recipient,
                                                const std::optional<MessageId>& message,
                                                const RecipientFacts& facts, const Config& config);

}  // namespace postlane
