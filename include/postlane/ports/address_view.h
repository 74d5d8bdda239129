// Suppressions by address, one view for the whole process.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include "postlane/rows.h"
#include "postlane/types.h"

namespace postlane {

// Thread-safe: one writer (the address thread), many readers.
class AddressView {
public:
    virtual ~AddressView() = default;
    // The row of a normalised address; nothing if none or the store failed (then fresh_since() stays
    // in the past, so nothing is sent).
    [[nodiscard]] virtual std::optional<SuppressionRow> find(const AddressKey& key) const = 0;
    // Everything acknowledged before this moment is in the view. Hook and decision read it.
    [[nodiscard]] virtual BootInstant fresh_since() const noexcept = 0;
    // Counter of the stripe that `key` falls in; changes whenever a suppression of that stripe was
    // applied. Written before the view is called fresh.
    [[nodiscard]] virtual const std::atomic<std::uint64_t>& changes(
        const AddressKey& key) const noexcept = 0;
};

}  // namespace postlane
