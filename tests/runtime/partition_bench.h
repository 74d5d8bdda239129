// One Partition with everything around it in memory, for tests of how it begins.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "runner_bench.h"
#include "runtime/partition.h"

namespace postlane {

class StillClock final : public Clock {
public:
    [[nodiscard]] BootInstant boot_now() const override { return boot; }
    [[nodiscard]] Instant wall_now() const override { return Instant{Millis{1'764'579'600'000}}; }

    BootInstant boot{Millis{1'000'000}};  // moved by the test alone
};

class EmptyStream final : public InputStream {
public:
    explicit EmptyStream(Offset end) : end_(end) {}
    [[nodiscard]] Result<void> start(Offset /*from*/) override { return {}; }
    [[nodiscard]] Result<Offset> resolve(Offset /*which*/) override { return end_; }
    [[nodiscard]] Result<void> poll(std::vector<InputRecord>& /*out*/, std::size_t) override {
        return {};
    }
    [[nodiscard]] std::optional<Offset> end_seen() const override { return std::nullopt; }
    [[nodiscard]] std::optional<Offset> high_watermark() const override { return std::nullopt; }

private:
    const Offset end_;
};

// Until the test gives an answer.
class SilentEnds final : public EndOffsets {
public:
    [[nodiscard]] Result<Answer> ask(const std::vector<PartitionId>& /*partitions*/) override {
        if (answer) {
            return *answer;
        }
        return fail(ErrorCode::Unavailable, "silent");
    }

    std::optional<Answer> answer;
};

class PartitionBench : public testing::Test {
protected:
    using OpenLog = std::function<std::unique_ptr<LedgerLog>()>;
    using OpenStore = std::function<std::unique_ptr<Store>()>;

    PartitionBench() : flow_(config_) {}

    void make_partition(OpenLog open_log, OpenStore open_store) {
        PartitionPorts ports;
        ports.open_log = [open = std::move(open_log)]() -> Result<std::unique_ptr<LedgerLog>> {
            return open();
        };
        ports.open_store = [open = std::move(open_store)]() -> Result<std::unique_ptr<Store>> {
            return open();
        };
        ports.sends = std::make_unique<EmptyStream>(input_end_);
        ports.suppressions = std::make_unique<EmptyStream>(0);
        partition_ =
            std::make_unique<Partition>(around_, 0, std::move(ports), std::make_shared<Bell>());
    }

    Config config_ = runner_config();
    StillClock clock_;
    BrokerClock broker_clock_{clock_};
    FakeAddresses addresses_;
    ProviderFlow flow_;
    FakeDispatcher dispatcher_;
    FakeMetrics metrics_;
    AttemptRegistry registry_{1, config_, flow_, [](PartitionId) {},
                              [this] { return clock_.boot_now(); }};
    SilentEnds ends_;
    FreshnessService freshness_{ends_, clock_, Millis{250}, [](auto&&...) {}, [](auto&&...) {}};
    std::vector<std::string> logged_;  // events
    std::vector<std::string> texts_;   // of these
    std::optional<Offset> shown_;      // to the consumer group
    Offset input_end_ = 0;             // of the sends; all of it is deleted already
    CommitActivity commits_{1};
    Surroundings around_{
        .config = config_,
        .partition_count = 1,
        .max_record_bytes = 1'000'000,
        .clock = clock_,
        .broker_clock = broker_clock_,
        .addresses = addresses_,
        .flow = flow_,
        .registry = registry_,
        .dispatcher = dispatcher_,
        .freshness = freshness_,
        .metrics = metrics_,
        .commits = commits_,
        .show_progress = [this](PartitionId, Offset next_send) { shown_ = next_send; },
        .new_uuid = [] { return Hash128{}; },
        .log =
            [this](Severity, std::string_view event, const std::string& text) {
                logged_.emplace_back(event);
                texts_.push_back(text);
            }};
    std::unique_ptr<Partition> partition_;
};

}  // namespace postlane
