// Ports in memory, for tests of the runtime.
#pragma once

#include <array>
#include <atomic>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "postlane/ports/address_view.h"
#include "postlane/ports/dispatcher.h"
#include "postlane/ports/metrics.h"
#include "postlane/ports/store.h"

namespace postlane {

class MapStore final : public Store {
public:
    [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key) const override {
        if (broken) {
            return fail(ErrorCode::Corrupt, "broken on purpose");
        }
        const auto row = rows.find(std::string(key));
        return row == rows.end() ? std::optional<std::string>() : std::optional(row->second);
    }
    [[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> scan(
        std::string_view begin, std::string_view end, std::size_t limit) const override {
        if (broken) {
            return fail(ErrorCode::Corrupt, "broken on purpose");
        }
        std::vector<std::pair<std::string, std::string>> found;
        for (auto row = rows.lower_bound(std::string(begin));
             row != rows.end() && row->first < end && found.size() < limit; ++row) {
            found.emplace_back(*row);
        }
        return found;
    }
    [[nodiscard]] Result<void> write(const StoreBatch& batch) override {
        if (broken) {
            return fail(ErrorCode::Unavailable, "broken on purpose");
        }
        for (const StoreBatch::Operation& operation : batch.operations) {
            if (operation.value) {
                rows.insert_or_assign(operation.key, *operation.value);
            } else {
                rows.erase(operation.key);
            }
        }
        return {};
    }
    [[nodiscard]] Result<void> wipe() override {
        rows.clear();
        return {};
    }
    [[nodiscard]] std::uint64_t size_bytes() const override { return rows.size(); }

    std::map<std::string, std::string> rows;
    bool broken = false;
};

class FakeAddresses final : public AddressView {
public:
    [[nodiscard]] std::optional<SuppressionRow> find(const AddressKey& key) const override {
        const auto row = rows.find(key);
        return row == rows.end() ? std::nullopt : std::optional(row->second);
    }
    [[nodiscard]] BootInstant fresh_since() const noexcept override { return fresh; }
    [[nodiscard]] const std::atomic<std::uint64_t>& changes(
        const AddressKey& key) const noexcept override {
        return counters.at(std::hash<std::string>{}(key.value()) % counters.size());
    }
    void bump(const AddressKey& key) {
        counters.at(std::hash<std::string>{}(key.value()) % counters.size()) += 1;
    }

    std::map<AddressKey, SuppressionRow> rows;
    BootInstant fresh{};
    std::array<std::atomic<std::uint64_t>, 256> counters{};
};

// Keeps what was submitted; the test says what became of it.
class FakeDispatcher final : public Dispatcher {
public:
    void submit(DispatchRequest request) override { submitted.push_back(std::move(request)); }
    std::vector<DispatchRequest> submitted;
};

class FakeMetrics final : public Metrics {
public:
    void consumed(InputTopic topic, std::uint64_t records) override { taken[topic] += records; }
    void address_suppression_rejected(Reason why) override { rejected_addresses[why] += 1; }
    void outcome(Outcome outcome, Reason reason) override { outcomes[{outcome, reason}] += 1; }
    void attempt(std::string_view, AnswerClass result) override { attempts[result] += 1; }
    void send_duration(std::string_view, double) override {}
    void dispatch_latency(double) override {}
    void ambiguous(std::string_view provider) override { in_doubt[std::string(provider)] += 1; }
    void out_of_order() override { late_steps += 1; }
    void gap() override { gaps += 1; }
    void duplicate() override { duplicates += 1; }
    void payload_conflict() override { conflicts += 1; }
    void held(PartitionId, std::int64_t now_held) override { held_now = now_held; }
    void in_flight(PartitionId, std::int64_t open) override { open_intents = open; }
    void staleness(PartitionId, double) override {}
    void lag(InputTopic, PartitionId, std::int64_t) override {}
    void ledger_write(double, std::uint64_t) override {}
    void partition_state(PartitionId, PartitionState) override {}
    void restore_progress(PartitionId, std::int64_t) override {}
    void partition_restarted(PartitionId) override {}
    void rebalanced(std::string_view) override {}
    void circuit(std::string_view, bool) override {}
    void partition_gone(PartitionId) override {}

    std::map<InputTopic, std::uint64_t> taken;
    std::map<std::pair<Outcome, Reason>, std::uint64_t> outcomes;
    std::map<Reason, std::uint64_t> rejected_addresses;
    std::map<AnswerClass, std::uint64_t> attempts;
    std::map<std::string, std::uint64_t> in_doubt;  // ended ambiguous, by provider
    std::uint64_t late_steps = 0;
    std::uint64_t gaps = 0;
    std::uint64_t duplicates = 0;
    std::uint64_t conflicts = 0;
    std::int64_t held_now = 0;
    std::int64_t open_intents = 0;
};

}  // namespace postlane
