// Random lives of a few recipients, with restarts and every kind of answer:
// whatever happens, each input ends exactly once, steps are accepted in order, one request per
// recipient is in flight, and nothing is accepted twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <random>
#include <set>

#include "codec/encode.h"
#include "runner_bench.h"

namespace postlane {
namespace {

constexpr std::size_t kPeople = 4;
constexpr std::size_t kIds = 80;

std::string person(std::size_t n) {
    return "r" + std::to_string(n);
}
std::string message_id(std::size_t n) {
    return "m" + std::to_string(n);
}

struct Life {
    explicit Life(int given_seed) : seed(given_seed), random(static_cast<unsigned>(given_seed)) {
        for (std::size_t who = 0; who < kPeople; ++who) {
            for (std::size_t id = 0; id < kIds; ++id) {
                const std::string key =
                    idempotency_key(RecipientId(person(who)), MessageId(message_id(id)));
                by_key[key] = {person(who), message_id(id)};
            }
        }
    }

    static Config config_for(int seed) {
        Config config = runner_config();
        constexpr std::array kGaps{config::OnGap::DeadLetter, config::OnGap::Skip};
        config.ordering.on_gap = kGaps[static_cast<std::size_t>(seed) % kGaps.size()];
        config.ordering.max_halt = std::chrono::hours{20};
        config.ordering.min_spacing = Millis{seed % 3 * 1'000};
        config.dispatch.max_in_flight = 3;
        if (seed % 4 == 0) {
            config.providers[0].idempotency = config::Idempotency::None;
        }
        return config;
    }

    std::size_t below(std::size_t n) { return std::size_t{random()} % n; }

    void receive() {
        const std::size_t who = below(kPeople);
        const std::string id = message_id(below(kIds));
        if (below(3) == 0) {
            bench.send(person(who), id);
            return;
        }
        next_step[who] += below(3);
        const Step step = std::max<Step>(1, next_step[who] - below(3));
        bench.send_step(person(who), id, step);
    }

    [[nodiscard]] bool keyed() const {
        return bench.config.providers[0].idempotency == config::Idempotency::Header;
    }
    // Whose request it is, by the key that every request carries, in a header or as metadata.
    [[nodiscard]] const std::pair<std::string, std::string>& whose(
        const DispatchRequest& request) const {
        constexpr std::size_t kKeyLength = 43;
        const std::string name = R"("postlane_id":")";
        const std::string& body = request.request.body;
        return by_key.at(keyed() ? header_of(request, "Idempotency-Key")
                                 : body.substr(body.find(name) + name.size(), kKeyLength));
    }

    void answer(int status) {
        const auto& [who, id] = whose(bench.dispatcher.submitted.front());
        const bool is_first = status != 202 || executed.insert({who, id}).second;
        EXPECT_TRUE(keyed() || is_first) << "accepted twice: " << who << ' ' << id;
        // A provider that knows the key executes it no second time.
        if (status == 202 && is_first) {
            const auto row = bench.message(who, id);
            if (row->sequence) {
                Step& last = last_accepted[who];
                EXPECT_LT(last, row->sequence->step) << who << ' ' << id;
                last = row->sequence->step;
            }
        }
        bench.answer(status);
    }

    void check_in_flight() {
        std::set<std::string> busy;
        for (const DispatchRequest& request : bench.dispatcher.submitted) {
            EXPECT_TRUE(busy.insert(whose(request).first).second) << "two at once";
        }
        EXPECT_LE(bench.on_the_wire(), 3U);
    }

    void turn() {
        for (std::size_t sends = below(4); sends > 0; --sends) {
            receive();
        }
        if (below(30) == 0) {
            bench.suppress(person(below(kPeople)));
        }
        while (bench.on_the_wire() > 0 && below(3) > 0) {
            constexpr std::array kStatuses{202, 202, 202, 202, 429, 401, 500, 400};
            answer(kStatuses[below(kStatuses.size())]);
        }
        bench.advance(Millis{static_cast<int>(below(below(6) == 0 ? 20'000'000 : 3'000))});
        bench.turn();
        check_in_flight();
        if (below(20) == 0) {
            crash();
        }
    }

    // The partition's, before or after its commit went through.
    void crash() {
        bench.prove_fresh();
        bench.runner->on_results(bench.registry->take(0));
        bench.runner->decide(bench.now);
        if (bench.runner->has_batch()) {
            const Transaction transaction = bench.runner->seal(bench.now);
            if (below(2) == 0) {
                for (const OutRecord& record : transaction.records) {
                    if (record.destination != Destination::Ledger) {
                        bench.written.push_back(record);
                    }
                }
                (void)bench.ledger.commit(transaction.records);
            }
        }
        const Offset sends_end = bench.next_send;
        bench.start();
        bench.rewind();
        EXPECT_EQ(bench.next_send, sends_end);
    }

    void drain() {
        for (int hour = 0; hour < 24 * 14; ++hour) {
            bench.advance(std::chrono::hours{1});
            for (int again = 0; again < 3; ++again) {
                bench.settle();
                while (bench.on_the_wire() > 0) {
                    answer(202);
                }
            }
        }
        bench.settle();
    }

    void check_outcomes() {
        std::map<Offset, int> outcomes;
        for (const OutRecord& record : bench.written) {
            if (record.destination == Destination::Outcomes && is_of_sends(*record.value)) {
                outcomes[offset_in(*record.value)] += 1;
            }
        }
        for (Offset offset = 0; offset < bench.next_send; ++offset) {
            EXPECT_EQ(outcomes[offset], 1) << "input " << offset;
        }
        EXPECT_EQ(bench.runner->open_intents(), 0U);
        EXPECT_EQ(bench.flow.in_flight(), 0U);
        EXPECT_EQ(bench.runner->live_recipients(), 0U);
    }

    static bool is_of_sends(const std::string& json) {
        return json.find(R"("topic":"sends")") != std::string::npos;
    }
    static Offset offset_in(const std::string& json) {
        const std::string name = R"("offset":)";
        return std::stoll(json.substr(json.find(name) + name.size()));
    }

    int seed;
    std::mt19937 random;
    RunnerBench bench{config_for(seed)};
    std::array<Step, kPeople> next_step{1, 1, 1, 1};
    std::map<std::string, std::pair<std::string, std::string>> by_key;
    std::set<std::pair<std::string, std::string>> executed;
    std::map<std::string, Step> last_accepted;
};

class PartitionHistoryTest : public testing::TestWithParam<int> {};

TEST_P(PartitionHistoryTest, EveryInputEndsOnceAndInOrder) {
    Life life(GetParam());
    for (int turn = 0; turn < 150; ++turn) {
        life.turn();
    }
    life.drain();
    life.check_outcomes();
    EXPECT_GT(life.executed.size(), 3U);
}

INSTANTIATE_TEST_SUITE_P(Random, PartitionHistoryTest, testing::Range(0, 16));

}  // namespace
}  // namespace postlane
