#include "app/ledger_audit.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>

#include "codec/ledger_codec.h"

namespace postlane {
namespace {

class MapStore : public Store {
public:
    std::map<std::string, std::string> rows;

    [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key) const override {
        const auto found = rows.find(std::string(key));
        return found == rows.end() ? std::optional<std::string>() : std::optional(found->second);
    }
    [[nodiscard]] Result<std::vector<std::pair<std::string, std::string>>> scan(
        std::string_view begin, std::string_view end, std::size_t limit) const override {
        std::vector<std::pair<std::string, std::string>> page;
        for (auto row = rows.lower_bound(std::string(begin));
             row != rows.end() && row->first < end && page.size() < limit; ++row) {
            page.push_back(*row);
        }
        return page;
    }
    [[nodiscard]] Result<void> write(const StoreBatch&) override { return {}; }
    [[nodiscard]] Result<void> wipe() override { return {}; }
    [[nodiscard]] std::uint64_t size_bytes() const override { return 7; }
};

std::string key(const std::string& message) {
    return ledger::message_key(RecipientId("u"), MessageId(message));
}
std::string value(MessageState state, Offset input = 0) {
    MessageRow row;
    row.state = state;
    row.input_offset = input;
    return ledger::encode(row);
}
MapStore store_at(Offset position) {
    MapStore store;
    store.rows[ledger::position_key()] =
        ledger::encode(ledger::Position{.genesis = {}, .ledger_next = position, .applied_at = {}});
    return store;
}

struct AuditRow {
    std::string name;
    std::function<void(MapStore&)> stored;
    std::vector<std::pair<Offset, std::optional<std::string>>> topic;  // values of key("m")
    std::uint64_t missing;
    std::uint64_t different;
    std::uint64_t extra;
};
void PrintTo(const AuditRow& row, std::ostream* out) {
    *out << row.name;
}

class Audit : public testing::TestWithParam<AuditRow> {};

constexpr Offset kPosition = 100;

TEST_P(Audit, Compares) {
    MapStore store = store_at(kPosition);
    GetParam().stored(store);
    LedgerAudit audit(3);
    ASSERT_TRUE(audit.take_store(store));
    for (const auto& [offset, text] : GetParam().topic) {
        ASSERT_TRUE(audit.take_record(
            offset, key("m"),
            text ? std::optional<std::string_view>(*text) : std::optional<std::string_view>()));
    }
    const LedgerPartitionVerdict verdict = audit.verdict();
    EXPECT_EQ(verdict.partition, 3);
    EXPECT_EQ(verdict.missing, GetParam().missing);
    EXPECT_EQ(verdict.different, GetParam().different);
    EXPECT_EQ(verdict.extra, GetParam().extra);
    EXPECT_EQ(verdict.agrees(), GetParam().missing + GetParam().different + GetParam().extra == 0);
}

const std::string kReady = value(MessageState::Ready);
const std::string kSending = value(MessageState::Sending);
const std::string kSent = value(MessageState::Sent);
void has_sent(MapStore& store) {
    store.rows[key("m")] = kSent;
}
void has_ready(MapStore& store) {
    store.rows[key("m")] = kReady;
}
void has_nothing(MapStore&) {}

INSTANTIATE_TEST_SUITE_P(
    Table, Audit,
    testing::Values(
        AuditRow{"TheLatestCounts", has_sent, {{1, kReady}, {2, kSent}}, 0, 0, 0},
        AuditRow{"Stale", has_ready, {{1, kReady}, {2, kSent}}, 0, 1, 0},
        AuditRow{"Lost", has_nothing, {{1, kReady}, {2, kSent}}, 1, 0, 0},
        AuditRow{"Invented", has_sent, {}, 0, 0, 1},
        AuditRow{"Forgotten", has_nothing, {{1, kSent}, {2, std::nullopt}}, 0, 0, 0},
        AuditRow{"NotForgotten", has_sent, {{1, kSent}, {2, std::nullopt}}, 0, 0, 1},
        // Open intents are never in the store.
        AuditRow{"OpenIntent", has_ready, {{1, kReady}, {100, kSending}}, 0, 0, 0},
        AuditRow{"StraightThrough", has_nothing, {{100, kSending}}, 0, 0, 0},
        AuditRow{"PositionBeyondAnOpenIntent", has_nothing, {{99, kSending}}, 1, 0, 0},
        // The oldest open intent holds the position back, other rows go on.
        AuditRow{"AppliedBeyondThePosition",
                 has_sent,
                 {{1, kReady}, {100, kSending}, {101, kSent}},
                 0,
                 0,
                 0},
        AuditRow{"NotYetApplied", has_ready, {{1, kReady}, {101, kSent}}, 0, 0, 0},
        AuditRow{"NeitherOldNorNew",
                 has_sent,
                 {{1, kReady}, {101, value(MessageState::Failed)}},
                 0,
                 1,
                 0},
        AuditRow{"ForgottenBeyond", has_nothing, {{1, kSent}, {101, std::nullopt}}, 0, 0, 0}),
    [](const auto& row) { return row.param.name; });

TEST(LedgerAuditTest, StopsAtBytesItDoesNotKnow) {
    LedgerAudit audit(0);
    EXPECT_EQ(audit.take_record(0, "\x7f", "x").error().code, ErrorCode::Corrupt);
}

// A topic that has more for ever.
class EndlessStream final : public InputStream {
public:
    [[nodiscard]] Result<Offset> resolve(Offset which) override { return which; }
    [[nodiscard]] Result<void> start(Offset /*from*/) override { return {}; }
    [[nodiscard]] Result<void> poll(std::vector<InputRecord>& out, std::size_t /*max*/) override {
        InputRecord& record = out.emplace_back();
        record.offset = next_++;
        record.key = key("m");
        record.value = value(MessageState::Sent);
        return {};
    }
    [[nodiscard]] std::optional<Offset> end_seen() const override { return std::nullopt; }
    [[nodiscard]] std::optional<Offset> high_watermark() const override { return std::nullopt; }

private:
    Offset next_ = 0;
};

TEST(LedgerAuditTest, EndsWhenNobodyWantsToKnowAnyMore) {
    const MapStore store = store_at(kPosition);
    EndlessStream topic;
    int asked = 0;
    const auto verdict = audit_ledger(1, store, topic, [] {}, [&asked] { return ++asked > 3; });
    ASSERT_FALSE(verdict);
    EXPECT_EQ(verdict.error().code, ErrorCode::Unavailable);
}

TEST(LedgerAuditTest, CountsRowsByKindOverManyPages) {
    MapStore store = store_at(kPosition);
    for (int i = 0; i < 9000; ++i) {
        store.rows[key("m" + std::to_string(i))] =
            value(i % 3 == 0 ? MessageState::Ready : MessageState::Sent);
    }
    store.rows[ledger::sequence_key(RecipientId("u"), "s")] = ledger::encode(SequenceRow{});
    store.rows[ledger::suppressions_key(RecipientId("u"))] = ledger::encode(SuppressionRow{});
    store.rows[ledger::offsets_key()] = ledger::encode(OffsetsRow{});
    const auto stats = count_ledger_rows(2, store);
    ASSERT_TRUE(stats) << stats.error().detail;
    EXPECT_EQ(stats->partition, 2);
    EXPECT_EQ(stats->ledger_next, kPosition);
    EXPECT_EQ(stats->messages_live, 3000U);
    EXPECT_EQ(stats->messages_ended, 6000U);
    EXPECT_EQ(stats->sequences, 1U);
    EXPECT_EQ(stats->suppressions, 1U);
    EXPECT_EQ(stats->store_bytes, 7U);
}

}  // namespace
}  // namespace postlane
