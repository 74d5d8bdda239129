// The two HTTP listeners of a running instance, and what they tell.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>

#include "adapters/listener/admin_source.h"
#include "adapters/listener/http_server.h"
#include "adapters/listener/status_source.h"
#include "postlane/error.h"

namespace postlane {

class Instance;
class Partition;

class ListenerSet final : public StatusSource, public AdminSource {
public:
    explicit ListenerSet(Instance& instance) : instance_(instance) {}
    ~ListenerSet() override;

    // Opens both; they answer from now on, also while nothing is assigned yet.
    [[nodiscard]] Result<void> open();

    [[nodiscard]] std::vector<Heartbeat> heartbeats() const override;
    [[nodiscard]] bool started() const override;
    [[nodiscard]] bool group_joined() const override;
    [[nodiscard]] bool address_view_loaded() const override;
    [[nodiscard]] bool draining() const override;
    [[nodiscard]] std::vector<PartitionStatus> partitions() const override;
    [[nodiscard]] OrderingStatus ordering() const override;

    [[nodiscard]] AdminResult<RecipientFacts> recipient(
        const RecipientId& id, const std::optional<MessageId>& message) override;
    [[nodiscard]] AdminResult<SuppressionFacts> suppressions(
        const SuppressionQuestion& question) override;
    [[nodiscard]] AdminResult<InstanceStatus> status() override;
    [[nodiscard]] AdminResult<std::vector<LedgerPartitionStats>> ledger_stats() override;
    [[nodiscard]] AdminResult<std::vector<LedgerPartitionVerdict>> ledger_verify() override;

private:
    class AskedStore;
    template <class T>
    AdminResult<T> ask(PartitionId partition,
                       const std::function<AdminResult<T>(Partition&)>& question) const;
    [[nodiscard]] AdminResult<LedgerPartitionStats> count_rows(PartitionId partition) const;

    Instance& instance_;
    std::mutex verifying_;  // held while a thread of the admin listener verifies
    std::atomic<bool> closing_{false};
    std::unique_ptr<HttpServer> telemetry_;
    std::unique_ptr<HttpServer> admin_;
};

}  // namespace postlane
