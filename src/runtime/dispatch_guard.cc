#include "runtime/dispatch_guard.h"

#include <functional>

namespace postlane {

std::size_t PartitionGuard::stripe_of(const RecipientId& recipient) noexcept {
    return std::hash<std::string>{}(recipient.value()) % kStripes;
}

DispatchGuard::DispatchGuard(std::shared_ptr<const PartitionGuard> partition,
                             const AddressView& addresses, const RecipientId& recipient,
                             const AddressKey& address, BootClock::duration staleness_max)
    : partition_(std::move(partition)), addresses_(addresses),
      recipient_changes_(partition_->changes[PartitionGuard::stripe_of(recipient)]),
      address_changes_(addresses.changes(address)), epoch_(partition_->epoch.load()),
      recipient_changes_seen_(recipient_changes_.load()),
      address_changes_seen_(address_changes_.load()), staleness_max_(staleness_max) {}

std::optional<NotHandedOver> DispatchGuard::refuses(BootInstant now) const noexcept {
    if (epoch_ == 0 || partition_->epoch.load() != epoch_) {
        return NotHandedOver::EpochEnded;
    }
    if (now >= deadline_) {
        return NotHandedOver::DeadlinePassed;
    }
    const BootInstant recipients_fresh{BootClock::duration{partition_->fresh_since.load()}};
    const BootInstant fresh = std::min(recipients_fresh, addresses_.fresh_since());
    if (now - fresh > staleness_max_) {
        return NotHandedOver::ViewStale;
    }
    // Read after the freshness: a suppression that this freshness includes has already bumped its counter.
    if (recipient_changes_.load() != recipient_changes_seen_ ||
        address_changes_.load() != address_changes_seen_) {
        return NotHandedOver::SuppressionArrived;
    }
    return std::nullopt;
}

}  // namespace postlane
