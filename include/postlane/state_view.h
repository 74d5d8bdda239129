// What the core may look at: one recipient's rows, as of the last commit plus the batch being made.
#pragma once

#include <optional>
#include <string_view>

#include "postlane/rows.h"

namespace postlane {

// Read-only, synchronous, deterministic. Rows whose time is over read as absent.
class StateView {
public:
    virtual ~StateView() = default;
    [[nodiscard]] virtual std::optional<MessageRow> message(const MessageId& id) const = 0;
    [[nodiscard]] virtual std::optional<SequenceRow> sequence(
        std::string_view sequence_id) const = 0;
    [[nodiscard]] virtual std::optional<StepEntry> step(std::string_view sequence_id,
                                                        Step step) const = 0;
    // The lowest entry at or above `from`.
    [[nodiscard]] virtual std::optional<StepEntry> next_step(std::string_view sequence_id,
                                                             Step from) const = 0;
    [[nodiscard]] virtual std::optional<SuppressionRow> suppressions() const = 0;
    [[nodiscard]] virtual std::optional<SuppressionRow> address_suppressions(
        const AddressKey& key) const = 0;
};

}  // namespace postlane
