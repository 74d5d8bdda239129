// May this recipient be mailed right now? The answer, and the rules of folding events into a row.
//
// Pure. The only code that can make a Clearance, and no SendEmail exists without one. It is asked
// when a message is accepted and again before every attempt (core/attempt.cc); the last instant
// before bytes leave is runtime/dispatch_guard.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "postlane/event.h"
#include "postlane/rows.h"
#include "postlane/types.h"

namespace postlane {

struct SuppressionHit {
    enum class By : std::uint8_t { Recipient, Address };
    Scope scope;
    SuppressionReason reason = SuppressionReason::Manual;
    Instant occurred_at{};
    By by = By::Recipient;
};

// What the gate needs to know of a message.
struct Mail {
    std::string_view category;     // normalised
    std::string_view sequence_id;  // empty: unsequenced
};

// Proof that the gate allowed this one attempt, at this moment.
class Clearance {
public:
    [[nodiscard]] Instant given_at() const noexcept { return given_at_; }

private:
    friend class SuppressionGate;
    explicit Clearance(Instant given_at) : given_at_(given_at) {}
    Instant given_at_;
};

class SuppressionGate {
public:
    struct Verdict {
        std::optional<Clearance> clearance;
        std::optional<SuppressionHit> hit;  // set exactly when there is no clearance
    };

    // Rows may be null (nothing known). `now` decides about entries that expire.
    // `transactional` holds the categories that an unsubscribe without scope does not cover.
    [[nodiscard]] static Verdict check(const SuppressionRow* by_recipient,
                                       const SuppressionRow* by_address, const Mail& mail,
                                       const std::vector<std::string>& transactional, Instant now);
};

enum class FoldResult : std::uint8_t { Applied, Superseded };

// Folds one event into the row (protocol section 8). Order of arrival does not matter: any order of
// the same events gives the same row, but for an unsuppress from the future. A tie in time leaves the
// recipient suppressed. Superseded: something newer stands. The row may change all the same (a clearing
// is remembered), so write it whenever it changed.
FoldResult fold(SuppressionRow& row, const SuppressionEvent& event);

}  // namespace postlane
