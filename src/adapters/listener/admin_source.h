// What the admin listener asks of the running program, about recipients and about the ledger.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

#include "postlane/rows.h"
#include "postlane/types.h"

namespace postlane {

struct AdminError {
    enum class Kind : std::uint8_t {
        NotOwned,     // another instance owns the partition
        Restoring,    // the partition is ours and not ready: try again soon
        Unavailable,  // no answer in time, or the store failed
        Busy,         // somebody asked for the same just now, and it takes a while
        Unsupported,  // the request asks for something this instance cannot do
    };
    Kind kind = Kind::Unavailable;
    std::string detail;  // for people
    std::optional<std::chrono::seconds> retry_after;
};

template <class T>
using AdminResult = tl::expected<T, AdminError>;

// Everything the ledger holds about one recipient, as of one moment.
struct RecipientFacts {
    PartitionId partition = 0;
    Instant as_of{};                // broker time
    Instant ledger_reaches_back{};  // ended messages older than this are forgotten
    std::vector<std::pair<MessageId, MessageRow>> messages;
    bool more_messages = false;  // the list was cut
    std::vector<std::pair<std::string, SequenceRow>> sequences;
    std::optional<SuppressionRow> suppressions;
};

struct SuppressionQuestion {
    std::optional<RecipientId> recipient;
    std::optional<AddressKey> address;
};
struct SuppressionFacts {
    std::optional<SuppressionRow> by_recipient;
    std::optional<SuppressionRow> by_address;
    Instant as_of{};
    bool proven_fresh = false;  // within suppression.max_staleness_ms
};

struct ProviderStatus {
    std::string name;
    bool circuit_open = false;
    std::int64_t on_the_wire = 0;
};
struct InstanceStatus {
    std::string version;
    Instant started_at{};
    bool group_joined = false;
    std::int32_t partition_count = 0;  // of the sends topic
    std::int64_t in_flight = 0;
    std::int64_t max_in_flight = 0;
    std::vector<ProviderStatus> providers;
};

struct LedgerPartitionStats {
    PartitionId partition = 0;
    Offset ledger_next = 0;  // the store holds everything below
    std::uint64_t messages_live = 0;
    std::uint64_t messages_ended = 0;
    std::uint64_t sequences = 0;
    std::uint64_t suppressions = 0;
    std::uint64_t store_bytes = 0;
};
struct LedgerPartitionVerdict {
    PartitionId partition = 0;
    std::uint64_t compared = 0;
    std::uint64_t missing = 0;    // in the topic, not in the store
    std::uint64_t different = 0;  // in both, with other bytes
    std::uint64_t extra = 0;      // in the store, not in the topic
    [[nodiscard]] bool agrees() const noexcept { return missing + different + extra == 0; }
};

// Thread-safe: listener threads call it; it may block them for a moment.
class AdminSource {
public:
    virtual ~AdminSource() = default;
    // All messages of the recipient, or the one named. At most a thousand, the latest.
    [[nodiscard]] virtual AdminResult<RecipientFacts> recipient(
        const RecipientId& id, const std::optional<MessageId>& message) = 0;
    [[nodiscard]] virtual AdminResult<SuppressionFacts> suppressions(
        const SuppressionQuestion& question) = 0;
    [[nodiscard]] virtual AdminResult<InstanceStatus> status() = 0;
    [[nodiscard]] virtual AdminResult<std::vector<LedgerPartitionStats>> ledger_stats() = 0;
    // Compares every owned partition's store with the latest values of its ledger topic.
    [[nodiscard]] virtual AdminResult<std::vector<LedgerPartitionVerdict>> ledger_verify() = 0;
};

}  // namespace postlane
