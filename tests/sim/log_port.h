// The ledger as one process sees it: a transactional producer whose calls take time, fail, and leave doubts.
#pragma once

#include <memory>
#include <string>

#include "postlane/ports/ledger_log.h"
#include "sim/env.h"

namespace postlane::sim {

class SimLedgerLog final : public LedgerLog {
public:
    SimLedgerLog(Env& env, std::shared_ptr<Process> process, Machine& machine,
                 PartitionId partition);
    ~SimLedgerLog() override;

    Result<void> fence() override;
    Result<Range> range() override;
    Result<void> replay(Offset from, Offset end,
                        const std::function<bool(const Record&)>& each) override;
    Result<bool> group_offset_exists() override;
    Result<CommitReceipt> commit(const Transaction& transaction) override;

private:
    [[nodiscard]] Result<void> question(const char* what);
    [[nodiscard]] bool fenced() const;
    [[nodiscard]] tl::unexpected<Error> finish(ErrorCode code, const char* why);
    [[nodiscard]] CommitReceipt produce(const Transaction& transaction, TransactionId id);
    [[nodiscard]] Result<CommitReceipt> end_unknown(TransactionId id);
    void describe(const Transaction& transaction) const;
    void write_store_early(const Transaction& transaction, Offset next);

    Env& env_;
    const std::shared_ptr<Process> process_;
    Machine& machine_;
    const PartitionId partition_;
    const std::string transactional_id_;
    std::int64_t epoch_ = -1;
    bool finished_ = false;
    std::optional<Offset> end_before_fence_;
    Offset ledger_next_ = 0;
};

}  // namespace postlane::sim
