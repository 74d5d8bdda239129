// Suppressions by address as one process sees them: read from their topic, folded, counted, then called fresh.
#pragma once

#include <array>
#include <atomic>
#include <memory>

#include "codec/decode.h"
#include "postlane/ports/address_view.h"
#include "runtime/freshness.h"
#include "sim/ports.h"

namespace postlane::sim {

class SimAddresses final : public AddressView {
public:
    SimAddresses(Env& env, const Config& config, const std::shared_ptr<Process>& process,
                 std::function<Instant()> latest, std::function<void()> fresher);

    std::optional<SuppressionRow> find(const AddressKey& key) const override;
    BootInstant fresh_since() const noexcept override;
    const std::atomic<std::uint64_t>& changes(const AddressKey& key) const noexcept override;

    void on_proof(BootInstant asked_at, const std::map<PartitionId, Offset>& ends);
    // One round of the address thread.
    void turn();

private:
    static constexpr std::size_t kStripes = 64;
    struct Source {
        std::unique_ptr<SimInputStream> stream;
        FreshnessProofs proofs;
    };

    Env& env_;
    Decoder decoder_;
    const std::function<Instant()> latest_;
    const std::function<void()> fresher_;
    std::vector<Source> sources_;
    std::map<std::string, SuppressionRow> rows_;
    std::array<std::atomic<std::uint64_t>, kStripes> changes_{};
    BootInstant fresh_since_{};
};

}  // namespace postlane::sim
