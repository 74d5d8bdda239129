#include "adapters/kafka/input_reader.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <numeric>

#include "adapters/kafka/address_log.h"
#include "adapters/kafka/broker.h"
#include "adapters/kafka/end_offsets.h"
#include "adapters/kafka/handles.h"

namespace postlane {
namespace {

using test::config_with_topics;
using test::eventually;
using test::quiet;
using test::take;
using test::Writer;

std::unique_ptr<KafkaInput> open_input(const Config& config, std::size_t partitions = 1) {
    auto made = KafkaInput::create(config, KafkaInputOptions::suppressions(partitions), quiet());
    EXPECT_TRUE(made.has_value()) << made.error().detail;
    return std::move(*made);
}

void write(const Config& config, const std::string& topic, PartitionId partition, int count) {
    Writer writer(config);
    for (int i = 0; i < count; ++i) {
        writer.write(topic, partition, fmt::format("{}-{}", partition, i), "v");
    }
    writer.flush();
}

std::vector<Offset> offsets_of(const std::vector<InputRecord>& records) {
    std::vector<Offset> offsets;
    for (const InputRecord& record : records) {
        offsets.push_back(record.offset);
    }
    return offsets;
}

std::vector<Offset> range(Offset from, Offset to) {
    std::vector<Offset> offsets(static_cast<std::size_t>(to - from));
    std::iota(offsets.begin(), offsets.end(), from);
    return offsets;
}

// Asks again while leaders are unknown, as the freshness thread does: the broker may not lead a
// partition yet when the topic's creation has been answered.
Result<EndOffsets::Answer> answer_of(EndOffsets& ends, const std::vector<PartitionId>& partitions) {
    Result<EndOffsets::Answer> answer;
    eventually([&] { answer = ends.ask(partitions); }, [&] { return answer.has_value(); });
    return answer;
}

// Polls until the end is seen at `end`, keeping what comes.
bool reaches_end(InputStream& stream, Offset end, std::vector<InputRecord>& records,
                 Millis within = Millis(10'000)) {
    return eventually(
        [&] {
            const auto polled = stream.poll(records, 1000);
            ASSERT_TRUE(polled.has_value()) << polled.error().detail;
        },
        [&] { return stream.end_seen() == end; }, within);
}

void delete_before(const Config& config, const std::string& topic, Offset offset) {
    const auto client = kafka::Client::create(kafka::Kind::Producer, config, {}, quiet()).value();
    const auto list = kafka::partition_list();
    kafka::add(*list, topic, 0, offset);
    rd_kafka_DeleteRecords_t* request = rd_kafka_DeleteRecords_new(list.get());
    const kafka::Queue queue(rd_kafka_queue_new(client->get()));
    rd_kafka_DeleteRecords(client->get(), &request, 1, nullptr, queue.get());
    const kafka::Event event(rd_kafka_queue_poll(queue.get(), 10'000));
    rd_kafka_DeleteRecords_destroy(request);
    ASSERT_TRUE(event);
    ASSERT_EQ(rd_kafka_event_error(event.get()), RD_KAFKA_RESP_ERR_NO_ERROR);
}

TEST(KafkaInput, ReadsFromTheExactOffsetToTheEnd) {
    const Config config = config_with_topics();
    write(config, config.topics.sends, 0, 50);
    const auto input = open_input(config);
    const auto stream = input->open(config.topics.sends, 0, {});
    ASSERT_TRUE(stream->start(20).has_value());
    std::vector<InputRecord> records;
    ASSERT_TRUE(reaches_end(*stream, 50, records));
    EXPECT_EQ(offsets_of(records), range(20, 50));
    EXPECT_EQ(records[0].key, "0-20");
    EXPECT_EQ(stream->high_watermark(), 50);
}

TEST(KafkaInput, AnEmptyPartitionHasItsEndSeen) {
    const Config config = config_with_topics();
    const auto input = open_input(config);
    const auto stream = input->open(config.topics.suppressions, 0, {});
    EXPECT_EQ(stream->end_seen(), std::nullopt);
    ASSERT_TRUE(stream->start(0).has_value());
    std::vector<InputRecord> records;
    EXPECT_TRUE(reaches_end(*stream, 0, records));
    EXPECT_TRUE(records.empty());
}

struct LogicalRow {
    std::string name;
    Offset from;
    Offset first;
};
void PrintTo(const LogicalRow& row, std::ostream* out) {
    *out << row.name;
}

class KafkaInputLogical : public testing::TestWithParam<LogicalRow> {};

TEST_P(KafkaInputLogical, StartsWhereTheBrokerSays) {
    const Config config = config_with_topics();
    write(config, config.topics.sends, 0, 10);
    delete_before(config, config.topics.sends, 4);
    const auto input = open_input(config);
    const auto stream = input->open(config.topics.sends, 0, {});
    const auto resolved = stream->resolve(GetParam().from);
    ASSERT_TRUE(resolved.has_value()) << resolved.error().detail;
    EXPECT_EQ(*resolved, GetParam().first);
    ASSERT_TRUE(stream->start(GetParam().from).has_value());
    std::vector<InputRecord> records;
    ASSERT_TRUE(reaches_end(*stream, 10, records));
    EXPECT_EQ(offsets_of(records), range(GetParam().first, 10));
}

INSTANTIATE_TEST_SUITE_P(Table, KafkaInputLogical,
                         testing::Values(LogicalRow{"Beginning", InputStream::kBeginning, 4},
                                         LogicalRow{"End", InputStream::kEnd, 10}),
                         [](const auto& row) { return row.param.name; });

TEST(KafkaInput, RestartsAtAnotherOffsetWithoutLeftovers) {
    const Config config = config_with_topics();
    write(config, config.topics.sends, 0, 5000);
    const auto input = open_input(config);
    const auto stream = input->open(config.topics.sends, 0, {});
    ASSERT_TRUE(stream->start(0).has_value());
    EXPECT_EQ(take(*stream, 10).size(), 10U);  // thousands more are buffered
    for (const Offset from : {Offset(4000), Offset(17), Offset(4999)}) {
        ASSERT_TRUE(stream->start(from).has_value());
        EXPECT_EQ(stream->end_seen(), std::nullopt);
        const auto records = take(*stream, 1);
        ASSERT_EQ(records.size(), 1U);
        EXPECT_EQ(records[0].offset, from);
    }
}

TEST(KafkaInput, PartitionsComeAndGoIndependently) {
    const Config config = config_with_topics(4);
    for (PartitionId partition = 0; partition < 4; ++partition) {
        write(config, config.topics.sends, partition, 100);
    }
    const auto input = open_input(config, 4);
    std::vector<std::unique_ptr<InputStream>> streams;
    for (PartitionId partition = 0; partition < 4; ++partition) {
        streams.push_back(input->open(config.topics.sends, partition, {}));
        ASSERT_TRUE(streams.back()->start(partition * 10).has_value());
    }
    streams[2].reset();
    for (const std::size_t i : {0U, 1U, 3U}) {
        std::vector<InputRecord> records;
        ASSERT_TRUE(reaches_end(*streams[i], 100, records)) << i;
        EXPECT_EQ(offsets_of(records), range(static_cast<Offset>(i) * 10, 100));
    }
    streams[2] = input->open(config.topics.sends, 2, {});
    ASSERT_TRUE(streams[2]->start(99).has_value());
    EXPECT_EQ(take(*streams[2], 1).at(0).offset, 99);
}

TEST(KafkaInput, WakesWhenSomethingArrives) {
    const Config config = config_with_topics();
    const auto input = open_input(config);
    std::mutex mutex;
    std::condition_variable woken;
    int wakes = 0;
    const auto stream = input->open(config.topics.sends, 0, [&] {
        const std::lock_guard lock(mutex);
        ++wakes;
        woken.notify_one();
    });
    const auto wait = [&](int more_than) {
        std::unique_lock lock(mutex);
        return woken.wait_for(lock, std::chrono::seconds(10), [&] { return wakes > more_than; });
    };
    ASSERT_TRUE(stream->start(0).has_value());
    ASSERT_TRUE(wait(0));  // the end of the empty partition
    std::vector<InputRecord> records;
    ASSERT_TRUE(reaches_end(*stream, 0, records));
    for (int round = 1; round <= 3; ++round) {
        const int before = [&] {
            const std::lock_guard lock(mutex);
            return wakes;
        }();
        write(config, config.topics.sends, 0, 1);
        ASSERT_TRUE(wait(before)) << round;
        EXPECT_EQ(take(*stream, 1).size(), 1U);
        ASSERT_TRUE(reaches_end(*stream, round, records));
    }
}

TEST(KafkaInput, MoreThanTheBufferHoldsArrivesWhole) {
    const Config config = config_with_topics();
    {
        Writer writer(config);
        for (int i = 0; i < 60; ++i) {
            writer.write(config.topics.sends, 0, "k", std::string(100'000, 'x'));
        }
        writer.flush();
    }
    auto input = KafkaInput::create(
        config, {.fetch_wait = Millis(25), .buffer_bytes = 4U << 20U, .partitions = 4}, quiet());
    ASSERT_TRUE(input.has_value()) << input.error().detail;
    const auto stream = (*input)->open(config.topics.sends, 0, {});
    ASSERT_TRUE(stream->start(0).has_value());
    EXPECT_EQ(offsets_of(take(*stream, 60)), range(0, 60));
}

TEST(KafkaInput, AbortedRecordsAreLeftOutAndTheEndIsBehindTheMarker) {
    const Config config = config_with_topics();
    Writer writer(config, "writer-" + config.topics.sends);
    writer.begin();
    writer.write(config.topics.suppressions, 0, "committed", "v");
    writer.commit();
    writer.begin();
    writer.write(config.topics.suppressions, 0, "aborted", "v");
    writer.flush();
    writer.abort();
    const auto input = open_input(config);
    const auto stream = input->open(config.topics.suppressions, 0, {});
    ASSERT_TRUE(stream->start(0).has_value());
    std::vector<InputRecord> records;
    ASSERT_TRUE(reaches_end(*stream, 4, records));  // record, marker, aborted record, marker
    ASSERT_EQ(records.size(), 1U);
    EXPECT_EQ(records[0].key, "committed");
    // Also while it is being read: the end moves on although no record comes.
    writer.begin();
    writer.write(config.topics.suppressions, 0, "aborted too", "v");
    writer.flush();
    writer.abort();
    ASSERT_TRUE(reaches_end(*stream, 6, records));
    EXPECT_EQ(records.size(), 1U);
}

TEST(KafkaInput, AHungForeignTransactionKeepsTheEndBelowTheHighWatermark) {
    const Config config = config_with_topics(2);
    const auto ends = KafkaEndOffsets::create(config, 2, quiet()).value();
    Writer hung(config, "hung-" + config.topics.sends);
    hung.begin();
    hung.write(config.topics.suppressions, 0, "hung", "v");
    hung.flush();
    write(config, config.topics.suppressions, 0, 5);  // acknowledged, but behind it

    const auto answer = answer_of(*ends, {0, 1});
    ASSERT_TRUE(answer.has_value()) << answer.error().detail;
    EXPECT_EQ(answer->suppressions, (std::map<PartitionId, Offset>{{0, 6}, {1, 0}}));
    EXPECT_EQ(answer->address_suppressions, (std::map<PartitionId, Offset>{{0, 0}, {1, 0}}));

    const auto input = open_input(config);
    const auto stream = input->open(config.topics.suppressions, 0, {});
    ASSERT_TRUE(stream->start(0).has_value());
    std::vector<InputRecord> records;
    ASSERT_TRUE(reaches_end(*stream, 0, records));
    EXPECT_FALSE(reaches_end(*stream, 6, records, Millis(500)));
    EXPECT_TRUE(records.empty());
    hung.abort();
    ASSERT_TRUE(reaches_end(*stream, 7, records));
    EXPECT_EQ(records.size(), 5U);
}

struct RangeRow {
    std::string name;
    Offset from;
};
void PrintTo(const RangeRow& row, std::ostream* out) {
    *out << row.name;
}

class KafkaInputRange : public testing::TestWithParam<RangeRow> {};

TEST_P(KafkaInputRange, AnOffsetOutsideTheLogIsMisconfigured) {
    const Config config = config_with_topics();
    write(config, config.topics.suppressions, 0, 10);
    delete_before(config, config.topics.suppressions, 4);
    const auto input = open_input(config);
    const auto stream = input->open(config.topics.suppressions, 0, {});
    ASSERT_TRUE(stream->start(GetParam().from).has_value());
    std::vector<InputRecord> records;
    Result<void> polled;
    EXPECT_TRUE(eventually([&] { polled = stream->poll(records, 100); },
                           [&] { return !polled.has_value(); }));
    ASSERT_FALSE(polled.has_value());
    EXPECT_EQ(polled.error().code, ErrorCode::Misconfigured) << polled.error().detail;
    EXPECT_NE(polled.error().detail.find(config.topics.suppressions), std::string::npos);
    EXPECT_TRUE(records.empty());
}

INSTANTIATE_TEST_SUITE_P(Table, KafkaInputRange,
                         testing::Values(RangeRow{"DeletedByRetention", 0},
                                         RangeRow{"BehindTheEnd", 12}),
                         [](const auto& row) { return row.param.name; });

TEST(KafkaInput, GoesOnWhereItWasAfterTheBrokerDied) {
    const Config config = config_with_topics();
    write(config, config.topics.sends, 0, 10);
    const auto ends = KafkaEndOffsets::create(config, 1, quiet(), Millis(500)).value();
    const auto input = open_input(config);
    const auto stream = input->open(config.topics.sends, 0, {});
    ASSERT_TRUE(stream->start(0).has_value());
    std::vector<InputRecord> records;
    ASSERT_TRUE(reaches_end(*stream, 10, records));
    ASSERT_TRUE(answer_of(*ends, {0}).has_value());

    test::node("kill");
    const auto unanswered = ends->ask({0});
    ASSERT_FALSE(unanswered.has_value());
    EXPECT_EQ(unanswered.error().code, ErrorCode::Unavailable);
    ASSERT_TRUE(stream->poll(records, 100).has_value());
    test::node("start");

    write(config, config.topics.sends, 0, 10);
    ASSERT_TRUE(reaches_end(*stream, 20, records, Millis(30'000)));
    EXPECT_EQ(offsets_of(records), range(0, 20));
    EXPECT_TRUE(answer_of(*ends, {0}).has_value());
}

TEST(KafkaInput, AStreamOutlivesItsInput) {
    const Config config = config_with_topics();
    write(config, config.topics.sends, 0, 3);
    auto input = open_input(config);
    const auto stream = input->open(config.topics.sends, 0, {});
    input.reset();
    ASSERT_TRUE(stream->start(0).has_value());
    EXPECT_EQ(take(*stream, 3).size(), 3U);
}

TEST(KafkaEndOffsets, AMissingPartitionFailsTheWholeQuestion) {
    const Config config = config_with_topics(2);
    const auto ends = KafkaEndOffsets::create(config, 2, quiet()).value();
    write(config, config.topics.suppressions, 1, 3);
    const auto good = answer_of(*ends, {1});
    ASSERT_TRUE(good.has_value()) << good.error().detail;
    EXPECT_EQ(good->suppressions, (std::map<PartitionId, Offset>{{1, 3}}));
    const auto bad = ends->ask({0, 1, 9});
    ASSERT_FALSE(bad.has_value());
    EXPECT_EQ(bad.error().code, ErrorCode::Unavailable);
    EXPECT_TRUE(answer_of(*ends, {0, 1}).has_value());
}

TEST(KafkaEndOffsets, CoversWhatWasAcknowledgedBeforeItWasAsked) {
    const Config config = config_with_topics();
    const auto ends = KafkaEndOffsets::create(config, 1, quiet()).value();
    for (int i = 1; i <= 20; ++i) {
        write(config, config.topics.address_suppressions, 0, 1);
        const auto answer = answer_of(*ends, {0});
        ASSERT_TRUE(answer.has_value()) << answer.error().detail;
        EXPECT_EQ(answer->address_suppressions.at(0), i);
    }
}

TEST(AddressLog, ReadsAllPartitionsFromTheirOffsets) {
    const Config config = config_with_topics(3);
    for (PartitionId partition = 0; partition < 3; ++partition) {
        write(config, config.topics.address_suppressions, partition, 400);
    }
    const auto input = open_input(config, 3);
    AddressLog log(*input, config.topics.address_suppressions, 3, {});
    EXPECT_EQ(log.partitions(), 3);
    ASSERT_TRUE(log.start({{1, 100}}).has_value());
    std::map<PartitionId, std::vector<Offset>> offsets;
    EXPECT_TRUE(eventually(
        [&] {
            std::vector<PartitionRecord> records;
            ASSERT_TRUE(log.poll(records, 50).has_value());
            EXPECT_LE(records.size(), 50U);
            for (const PartitionRecord& one : records) {
                offsets[one.partition].push_back(one.record.offset);
            }
        },
        [&] {
            return log.end_seen(0) == 400 && log.end_seen(1) == 400 && log.end_seen(2) == 400;
        }));
    EXPECT_EQ(offsets[0], range(0, 400));
    EXPECT_EQ(offsets[1], range(100, 400));
    EXPECT_EQ(offsets[2], range(0, 400));
}

}  // namespace
}  // namespace postlane
