#include "sandbox/faults.h"

#include <gtest/gtest.h>

#include "sandbox/client.h"

namespace postlane::sandbox::test {
namespace {

struct Row {
    std::string name;
    std::string faults;
    CURLcode result;
    long status;
    std::string fault;
    bool executed;
};

void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

class Strike : public testing::TestWithParam<Row> {};

TEST_P(Strike, HitsAndIsOnRecord) {
    Stand stand;
    const Row& row = GetParam();
    stand.faults(row.faults);
    const bool hangs = row.result == CURLE_OPERATION_TIMEDOUT;
    const Reply reply = stand.client.post_fresh("/send", kEvent, {}, hangs ? 300 : 10'000);
    EXPECT_EQ(reply.result, row.result) << curl_easy_strerror(reply.result);
    EXPECT_EQ(reply.status, row.status);
    ASSERT_EQ(stand.lines().size(), 1U);
    EXPECT_EQ(stand.last("fault"), '"' + row.fault + '"');
    EXPECT_EQ(stand.last("executed"), row.executed ? "true" : "false");
    EXPECT_EQ(stand.last("status"), std::to_string(row.status));
    EXPECT_EQ(stand.last("t_reply_us") == "null", row.status == 0);

    // And it ends when it is told to.
    stand.client.post("/_sandbox/reset", "");
    EXPECT_EQ(stand.client.post("/send", kEvent).status, 200);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Strike,
    testing::Values(
        Row{"Reject", R"({"reject":1})", CURLE_OK, 422, "reject", false},
        Row{"Throttle", R"({"throttle":1})", CURLE_OK, 429, "throttle", false},
        Row{"Error500", R"({"error_5xx":1})", CURLE_OK, 500, "error_5xx", false},
        Row{"Error502", R"({"error_5xx":1,"error_5xx_status":502})", CURLE_OK, 502, "error_5xx",
            false},
        Row{"Error500Executed", R"({"error_5xx":1,"error_5xx_executes":true})", CURLE_OK, 500,
            "error_5xx", true},
        Row{"AcceptThenDrop", R"({"accept_then_drop":1})", CURLE_GOT_NOTHING, 0, "accept_then_drop",
            true},
        Row{"AcceptThenHang", R"({"accept_then_hang":1})", CURLE_OPERATION_TIMEDOUT, 0,
            "accept_then_hang", true},
        Row{"DropBefore", R"({"drop_before":1})", CURLE_GOT_NOTHING, 0, "drop_before", false},
        Row{"Outage", R"({"outage":true})", CURLE_OK, 503, "outage", false},
        Row{"OutageHangs", R"({"outage":true,"outage_mode":"hang"})", CURLE_OPERATION_TIMEDOUT, 0,
            "outage", false},
        Row{"OutageCloses", R"({"outage":true,"outage_mode":"close"})", CURLE_GOT_NOTHING, 0,
            "outage", false},
        Row{"Unauthorized", R"({"unauthorized":true})", CURLE_OK, 401, "unauthorized", false}),
    [](const auto& row) { return row.param.name; });

TEST(Faults, SendGridRejectsWith400) {
    Stand stand;
    stand.faults(R"({"reject":1})");
    EXPECT_EQ(stand.client.post("/v3/mail/send", kSendGridMail, {kBearer}).status, 400);
}

TEST(Faults, AThrottledRequestIsToldWhenToComeBack) {
    Stand stand;
    stand.faults(R"({"throttle":1,"retry_after_s":7})");
    EXPECT_TRUE(stand.client.post("/send", kEvent).has_header("Retry-After: 7\r\n"));
}

TEST(Faults, LatencyDelaysTheAnswerNotTheRecord) {
    Stand stand;
    stand.faults(R"({"latency_ms":150})");
    const Reply reply = stand.client.post("/send", kEvent);
    EXPECT_EQ(reply.status, 200);
    EXPECT_GE(reply.took.count(), 150);
    EXPECT_EQ(std::stoll(stand.last("t_reply_us")) - std::stoll(stand.last("t_rx_us")), 150'000);
}

TEST(Faults, JitterSpreadsTheLatency) {
    Faults faults;
    faults.latency_ms = 10;
    faults.latency_jitter_ms = 10;
    std::uint64_t least = ~std::uint64_t{0};
    std::uint64_t most = 0;
    for (std::uint64_t request = 0; request < 1000; ++request) {
        const std::uint64_t latency_us = Dice(1, request).latency_us(faults);
        least = std::min(least, latency_us);
        most = std::max(most, latency_us);
    }
    EXPECT_GE(least, 10'000U);
    EXPECT_LT(least, 11'000U);
    EXPECT_GT(most, 19'000U);
    EXPECT_LT(most, 20'000U);
}

TEST(Faults, ConnectionsStayOpenUnlessTheyAreToldNotTo) {
    Stand stand;
    EXPECT_EQ(stand.client.post("/send", kEvent).new_connections, 1);
    EXPECT_EQ(stand.client.post("/send", kEvent).new_connections, 0);

    stand.faults(R"({"close_idle":1})");
    EXPECT_EQ(stand.client.post("/send", kEvent).status, 200);
    EXPECT_EQ(stand.client.post("/send", kEvent).new_connections, 1);
}

TEST(Faults, AnIdleConnectionIsClosedAfterItsTimeButABusyOneIsNot) {
    Stand stand;
    stand.faults(R"({"close_idle":1,"close_idle_ms":200,"latency_ms":300})");
    // The pipelined second request takes longer than the idle time and must be answered.
    const std::string request = fmt::format(
        "POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}", kEvent.size(), kEvent);
    const auto start = std::chrono::steady_clock::now();
    const std::string answers = talk_raw(stand.port(), request + request, false);
    const auto took = std::chrono::steady_clock::now() - start;
    EXPECT_NE(answers.find("HTTP/1.1 200 ", 1), std::string::npos) << answers;
    EXPECT_GE(took, std::chrono::milliseconds(800));
    EXPECT_LT(took, std::chrono::milliseconds(2500));
}

TEST(Faults, AConnectionInTheMiddleOfARequestIsNotIdle) {
    Stand stand;
    stand.faults(R"({"close_idle":1,"close_idle_ms":50})");
    const std::string request = fmt::format(
        "POST /send HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{}", kEvent.size(), kEvent);
    const auto start = std::chrono::steady_clock::now();
    talk_raw(stand.port(), request + request.substr(0, 20), false, std::chrono::seconds(1));
    EXPECT_GE(std::chrono::steady_clock::now() - start, std::chrono::milliseconds(900));
}

TEST(Dice, TheSameSeedRollsTheSame) {
    Faults faults;
    faults.reject = 0.3;
    faults.accept_then_drop = 0.3;
    int differ = 0;
    for (std::uint64_t request = 0; request < 1000; ++request) {
        EXPECT_EQ(Dice(7, request).fault(faults), Dice(7, request).fault(faults));
        differ += Dice(7, request).fault(faults) == Dice(8, request).fault(faults) ? 0 : 1;
    }
    EXPECT_GT(differ, 100);
}

TEST(Dice, HitsAsOftenAsItShould) {
    Faults faults;
    faults.throttle = 0.1;
    int hits = 0;
    for (std::uint64_t request = 0; request < 100'000; ++request) {
        hits += Dice(1, request).fault(faults) == Fault::Throttle ? 1 : 0;
    }
    EXPECT_NEAR(hits, 10'000, 500);
}

TEST(Faults, SettingTheSeedAgainRepeatsTheRun) {
    Stand stand;
    std::string runs[2];
    for (std::string& run : runs) {
        stand.faults(R"({"reject":0.5,"seed":42})");
        for (int i = 0; i < 40; ++i) {
            run += stand.client.post("/send", kEvent).status == 200 ? '+' : '-';
        }
    }
    EXPECT_EQ(runs[0], runs[1]);
    EXPECT_NE(runs[0].find('+'), std::string::npos);
    EXPECT_NE(runs[0].find('-'), std::string::npos);
}

struct BadRow {
    std::string name;
    std::string json;
    std::string says;
};

void PrintTo(const BadRow& row, std::ostream* out) {
    *out << row.name;
}

class BadFaults : public testing::TestWithParam<BadRow> {};

TEST_P(BadFaults, AreRefusedWithTheReasonAndChangeNothing) {
    Faults faults;
    const std::string before = to_json(faults);
    const auto problem = patch(faults, GetParam().json);
    ASSERT_TRUE(problem);
    EXPECT_NE(problem->find(GetParam().says), std::string::npos) << *problem;
    EXPECT_EQ(to_json(faults), before);
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadFaults,
    testing::Values(BadRow{"NotJson", "{", "not JSON"}, BadRow{"NotAnObject", "[]", "JSON object"},
                    BadRow{"Unknown", R"({"reject":1,"trottle":1})", "\"trottle\""},
                    BadRow{"TooLikely", R"({"reject":1.1})", "reject must be a probability"},
                    BadRow{"Negative", R"({"reject":-0.1})", "reject must be a probability"},
                    BadRow{"NotANumber", R"({"latency_ms":"5"})", "latency_ms must be an integer"},
                    BadRow{"TooLarge", R"({"latency_ms":4294967296})",
                           "latency_ms must be an integer"},
                    BadRow{"NotASwitch", R"({"outage":1})", "outage must be true or false"},
                    BadRow{"Mode", R"({"outage_mode":"x"})", "outage_mode must be"},
                    BadRow{"Status", R"({"error_5xx_status":404})", "error_5xx_status must be"},
                    BadRow{"Seed", R"({"seed":0})", "seed must not be 0"}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace postlane::sandbox::test
