// Input records -> events. Checks 1-5 of protocol section 6, in that order; never throws, never
// crashes, whatever the bytes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <tl/expected.hpp>

#include "postlane/config.h"
#include "postlane/event.h"
#include "postlane/rows.h"
#include "postlane/types.h"

namespace postlane {

// One thread at a time: it holds a parser and scratch memory.
class Decoder {
public:
    Decoder(const Config& config, std::int32_t partition_count);
    ~Decoder();

    // A record of the sends topic that arrived on `partition`.
    [[nodiscard]] tl::expected<SendEvent, Rejection> send(const InputRecord& record,
                                                          PartitionId partition);

    // A message accepted earlier, from its stored payload. Checks nothing about keys and
    // partitions, and does not insist that its route still exists.
    [[nodiscard]] tl::expected<SendEvent, Rejection> stored(const RecipientId& recipient,
                                                            const Payload& payload);

    struct Suppression {
        // Whom it concerns: the key (protocol 8: a key that differs from recipient_id wins).
        std::optional<RecipientId> recipient;   // suppressions
        std::optional<AddressKey> address;      // address suppressions
        std::optional<PartitionId> belongs_to;  // another partition than it arrived on: forward it
        tl::expected<SuppressionEvent, Rejection> event;  // an invalid suppress still suppresses
    };
    // A producer's clock may be ahead of the brokers' by this much.
    static constexpr Millis kClockAhead{1'000};
    // A record of the suppressions topic that arrived on `partition`. `latest` is now plus kClockAhead; what claims to
    // be later is from the future (SuppressionEvent::stands_as_of).
    [[nodiscard]] Suppression suppression(const InputRecord& record, PartitionId partition,
                                          Instant latest);
    // A record of the address-suppressions topic. Any partition; the address is normalised again.
    [[nodiscard]] Suppression address_suppression(const InputRecord& record, Instant latest);

private:
    struct Scratch;
    enum class Checks : std::uint8_t { All, FieldsOnly };
    tl::expected<SendEvent, Rejection> decode_send(const std::optional<std::string>& value,
                                                   const std::string& key, Checks checks);
    const Config& config_;
    std::int32_t partition_count_;
    std::unique_ptr<Scratch> scratch_;
};

// Local part lower-cased, domain lower-cased and A-label (IDNA2008, libidn2). Nothing if it is no
// address.
[[nodiscard]] std::optional<AddressKey> normalise_address(std::string_view email);

// Which partition a producer with the configured partitioner gives this key (Java's murmur2, or
// CRC-32 as librdkafka's consistent partitioner).
[[nodiscard]] PartitionId partition_for(std::string_view key, std::int32_t partition_count,
                                        config::Partitioner partitioner);

}  // namespace postlane
