// One process with one partition, its ports in memory and its clocks in the test's hand.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "fakes.h"
#include "runtime/partition_runner.h"

namespace postlane {

inline void PrintTo(MessageState state, std::ostream* out) {
    *out << to_string(state);
}

inline std::string header_of(const DispatchRequest& request, const std::string& name) {
    for (const auto& [key, value] : request.request.headers) {
        if (key == name) {
            return value;
        }
    }
    return {};
}

inline Config runner_config() {
    Config config;
    config.topics.sends = "sends";
    config.topics.suppressions = "suppressions";
    config.topics.outcomes = "outcomes";
    config.topics.dead_letters = "dead";
    config.topics.ledger = "ledger";
    config.ledger.retention_days = std::chrono::days{90};
    config.ordering.max_wait = std::chrono::hours{24};
    config.ordering.max_held = 1'000;
    config.ordering.max_halt = std::chrono::hours{24 * 7};
    config.suppression.max_staleness = Millis{250};
    config.dispatch.max_in_flight = 100;
    config.dispatch.intent_deadline = Millis{5'000};
    config.dispatch.default_ttl = std::chrono::hours{72};
    config.dispatch.max_attempts = 8;
    config.dispatch.max_payload_bytes = 921'600;
    config::Provider esp;
    esp.name = "esp";
    esp.base_url = "http://esp.example/send";
    esp.max_in_flight = 100;
    esp.timeout = Millis{30'000};
    esp.idempotency = config::Idempotency::Header;
    esp.idempotency_header = "Idempotency-Key";
    esp.idempotency_lifetime = std::chrono::hours{24};
    config.providers = {esp};
    config::Route route;
    route.name = "default";
    route.providers = {"esp"};
    route.from = config::Mailbox{"shop@example.com", std::nullopt};
    config.routes = {route};
    return config;
}

// The ledger topic: what was committed, in order.
struct LedgerTopic {
    struct Entry {
        Offset offset = 0;
        std::string key;
        std::optional<std::string> value;
    };
    std::vector<Entry> entries;
    Offset next = 0;

    CommitReceipt commit(const std::vector<OutRecord>& records) {
        CommitReceipt receipt;
        for (const OutRecord& record : records) {
            if (record.destination == Destination::Ledger) {
                receipt.ledger_offsets.push_back(next);
                entries.push_back({next++, *record.key, record.value});
            }
        }
        receipt.ledger_next = next++;  // the transaction's own marker takes one
        return receipt;
    }
};

class RunnerBench {
public:
    explicit RunnerBench(Config given = runner_config(), std::uint64_t process = 7)
        : config(std::move(given)), flow(config) {
        flow.set_share(1, 1, now.boot);
        waiter = flow.add_waiter([] {});
        start_process(process);
    }

    void start_process(std::uint64_t process) {
        runner.reset();
        registry = std::make_unique<AttemptRegistry>(
            process, config, flow, [](PartitionId) {}, [this] { return now.boot; });
        start();
    }

    // As after restart_partition: what the store holds, replayed to the end of the topic.
    void start() {
        runner.reset();
        runner = std::make_unique<PartitionRunner>(
            RunnerPorts{config, 0, 1, store, addresses, flow, waiter, *registry, dispatcher,
                        metrics, guard, 1'000'000},
            Epoch{++epoch});
        const auto position = runner->ledger().position();
        ASSERT_TRUE(position);
        const Offset from = *position ? (*position)->ledger_next : 0;
        ASSERT_TRUE(runner->ledger().load_cursors());
        for (const LedgerTopic::Entry& entry : ledger.entries) {
            if (entry.offset >= from) {
                LedgerLog::Record record;
                record.offset = entry.offset;
                record.key = entry.key;
                record.value = entry.value;
                ASSERT_TRUE(runner->ledger().replay(record));
            }
        }
        ASSERT_TRUE(runner->ledger().replayed(ledger.next, now.broker));
        runner->begin(now.boot, now);
    }

    // As seeking the inputs to the ledger's offsets does.
    void rewind() {
        runner->on_suppressions(suppressions, next_suppression);
        runner->on_sends(sends, next_send, now);
    }

    void advance(Millis by) {
        now.boot += by;
        now.broker += by;
    }

    // An event to `recipient` with these members more; returns its input offset.
    Offset send(const std::string& recipient, const std::string& id, const std::string& more = "") {
        InputRecord record;
        record.offset = next_send++;
        record.timestamp = now.broker;
        record.key = recipient;
        record.value = R"({"to":{"email":")" + recipient + R"(@example.com"},"message_id":")" + id +
                       R"(","content":{"subject":"s","text":"t"})" +
                       (more.empty() ? "" : "," + more) + "}";
        sends.push_back(record);
        std::vector<InputRecord> records;
        records.push_back(std::move(record));
        runner->on_sends(std::move(records), next_send, now);
        return next_send - 1;
    }
    Offset send_step(const std::string& recipient, const std::string& id, Step step,
                     const std::string& more = "") {
        return send(recipient, id,
                    R"("sequence":{"id":"drip","step":)" + std::to_string(step) + "}" +
                        (more.empty() ? "" : "," + more));
    }

    void suppress(const std::string& recipient) {
        InputRecord record;
        record.offset = next_suppression++;
        record.timestamp = now.broker;
        record.key = recipient;
        record.value = R"({"action":"suppress","recipient_id":")" + recipient +
                       R"(","reason":"unsubscribe","occurred_at":"2025-11-30T00:00:00Z"})";
        suppressions.push_back(record);
        std::vector<InputRecord> records;
        records.push_back(std::move(record));
        runner->on_suppressions(std::move(records), next_suppression);
    }

    void prove_fresh() {
        addresses.fresh = now.boot;
        runner->on_proof(now.boot, next_suppression);
        runner->on_suppressions({}, next_suppression);
    }

    void commit() {
        const Transaction transaction = runner->seal(now);
        for (const OutRecord& record : transaction.records) {
            if (record.destination != Destination::Ledger) {
                written.push_back(record);
            }
        }
        last_transaction = transaction;
        ASSERT_TRUE(runner->committed(ledger.commit(transaction.records), now));
        transactions += 1;
    }

    // One cycle: results, decisions on a fresh view, one commit.
    void turn() {
        prove_fresh();
        runner->on_results(registry->take(0));
        runner->on_credit();
        runner->decide(now);
        if (runner->has_batch()) {
            commit();
        }
    }
    // Cycles until nothing more happens.
    void settle() {
        int quiet = 0;
        for (int cycle = 0; cycle < 1'000; ++cycle) {
            const std::size_t before = transactions;
            turn();
            quiet = transactions == before ? quiet + 1 : 0;
            if (quiet == 8) {
                return;
            }
        }
        FAIL() << "does not come to rest";
    }

    [[nodiscard]] std::size_t on_the_wire() const { return dispatcher.submitted.size(); }
    DispatchRequest take_submitted() {
        DispatchRequest request = std::move(dispatcher.submitted.front());
        dispatcher.submitted.erase(dispatcher.submitted.begin());
        return request;
    }

    // Tells what became of the oldest request that was submitted.
    void answer(int status, std::string provider_id = "p-1") {
        const DispatchRequest request = take_submitted();
        registry->handed_over(request.attempt);
        AttemptResult result;
        result.kind = AttemptResult::Kind::Answered;
        result.answer.status = status;
        result.answer.provider_message_id = std::move(provider_id);
        finish(request, std::move(result));
    }
    void finish(const DispatchRequest& request, AttemptResult result) {
        result.handed_over_at = now.boot;
        result.ended_at = now.boot;
        registry->finished(request.attempt, 0, std::move(result));
    }

    [[nodiscard]] std::optional<MessageRow> message(const std::string& recipient,
                                                    const std::string& id) {
        runner->ledger().focus(RecipientId(recipient), now.broker);
        return runner->ledger().message(MessageId(id));
    }
    [[nodiscard]] MessageState state(const std::string& recipient, const std::string& id) {
        const auto row = message(recipient, id);
        if (!row) {
            ADD_FAILURE() << "no row of " << recipient << "/" << id;
            return MessageState::Held;
        }
        return row->state;
    }

    Config config;
    Now now{BootInstant{std::chrono::seconds{100'000}}, Instant{Millis{1'764'579'600'000}}};
    LedgerTopic ledger;
    MapStore store;
    FakeAddresses addresses;
    FakeDispatcher dispatcher;
    FakeMetrics metrics;
    ProviderFlow flow;
    ProviderFlow::WaiterId waiter = 0;
    std::shared_ptr<PartitionGuard> guard = std::make_shared<PartitionGuard>();
    std::unique_ptr<AttemptRegistry> registry;
    std::unique_ptr<PartitionRunner> runner;
    std::vector<OutRecord> written;  // outcomes, receipts, dead letters, forwards
    Transaction last_transaction;
    std::size_t transactions = 0;
    std::vector<InputRecord> sends;  // all that ever arrived
    std::vector<InputRecord> suppressions;
    Offset next_send = 0;
    Offset next_suppression = 0;
    std::uint64_t epoch = 0;
};

}  // namespace postlane
