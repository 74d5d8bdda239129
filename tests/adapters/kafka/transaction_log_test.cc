#include "adapters/kafka/transaction_log.h"

#include <gtest/gtest.h>

#include <csignal>
#include <set>

#include "adapters/kafka/broker.h"
#include "adapters/kafka/input_reader.h"

namespace postlane {
namespace {

using test::config_with_topics;
using test::eventually;
using test::quiet;
using test::Writer;

OutRecord to(Destination destination, const std::string& key, const std::string& value) {
    return {.destination = destination,
            .partition = 0,
            .key = key,
            .value = value,
            .headers = {},
            .timestamp = std::nullopt};
}

std::unique_ptr<KafkaLedgerLog> open_log(const Config& config, LedgerLogOptions options = {}) {
    auto made = KafkaLedgerLog::create(config, 0, quiet(), options);
    EXPECT_TRUE(made.has_value()) << made.error().detail;
    return std::move(*made);
}

std::unique_ptr<KafkaLedgerLog> fenced_log(const Config& config, LedgerLogOptions options = {}) {
    auto log = open_log(config, options);
    const auto fenced = log->fence();
    EXPECT_TRUE(fenced.has_value()) << fenced.error().detail;
    return log;
}

std::vector<std::string> replayed(LedgerLog& log) {
    std::vector<std::string> keys;
    const auto range = log.range();
    EXPECT_TRUE(range.has_value()) << range.error().detail;
    const auto done = log.replay(range->start, range->end, [&](const LedgerLog::Record& record) {
        keys.emplace_back(record.key);
        return true;
    });
    EXPECT_TRUE(done.has_value()) << done.error().detail;
    return keys;
}

TEST(KafkaLedgerLog, CommitTellsOffsetsAndAppendTime) {
    const Config config = config_with_topics();
    const auto log = fenced_log(config);
    const auto first =
        log->commit({{to(Destination::Ledger, "a", "1"), to(Destination::Outcomes, "a", "sent"),
                      to(Destination::Ledger, "b", "2")}});
    ASSERT_TRUE(first.has_value()) << first.error().detail;
    EXPECT_EQ(first->ledger_offsets, (std::vector<Offset>{0, 1}));
    EXPECT_EQ(first->ledger_next, 2);
    ASSERT_TRUE(first->broker_time.has_value());
    const auto age = std::chrono::system_clock::now() - *first->broker_time;
    EXPECT_LT(std::chrono::abs(age), std::chrono::minutes(1));

    // The marker of the first transaction took offset 2.
    const auto second = log->commit({{to(Destination::Ledger, "c", "3")}});
    ASSERT_TRUE(second.has_value()) << second.error().detail;
    EXPECT_EQ(second->ledger_offsets, (std::vector<Offset>{3}));
    EXPECT_EQ(second->ledger_next, 4);

    const auto none = log->commit({});
    ASSERT_TRUE(none.has_value()) << none.error().detail;
    EXPECT_EQ(none->ledger_next, 4);
    EXPECT_FALSE(none->broker_time.has_value());
}

TEST(KafkaLedgerLog, KeepsHeadersTimestampsNullsAndPartitions) {
    const Config config = config_with_topics(2);
    const auto log = fenced_log(config);
    const Instant then{std::chrono::seconds(1'700'000'000)};
    OutRecord letter = to(Destination::DeadLetters, "k", "v");
    letter.partition = 1;
    letter.key.reset();
    letter.value = "";
    letter.headers = {{"a", "1"}, {"a", std::nullopt}, {"b", ""}};
    letter.timestamp = then;
    OutRecord forward = to(Destination::Suppressions, "k", "v");
    forward.partition = 1;
    ASSERT_TRUE(log->commit({{letter, forward}}).has_value());

    const auto input =
        KafkaInput::create(config, KafkaInputOptions::suppressions(2), quiet()).value();
    const auto letters = input->open(config.topics.dead_letters, 1, {});
    ASSERT_TRUE(letters->start(0).has_value());
    const auto read = test::take(*letters, 1);
    ASSERT_EQ(read.size(), 1U);
    EXPECT_EQ(read[0].key, std::nullopt);
    EXPECT_EQ(read[0].value, "");
    EXPECT_EQ(read[0].headers, letter.headers);
    EXPECT_EQ(read[0].timestamp, then);
    const auto suppressions = input->open(config.topics.suppressions, 1, {});
    ASSERT_TRUE(suppressions->start(0).has_value());
    EXPECT_EQ(test::take(*suppressions, 1).size(), 1U);
}

TEST(KafkaLedgerLog, DeadLettersWrapRoundWhereTheirTopicHasFewerPartitions) {
    Config config = config_with_topics(3);
    config.topics.dead_letters = config_with_topics(2).topics.dead_letters;
    LedgerLogOptions options;
    options.dead_letter_partitions = 2;
    const auto log = fenced_log(config, options);
    OutRecord letter = to(Destination::DeadLetters, "k", "v");
    letter.partition = 2;
    OutRecord outcome = to(Destination::Outcomes, "k", "v");
    outcome.partition = 2;
    const auto done = log->commit({{letter, outcome}});
    ASSERT_TRUE(done.has_value()) << done.error().detail;

    const auto input =
        KafkaInput::create(config, KafkaInputOptions::suppressions(2), quiet()).value();
    for (const auto& [topic, partition] :
         {std::pair(config.topics.dead_letters, 0), std::pair(config.topics.outcomes, 2)}) {
        const auto records = input->open(topic, partition, {});
        ASSERT_TRUE(records->start(0).has_value());
        EXPECT_EQ(test::take(*records, 1).size(), 1U) << topic;
    }
}

TEST(KafkaLedgerLog, TheFencedPredecessorCannotCommitAndLeavesNothing) {
    const Config config = config_with_topics();
    const auto old_owner = fenced_log(config);
    ASSERT_TRUE(old_owner->commit({{to(Destination::Ledger, "before", "1")}}).has_value());

    const auto new_owner = fenced_log(config);
    const auto late = old_owner->commit({{to(Destination::Ledger, "zombie", "2")}});
    ASSERT_FALSE(late.has_value());
    EXPECT_EQ(late.error().code, ErrorCode::Fenced) << late.error().detail;

    ASSERT_TRUE(new_owner->commit({{to(Destination::Ledger, "after", "3")}}).has_value());
    EXPECT_EQ(replayed(*new_owner), (std::vector<std::string>{"before", "after"}));
    // Finished: every later call says so instead of doing something.
    EXPECT_FALSE(old_owner->commit({{to(Destination::Ledger, "again", "4")}}).has_value());
}

TEST(KafkaLedgerLog, FencingEndsThePredecessorsOpenTransaction) {
    const Config config = config_with_topics();
    {
        Writer committed(config, "other");
        committed.begin();
        committed.write(config.topics.ledger, 0, "committed", "1");
        committed.commit();
    }
    // Dies with its transaction open: same transactional id, so it is the predecessor.
    Writer predecessor(config, KafkaLedgerLog::transactional_id(config.topics.ledger, 0));
    predecessor.begin();
    predecessor.write(config.topics.ledger, 0, "open", "2");
    predecessor.flush();

    const auto log = fenced_log(config);
    EXPECT_EQ(replayed(*log), (std::vector<std::string>{"committed"}));
}

TEST(KafkaLedgerLog, AbortedRecordsAreNotReplayed) {
    const Config config = config_with_topics();
    Writer writer(config, "other");
    writer.begin();
    writer.write(config.topics.ledger, 0, "aborted", "1");
    writer.flush();
    writer.abort();
    writer.begin();
    writer.write(config.topics.ledger, 0, "kept", "2");
    writer.commit();

    const auto log = fenced_log(config);
    EXPECT_EQ(replayed(*log), (std::vector<std::string>{"kept"}));
}

TEST(KafkaLedgerLog, ReplayBehindAForeignOpenTransactionFailsInsteadOfEndingEarly) {
    const Config config = config_with_topics();
    Writer foreign(config, "foreign");
    foreign.begin();
    foreign.write(config.topics.ledger, 0, "open", "1");
    foreign.flush();

    const auto log = fenced_log(config, {.replay_stall = Millis(1000)});
    const auto range = log->range();
    ASSERT_TRUE(range.has_value()) << range.error().detail;
    EXPECT_EQ(range->end, 1);
    const auto done = log->replay(0, range->end, [](const LedgerLog::Record&) { return true; });
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(done.error().code, ErrorCode::Unavailable) << done.error().detail;
    foreign.abort();
}

TEST(KafkaLedgerLog, ReplayBeginsAtTheOffsetGivenAndStopsWhenRefused) {
    const Config config = config_with_topics();
    const auto log = fenced_log(config);
    Transaction transaction;
    for (int i = 0; i < 100; ++i) {
        transaction.records.push_back(to(Destination::Ledger, std::to_string(i), "v"));
    }
    transaction.records.back().value.reset();
    const auto committed = log->commit(transaction);
    ASSERT_TRUE(committed.has_value()) << committed.error().detail;

    const auto range = log->range().value();
    EXPECT_EQ(range.start, 0);
    EXPECT_EQ(range.end, 101);  // the marker
    std::vector<Offset> offsets;
    bool tombstone_seen = false;
    ASSERT_TRUE(log->replay(90, range.end,
                            [&](const LedgerLog::Record& record) {
                                offsets.push_back(record.offset);
                                tombstone_seen = tombstone_seen || !record.value.has_value();
                                return true;
                            })
                    .has_value());
    ASSERT_EQ(offsets.size(), 10U);
    EXPECT_EQ(offsets.front(), 90);
    EXPECT_TRUE(tombstone_seen);

    const auto refused = log->replay(0, range.end, [](const LedgerLog::Record&) { return false; });
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::Corrupt);
}

TEST(KafkaLedgerLog, ARecordTooLargeIsRejectedAndNamesItsTopic) {
    const Config config = config_with_topics();
    struct Row {
        std::string name;
        std::size_t bytes;
    };
    // One is refused by the local limit, one by the broker's.
    for (const Row& row : {Row{"local", 2'000'000}, Row{"broker", 1'049'500}}) {
        const auto log = fenced_log(config);
        const auto result =
            log->commit({{to(Destination::Ledger, "row", "1"),
                          to(Destination::DeadLetters, "k", std::string(row.bytes, 'x'))}});
        ASSERT_FALSE(result.has_value()) << row.name;
        EXPECT_EQ(result.error().code, ErrorCode::Rejected) << result.error().detail;
        EXPECT_NE(result.error().detail.find(config.topics.dead_letters), std::string::npos)
            << result.error().detail;
        const auto again = fenced_log(config);
        EXPECT_TRUE(replayed(*again).empty()) << row.name;
    }
}

TEST(KafkaLedgerLog, ManyRecordsInOneTransaction) {
    const Config config = config_with_topics();
    const auto log = fenced_log(config);
    Transaction transaction;
    for (int i = 0; i < 20'000; ++i) {
        transaction.records.push_back(
            to(Destination::Ledger, std::to_string(i), std::string(200, 'v')));
    }
    const auto committed = log->commit(transaction);
    ASSERT_TRUE(committed.has_value()) << committed.error().detail;
    ASSERT_EQ(committed->ledger_offsets.size(), 20'000U);
    for (std::size_t i = 0; i < committed->ledger_offsets.size(); ++i) {
        ASSERT_EQ(committed->ledger_offsets[i], static_cast<Offset>(i));
    }
    EXPECT_EQ(replayed(*fenced_log(config)).size(), 20'000U);
}

TEST(KafkaLedgerLog, TheGroupsOffsetIsSeen) {
    const Config config = config_with_topics();
    const auto log = fenced_log(config);
    const auto before = log->group_offset_exists();
    ASSERT_TRUE(before.has_value()) << before.error().detail;
    EXPECT_FALSE(*before);
    {
        auto member = kafka::Client::create(kafka::Kind::Consumer, config,
                                            {{"group.id", config.kafka.group_id}}, quiet());
        const auto list = std::unique_ptr<rd_kafka_topic_partition_list_t,
                                          void (*)(rd_kafka_topic_partition_list_t*)>(
            rd_kafka_topic_partition_list_new(1), rd_kafka_topic_partition_list_destroy);
        rd_kafka_topic_partition_list_add(list.get(), config.topics.sends.c_str(), 0)->offset = 7;
        ASSERT_EQ(rd_kafka_commit((*member)->get(), list.get(), 0), RD_KAFKA_RESP_ERR_NO_ERROR);
    }
    const auto after = log->group_offset_exists();
    ASSERT_TRUE(after.has_value()) << after.error().detail;
    EXPECT_TRUE(*after);
}

TEST(KafkaLedgerLog, ACommitWithoutAnAnswerIsUnknownNeverASuccess) {
    const Config config = config_with_topics();
    const auto log = fenced_log(config, {.commit_timeout = Millis(1500)});
    ASSERT_TRUE(log->commit({{to(Destination::Ledger, "a", "1")}}).has_value());

    test::signal_node(SIGSTOP);
    const auto result = log->commit({{to(Destination::Ledger, "b", "2")}});
    test::signal_node(SIGCONT);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::OutcomeUnknown) << result.error().detail;

    // Whatever became of it, the next owner finds out, and it is all or nothing.
    const auto keys = replayed(*fenced_log(config));
    ASSERT_FALSE(keys.empty());
    EXPECT_EQ(keys[0], "a");
    EXPECT_LE(keys.size(), 2U);
}

TEST(KafkaLedgerLog, ABrokerThatDiesTakesNoCommittedRecordAlong) {
    const Config config = config_with_topics();
    const auto log = fenced_log(config, {.commit_timeout = Millis(1500)});
    ASSERT_TRUE(log->commit({{to(Destination::Ledger, "a", "1")}}).has_value());
    test::node("kill");
    const auto result = log->commit({{to(Destination::Ledger, "b", "2")}});
    ASSERT_FALSE(result.has_value());
    EXPECT_TRUE(result.error().code == ErrorCode::OutcomeUnknown ||
                result.error().code == ErrorCode::Unavailable)
        << result.error().detail;
    test::node("start");
    const auto keys = replayed(*fenced_log(config));
    ASSERT_FALSE(keys.empty());
    EXPECT_EQ(keys[0], "a");
}

TEST(KafkaLedgerLog, AnUnreachableBrokerFailsFencingInTime) {
    Config config = test::fresh_config();
    config.kafka.bootstrap_servers = {"127.0.0.1:1"};
    const auto log = open_log(config, {.fence_timeout = Millis(500)});
    const auto fenced = log->fence();
    ASSERT_FALSE(fenced.has_value());
    EXPECT_EQ(fenced.error().code, ErrorCode::Unavailable) << fenced.error().detail;
}

}  // namespace
}  // namespace postlane
