// The check in the last instant before bytes leave (G2, G3), and what it reads.
//
// The partition's thread writes a PartitionGuard; I/O threads read it in libcurl's pre-request hook through the
// DispatchGuard that travels with each request. Only atomics: nothing here blocks.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include "postlane/ports/address_view.h"
#include "postlane/ports/dispatcher.h"
#include "postlane/types.h"

namespace postlane {

// One per partition of this process; outlives every request made under it.
class PartitionGuard {
public:
    static constexpr std::size_t kStripes = 1024;

    std::atomic<std::uint64_t> epoch{0};           // 0: not ours
    std::atomic<BootInstant::rep> fresh_since{0};  // suppressions until then are applied
    // Bumped after a suppression of the stripe was applied and before a freshness that includes it is published.
    std::array<std::atomic<std::uint64_t>, kStripes> changes{};

    [[nodiscard]] static std::size_t stripe_of(const RecipientId& recipient) noexcept;
};

class DispatchGuard final : public LastCheck {
public:
    // Remembers what the decision saw. Made on the partition's thread, at the decision.
    DispatchGuard(std::shared_ptr<const PartitionGuard> partition, const AddressView& addresses,
                  const RecipientId& recipient, const AddressKey& address,
                  BootClock::duration staleness_max);

    // The intent's deadline runs from its commit. Called once, before the request is submitted.
    void set_deadline(BootInstant deadline) noexcept { deadline_ = deadline; }

    [[nodiscard]] std::optional<NotHandedOver> refuses(BootInstant now) const noexcept override;

private:
    std::shared_ptr<const PartitionGuard> partition_;
    const AddressView& addresses_;
    const std::atomic<std::uint64_t>& recipient_changes_;
    const std::atomic<std::uint64_t>& address_changes_;
    const std::uint64_t epoch_;
    const std::uint64_t recipient_changes_seen_;
    const std::uint64_t address_changes_seen_;
    const BootClock::duration staleness_max_;
    BootInstant deadline_{};
};

}  // namespace postlane
