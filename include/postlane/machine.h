// The decisions: one input about one recipient, looked at together with what is known about that
// recipient, gives effects. Pure and deterministic: no clock, no I/O, no randomness.
//
// The order of checks is protocol law; core/admission.cc and core/attempt.cc read as that list.
#pragma once

#include <tl/expected.hpp>

#include <optional>
#include <string>
#include <variant>

#include "postlane/answer.h"
#include "postlane/config.h"
#include "postlane/effect.h"
#include "postlane/event.h"
#include "postlane/state_view.h"

namespace postlane {

// A record of the sends topic. Checks 1-5 were made while decoding (codec/decode_send.h).
struct SendReceived {
    const InputRecord& record;
    const tl::expected<SendEvent, Rejection>& decoded;
    Instant received_at;
};

// A record of the suppressions topic.
struct SuppressionReceived {
    const InputRecord& record;
    const tl::expected<SuppressionEvent, Rejection>& decoded;
    std::optional<PartitionId> belongs_to;  // another partition: forward
};

// A message whose time may have come, a dispatch slot being reserved for it. `provider` is the one
// chosen for it, `request_hash` that of the request rendered for that provider.
struct AttemptDue {
    const MessageId& message_id;
    const SendEvent& event;
    const config::Provider& provider;
    AttemptId attempt;
    Hash128 request_hash;
};

struct AttemptEnded {
    const MessageId& message_id;
    const AttemptResult& result;
    Instant ended_at;  // result.ended_at in broker time
};

// The message's wake_at has passed. Ends what expired, times out gaps; a message that may now be
// attempted is put Ready.
struct Woke {
    const MessageId& message_id;
};

// Its turn in the sequence has come (effect ReachStep).
struct StepReached {
    std::string_view sequence_id;
    const MessageId& message_id;
    const SendEvent& event;
};

// The halt of a sequence has outlived ordering.max_halt_ms, or EndHalt asked to go on.
struct HaltOver {
    std::string_view sequence_id;
};

// An intent of another process whose waiting time is over, or one of this process that was lost.
struct InDoubt {
    const MessageId& message_id;
    const SendEvent& event;
    std::optional<Hash128> request_hash;  // of today's rendering for its provider; absent: gone
};

// An attempt of this process that was never handed over: back to ready, uncounted.
struct AttemptWithdrawn {
    const MessageId& message_id;
};

// The chosen provider's request cannot be made from this message; the decoder should have refused it.
struct RenderFailed {
    const MessageId& message_id;
    const config::Provider& provider;
};

// The decoder of this program refuses the stored payload of a message that an earlier one accepted.
struct PayloadUnreadable {
    const MessageId& message_id;
    const Rejection& why;
};

using Input =
    std::variant<SendReceived, SuppressionReceived, AttemptDue, AttemptEnded, Woke, StepReached,
                 HaltOver, InDoubt, AttemptWithdrawn, RenderFailed, PayloadUnreadable>;

struct Context {
    const Config& config;
    const RecipientId& recipient;
    Instant now;
};

[[nodiscard]] Effects step(const StateView& view, const Input& input, const Context& context);

}  // namespace postlane
