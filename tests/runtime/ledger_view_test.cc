// What a partition sees of its ledger: batch over open intents over store; and that a replay from
// any earlier offset gives the same.
#include "runtime/ledger_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "runner_bench.h"

namespace postlane {
namespace {

using enum MessageState;

const RecipientId kAnn("ann");
constexpr Instant kNow{Millis{1'764'579'600'000}};

MessageRow row_in(MessageState state, Step step = 0, Offset offset = 1) {
    MessageRow row;
    row.state = state;
    row.route = "default";
    row.category = "marketing";
    row.input_offset = offset;
    row.received_at = kNow;
    row.decided_at = kNow;
    row.due_at = kNow;
    row.expires_at = kNow + std::chrono::hours{72};
    if (step > 0) {
        row.sequence = SequenceRef{"drip", step};
    }
    if (has_ended(state)) {
        row.reason = Reason::Accepted;
        row.row_expires_at = kNow + std::chrono::hours{24 * 90};
    } else {
        row.payload = std::make_shared<const Payload>(Payload{kNow, "{}", {}});
        row.wake_at = kNow + std::chrono::hours{1};
    }
    if (state == Sending) {
        row.wake_at = {};
        row.intent = Intent{AttemptId{7, static_cast<std::uint64_t>(offset)}, "esp", Millis{5'000},
                            Millis{30'000}, Hash128{}};
    }
    return row;
}

class LedgerViewTest : public testing::Test {
protected:
    LedgerViewTest() { view_.focus(kAnn, kNow); }
    void put(const std::string& id, MessageRow row) {
        view_.put(PutMessage{MessageId(id), std::move(row)});
    }
    void commit() {
        ASSERT_TRUE(view_.applied(topic_.commit(view_.ledger_records(0)), kNow));
        view_.focus(kAnn, kNow);
    }
    std::optional<MessageState> state(const std::string& id) const {
        const auto row = view_.message(MessageId(id));
        return row ? std::optional(row->state) : std::nullopt;
    }
    bool stored(const std::string& id) const {
        return store_.rows.contains(ledger::message_key(kAnn, MessageId(id)));
    }
    Offset position() const { return (**view_.position()).ledger_next; }
    std::size_t wakes() const {
        return view_.wakes(ledger::wake_prefix(""), ledger::ledger_keys_begin(), 100).size();
    }

    MapStore store_;
    FakeAddresses addresses_;
    LedgerTopic topic_;
    LedgerView view_{store_, addresses_};
};

TEST_F(LedgerViewTest, TheBatchIsSeenAtOnceAndStoredOnceCommitted) {
    put("m", row_in(Ready));
    EXPECT_EQ(state("m"), Ready);
    EXPECT_FALSE(stored("m"));
    const auto records = view_.ledger_records(0);
    EXPECT_FALSE(stored("m"));
    ASSERT_TRUE(view_.applied(topic_.commit(records), kNow));
    EXPECT_TRUE(stored("m"));
    EXPECT_EQ(state("m"), Ready);
    EXPECT_TRUE(view_.batch_empty());
}

TEST_F(LedgerViewTest, TheLastWriteOfABatchIsItsOnlyRecord) {
    put("m", row_in(Ready));
    put("m", row_in(Sending));
    const auto records = view_.ledger_records(0);
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(*ledger::peek_message_state(*records[0].value), Sending);
}

// Few are remembered, many are read again each time; the answer is the same.
TEST_F(LedgerViewTest, SuppressionsAreThoseOfTheLastPut) {
    const RecipientId bob("bob");
    EXPECT_EQ(view_.suppressions(), std::nullopt);
    for (const std::size_t entries : {1U, 40U, 16U, 17U, 2U, 3U}) {
        SuppressionRow row;
        for (std::size_t at = 0; at < entries; ++at) {
            row.entries.push_back({{Scope::Kind::Category, std::to_string(at)},
                                   SuppressionReason::Manual,
                                   kNow,
                                   std::nullopt});
        }
        view_.put(PutSuppressions{row});
        EXPECT_EQ(view_.suppressions(), row) << entries;
        view_.focus(bob, kNow);
        EXPECT_EQ(view_.suppressions(), std::nullopt);
        view_.focus(kAnn, kNow);
        EXPECT_EQ(view_.suppressions(), row) << entries;
        commit();
        EXPECT_EQ(view_.suppressions(), row) << entries;
        LedgerView later(store_, addresses_);
        later.focus(kAnn, kNow);
        EXPECT_EQ(later.suppressions(), row) << entries;
        EXPECT_EQ(later.suppressions(), row) << entries;
    }
}

TEST_F(LedgerViewTest, RecordsKeepTheOrderOfTheDecisions) {
    put("z", row_in(Ready));
    view_.put(PutSequence{"drip", SequenceRow{}});
    put("a", row_in(Ready));
    put("z", row_in(Scheduled));
    std::vector<std::string> keys;
    for (const OutRecord& record : view_.ledger_records(0)) {
        keys.push_back(*record.key);
    }
    EXPECT_THAT(keys, testing::ElementsAre(ledger::sequence_key(kAnn, "drip"),
                                           ledger::message_key(kAnn, MessageId("a")),
                                           ledger::message_key(kAnn, MessageId("z"))));
}

TEST_F(LedgerViewTest, AnOpenIntentStaysBesideTheStoreAndHoldsThePositionBack) {
    put("m", row_in(Ready));
    commit();
    put("m", row_in(Sending, 0, 2));
    commit();
    EXPECT_EQ(state("m"), Sending);
    const auto row =
        ledger::decode_message(store_.rows.at(ledger::message_key(kAnn, MessageId("m"))));
    EXPECT_EQ(row->state, Ready);  // as it was before
    const Offset held_at = position();
    EXPECT_EQ(held_at, topic_.entries.back().offset);
    put("n", row_in(Ready));
    commit();
    EXPECT_EQ(position(), held_at);
    EXPECT_EQ(view_.open_intents().size(), 1U);

    put("m", row_in(Sent));
    commit();
    EXPECT_GT(position(), held_at);
    EXPECT_TRUE(view_.open_intents().empty());
    EXPECT_EQ(state("m"), Sent);
}

TEST_F(LedgerViewTest, TheOldestOpenIntentHoldsThePosition) {
    put("a", row_in(Sending, 0, 1));
    commit();
    const Offset first = topic_.entries.back().offset;
    put("b", row_in(Sending, 0, 2));
    commit();
    const Offset second = topic_.entries.back().offset;
    EXPECT_EQ(position(), first);
    put("a", row_in(Sent));
    commit();
    EXPECT_EQ(position(), second);
}

TEST_F(LedgerViewTest, EndedRowsReadAsAbsentOnceTheirTimeIsOver) {
    put("m", row_in(Sent));
    commit();
    EXPECT_EQ(state("m"), Sent);
    view_.focus(kAnn, kNow + std::chrono::hours{24 * 90});
    EXPECT_EQ(state("m"), std::nullopt);
}

TEST_F(LedgerViewTest, ForgottenAndBackInOneBatchIsOneRecord) {
    put("m", row_in(Sent));
    commit();
    view_.expire(ledger::message_key(kAnn, MessageId("m")));
    EXPECT_EQ(state("m"), std::nullopt);
    put("m", row_in(Ready));
    EXPECT_EQ(state("m"), Ready);
    EXPECT_EQ(view_.ledger_records(0).size(), 1U);
    commit();
    EXPECT_EQ(state("m"), Ready);
}

TEST_F(LedgerViewTest, RecipientsDoNotSeeEachOther) {
    put("m", row_in(Ready, 1));
    commit();
    view_.focus(RecipientId("an"), kNow);
    EXPECT_EQ(state("m"), std::nullopt);
    EXPECT_FALSE(view_.next_step("drip", 0));
    view_.focus(RecipientId("ann2"), kNow);
    EXPECT_EQ(state("m"), std::nullopt);
}

TEST_F(LedgerViewTest, StepsFollowTheirMessages) {
    put("m1", row_in(Ready, 1));
    put("m3", row_in(Held, 3));
    EXPECT_EQ(view_.next_step("drip", 0)->message_id, MessageId("m1"));
    commit();
    EXPECT_EQ(view_.next_step("drip", 2)->message_id, MessageId("m3"));
    put("m1", row_in(Sending, 1));
    commit();
    EXPECT_EQ(view_.step("drip", 1)->message_id, MessageId("m1"));
    EXPECT_EQ(view_.next_step("drip", 0)->step, 1U);
    put("m1", row_in(Sent, 1));
    EXPECT_FALSE(view_.step("drip", 1));
    EXPECT_EQ(view_.next_step("drip", 0)->step, 3U);
    commit();
    EXPECT_FALSE(view_.step("drip", 1));
    EXPECT_EQ(view_.next_step("drip", 0)->step, 3U);
    EXPECT_FALSE(view_.next_step("drip", 4));
    EXPECT_FALSE(view_.next_step("dri", 0));
}

TEST_F(LedgerViewTest, AStepThatEndedAheadStaysUntilForgotten) {
    MessageRow row = row_in(Expired, 3);
    row.ended_ahead = true;
    put("m3", row);
    commit();
    ASSERT_TRUE(view_.step("drip", 3));
    EXPECT_TRUE(view_.step("drip", 3)->ended);
    view_.forget(ForgetStep{"drip", 3});
    EXPECT_FALSE(view_.step("drip", 3));
    EXPECT_FALSE(view_.next_step("drip", 0));
    view_.put_offsets(OffsetsRow{1, 1});
    commit();
    EXPECT_FALSE(view_.step("drip", 3));
}

// Compaction has taken what ended the step; what forgot its message is all that is left.
TEST_F(LedgerViewTest, AForgottenMessageHoldsNoStepInAStoreThatWasKept) {
    put("m3", row_in(Held, 3));
    view_.put_offsets(OffsetsRow{1, 1});
    commit();
    ASSERT_TRUE(view_.step("drip", 3));
    LedgerView later(store_, addresses_);
    ASSERT_TRUE(later.load_cursors());
    ASSERT_TRUE(later.position());
    const std::string key = ledger::message_key(kAnn, MessageId("m3"));
    LedgerLog::Record record;
    record.offset = topic_.next;
    record.key = key;
    ASSERT_TRUE(later.replay(record));
    ASSERT_TRUE(later.replayed(topic_.next + 1, kNow));
    later.focus(kAnn, kNow);
    EXPECT_FALSE(later.message(MessageId("m3")));
    EXPECT_FALSE(later.step("drip", 3));
}

TEST_F(LedgerViewTest, AMessageOutsideItsSequenceHoldsNoStep) {
    put("m1", row_in(Ready, 1));
    MessageRow late = row_in(DeadLettered, 1);
    late.outside_sequence = true;
    put("late", late);
    EXPECT_EQ(view_.step("drip", 1)->message_id, MessageId("m1"));
}

TEST_F(LedgerViewTest, ASequenceReadsAsLastPutInTheBatchAndAfterIt) {
    EXPECT_FALSE(view_.sequence("drip"));
    SequenceRow row;
    for (Step expected = 2; expected < 5; ++expected) {
        row.expected = expected;
        view_.put(PutSequence{"drip", row});
        ASSERT_TRUE(view_.sequence("drip"));
        EXPECT_EQ(view_.sequence("drip")->expected, expected);
        commit();
        EXPECT_EQ(view_.sequence("drip")->expected, expected);
    }
    EXPECT_FALSE(view_.sequence("other"));
    view_.focus(RecipientId("bob"), kNow);
    EXPECT_FALSE(view_.sequence("drip"));
}

TEST_F(LedgerViewTest, ASequenceThatIsForgottenIsGoneAtOnceAndMayComeBack) {
    SequenceRow row;
    row.row_expires_at = kNow + std::chrono::hours{1};
    view_.put(PutSequence{"drip", row});
    commit();
    EXPECT_TRUE(view_.sequence("drip"));
    view_.focus(kAnn, kNow + std::chrono::hours{1});
    EXPECT_FALSE(view_.sequence("drip"));
    view_.expire(ledger::sequence_key(kAnn, "drip"));
    view_.focus(kAnn, kNow);
    EXPECT_FALSE(view_.sequence("drip"));
    commit();
    EXPECT_FALSE(view_.sequence("drip"));
    view_.put(PutSequence{"drip", row});
    EXPECT_TRUE(view_.sequence("drip"));
}

// Whatever is still known without asking the store: the answers are the store's.
TEST_F(LedgerViewTest, ManySequencesReadAsTheyWerePut) {
    constexpr int kMany = 3'000;
    SequenceRow row;
    for (int number = 0; number < kMany; ++number) {
        row.held = static_cast<std::uint32_t>(number);
        view_.put(PutSequence{std::to_string(number), row});
        if (number % 100 == 99) {
            commit();
        }
    }
    for (const int stride : {1, 7}) {
        for (int number = 0; number < kMany; number += stride) {
            const auto read = view_.sequence(std::to_string(number));
            ASSERT_TRUE(read) << number;
            ASSERT_EQ(read->held, static_cast<std::uint32_t>(number));
        }
    }
}

TEST_F(LedgerViewTest, OneWakePerWaitingMessage) {
    MessageRow row = row_in(Scheduled);
    put("m", row);
    commit();
    EXPECT_EQ(wakes(), 1U);
    row.wake_at += Millis{1};
    put("m", row);
    commit();
    EXPECT_EQ(wakes(), 1U);
    EXPECT_EQ(view_.take_new_wakes().size(), 2U);
    put("m", row_in(Sending));
    commit();
    EXPECT_EQ(wakes(), 0U);
    put("m", row_in(Retrying));
    commit();
    EXPECT_EQ(wakes(), 1U);
    put("m", row_in(Sent));
    commit();
    EXPECT_EQ(wakes(), 0U);
}

TEST_F(LedgerViewTest, AStoreThatFailsIsNoticedByEveryRead) {
    store_.broken = true;
    EXPECT_FALSE(view_.message(MessageId("m")));
    EXPECT_TRUE(view_.failed());
    EXPECT_EQ(view_.failure()->code, ErrorCode::Corrupt);
}

TEST_F(LedgerViewTest, ReplayRefusesWhatItCannotRead) {
    LedgerLog::Record record;
    record.key = "\xff strange";
    record.value = "x";
    const auto replayed = view_.replay(record);
    ASSERT_FALSE(replayed);
    EXPECT_EQ(replayed.error().code, ErrorCode::Corrupt);
}

// --- any history, replayed from any earlier offset, gives what the living view shows ---

struct Seen {
    std::map<std::string, std::string> rows;   // ledger rows, open intents included
    std::map<std::string, std::string> steps;  // from the expected step on
    std::vector<std::string> wakes;            // those that their rows ask for
};

constexpr std::size_t kPeople = 3;
RecipientId person(std::size_t n) {
    return RecipientId("r" + std::to_string(n));
}

Seen see(LedgerView& view, const MapStore& store, Instant now) {
    Seen seen;
    for (const auto& [key, value] : store.rows) {
        if (key >= ledger::ledger_keys_begin() && key < ledger::ledger_keys_end()) {
            seen.rows[key] = value;
        } else if (const auto wake = ledger::parse_wake(key)) {
            view.focus(wake->recipient, now);
            if (wake->target == ledger::Wake::Target::SequenceHalt) {
                const auto sequence = view.sequence(wake->id);
                if (sequence && sequence->halt && sequence->halt->until == wake->at) {
                    seen.wakes.push_back(key);
                }
                continue;
            }
            const auto row = view.message(MessageId(wake->id));
            if (row && wake_of(wake->recipient, MessageId(wake->id), *row) == *wake) {
                seen.wakes.push_back(key);
            }
        }
    }
    for (const LedgerView::OpenIntent& open : view.open_intents()) {
        view.focus(open.recipient, now);
        seen.rows[ledger::message_key(open.recipient, open.message_id)] =
            ledger::encode(*view.message(open.message_id));
    }
    for (std::size_t n = 0; n < kPeople; ++n) {
        view.focus(person(n), now);
        const auto sequence = view.sequence("drip");
        Step from = sequence ? sequence->expected : 0;
        while (const auto entry = view.next_step("drip", from)) {
            seen.steps[person(n).value() + std::to_string(entry->step)] =
                ledger::encode_step(*entry);
            from = entry->step + 1;
        }
    }
    return seen;
}

// Replays into this store from its own position; what it then holds.
Seen restored(MapStore store, const LedgerTopic& topic, Instant now) {
    const FakeAddresses addresses;
    LedgerView view(store, addresses);
    const auto position = view.position();
    EXPECT_TRUE(position && view.load_cursors());
    const Offset from = *position ? (*position)->ledger_next : 0;
    for (const LedgerTopic::Entry& entry : topic.entries) {
        if (entry.offset >= from) {
            LedgerLog::Record record;
            record.offset = entry.offset;
            record.key = entry.key;
            record.value = entry.value;
            EXPECT_TRUE(view.replay(record));
        }
    }
    EXPECT_TRUE(view.replayed(topic.next, now));
    return see(view, store, now);
}

// What compaction may leave of a topic: the last record of each key, where it was.
LedgerTopic compacted(const LedgerTopic& topic) {
    LedgerTopic left;
    left.next = topic.next;
    std::map<std::string, Offset> last;
    for (const LedgerTopic::Entry& entry : topic.entries) {
        last[entry.key] = entry.offset;
    }
    for (const LedgerTopic::Entry& entry : topic.entries) {
        if (last[entry.key] == entry.offset) {
            left.entries.push_back(entry);
        }
    }
    return left;
}

void expect_same(const Seen& live, const Seen& replayed) {
    EXPECT_EQ(live.rows, replayed.rows);
    EXPECT_EQ(live.steps, replayed.steps);
    EXPECT_EQ(live.wakes, replayed.wakes);
}

class Histories : public testing::TestWithParam<int> {};

TEST_P(Histories, ReplayFromAnyEarlierOffsetConverges) {
    std::mt19937 random(static_cast<unsigned>(GetParam()));
    const auto below = [&](std::size_t n) { return std::size_t{random()} % n; };
    Config config = runner_config();
    config.ordering.on_gap = GetParam() % 2 == 0 ? config::OnGap::Skip : config::OnGap::DeadLetter;
    config.ordering.max_halt = std::chrono::hours{GetParam() % 4 < 2 ? 2 : 200};
    if (GetParam() % 4 > 1) {
        config.ledger.retention_days =
            std::chrono::days{1};  // rows end before their sequences' halts
    }
    if (GetParam() % 3 == 0) {
        config.providers[0].idempotency = config::Idempotency::None;  // doubts end, sequences halt
    }
    RunnerBench bench(config);
    std::vector<MapStore> snapshots{bench.store};
    std::vector<Step> next_step(kPeople, 1);
    for (int turn = 0; turn < 120; ++turn) {
        for (std::size_t sends = below(4); sends > 0; --sends) {
            const std::size_t who = below(kPeople);
            const std::string id = "m" + std::to_string(below(60));
            if (below(3) == 0) {
                bench.send(person(who).value(), id);
            } else {
                next_step[who] += below(3);
                const Step step = std::max<Step>(1, next_step[who] - below(3));
                bench.send_step(person(who).value(), id, step);
            }
        }
        if (below(25) == 0) {
            bench.suppress(person(below(kPeople)).value());
        }
        while (bench.on_the_wire() > 0 && below(3) > 0) {
            constexpr std::array kStatuses{202, 202, 202, 429, 500, 400};
            bench.answer(kStatuses[below(kStatuses.size())]);
        }
        bench.advance(Millis{static_cast<int>(below(below(6) == 0 ? 30'000'000 : 3'000))});
        bench.turn();
        if (below(10) == 0) {
            snapshots.push_back(bench.store);
        }
    }
    LedgerView& view = bench.runner->ledger();
    const Seen live = see(view, bench.store, bench.now.broker);
    EXPECT_GT(live.rows.size(), 20U);
    for (const MapStore& snapshot : snapshots) {
        expect_same(live, restored(snapshot, bench.ledger, bench.now.broker));
        expect_same(live, restored(snapshot, compacted(bench.ledger), bench.now.broker));
    }
}

INSTANTIATE_TEST_SUITE_P(Random, Histories, testing::Range(0, 48));

}  // namespace
}  // namespace postlane
