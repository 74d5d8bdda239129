#include <gtest/gtest.h>

#include <CLI/CLI.hpp>

#include "sandbox/client.h"

namespace postlane::sandbox::test {
namespace {

std::size_t count(const std::string& text, std::string_view part) {
    std::size_t found = 0;
    for (auto at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
        ++found;
    }
    return found;
}

TEST(Control, ShowsWhatItExecutedPageByPage) {
    Stand stand;
    for (int i = 0; i < 5; ++i) {
        stand.client.post("/send", kEvent);
    }
    stand.client.post("/send", "{}");  // 6: refused
    stand.client.post("/send", kEvent);

    const std::string latest = stand.client.get("/_sandbox/executions?limit=2").body;
    EXPECT_EQ(count(latest, "\"n\":"), 2U) << latest;
    EXPECT_EQ(Stand::member(latest, "next"), "7");
    EXPECT_EQ(Stand::member(latest, "oldest"), "1");

    const std::string page = stand.client.get("/_sandbox/executions?since=2&limit=2").body;
    EXPECT_NE(page.find("\"n\":3,"), std::string::npos) << page;
    EXPECT_NE(page.find("\"n\":4,"), std::string::npos) << page;
    EXPECT_EQ(Stand::member(page, "next"), "4");

    const std::string executed = stand.client.get("/_sandbox/executions?since=4").body;
    EXPECT_EQ(count(executed, "\"n\":"), 2U) << executed;
    const std::string all = stand.client.get("/_sandbox/executions?since=4&all=true").body;
    EXPECT_EQ(count(all, "\"n\":"), 3U) << all;
    EXPECT_EQ(Stand::member(stand.client.get("/_sandbox/executions?since=7").body, "executions"),
              "[]");
}

TEST(Control, KeepsOnlyTheLatestRecords) {
    Options options;
    options.keep_records = 3;
    Stand stand(options);
    for (int i = 0; i < 5; ++i) {
        stand.client.post("/send", kEvent);
    }
    const std::string all = stand.client.get("/_sandbox/executions?since=0").body;
    EXPECT_EQ(count(all, "\"n\":"), 3U);
    EXPECT_EQ(Stand::member(all, "oldest"), "3");
}

TEST(Control, CountsRequests) {
    Stand stand;
    stand.client.post("/send", kEvent);
    stand.client.post("/emails", kResendMail, {kBearer});
    stand.client.post("/send", "{}");
    stand.faults(R"({"throttle":1})");
    stand.client.post("/send", kEvent);
    const std::string stats = stand.client.get("/_sandbox/stats").body;
    EXPECT_EQ(Stand::member(stats, "requests"), "4");
    EXPECT_EQ(Stand::member(stats, "executed"), "2");
    EXPECT_EQ(Stand::member(stats, "by_status"), R"({"200":2,"400":1,"429":1})");
    EXPECT_EQ(Stand::member(Stand::member(stats, "by_fault"), "throttle"), "1");
    EXPECT_EQ(Stand::member(Stand::member(stats, "by_provider"), "resend"), "1");
    EXPECT_EQ(Stand::member(Stand::member(stats, "connections"), "open"), "1");
}

TEST(Control, QuantilesComeFromTheAnswers) {
    Stand stand;
    stand.faults(R"({"latency_ms":40})");
    stand.client.post("/send", kEvent);
    const std::string stats = stand.client.get("/_sandbox/stats").body;
    const int p50_us = std::stoi(Stand::member(Stand::member(stats, "answer_us"), "p50"));
    EXPECT_GE(p50_us, 40'000);
    EXPECT_LT(p50_us, 400'000);
}

TEST(Control, ResetForgetsEverythingButTheNumbering) {
    Options options;
    options.latency_ms = 1;
    Stand stand(options);
    stand.client.post("/send", kEvent, {"Idempotency-Key: k"});
    stand.faults(R"({"latency_ms":5,"reject":1})");
    EXPECT_EQ(stand.client.post("/_sandbox/reset", "").status, 200);
    EXPECT_EQ(Stand::member(stand.client.get("/_sandbox/stats").body, "requests"), "0");
    const std::string faults = stand.client.get("/_sandbox/faults").body;
    EXPECT_EQ(Stand::member(faults, "latency_ms"), "1");
    EXPECT_EQ(std::stod(Stand::member(faults, "reject")), 0);
    stand.client.post("/send", kEvent, {"Idempotency-Key: k"});
    EXPECT_EQ(stand.last("executed"), "true");
    EXPECT_EQ(stand.last("n"), "2");
}

TEST(Control, ShowsAndChangesTheFaultsInForce) {
    Stand stand;
    stand.faults(R"({"throttle":0.25})");
    stand.faults(R"({"outage_mode":"hang"})");
    const std::string faults = stand.client.get("/_sandbox/faults").body;
    EXPECT_EQ(std::stod(Stand::member(faults, "throttle")), 0.25);
    EXPECT_EQ(Stand::member(faults, "outage_mode"), R"("hang")");
    const Reply refused = stand.client.post("/_sandbox/faults", R"({"x":1})");
    EXPECT_EQ(refused.status, 400);
    EXPECT_NE(refused.body.find("unknown field"), std::string::npos);
}

TEST(Control, ThePageIsSelfContained) {
    Stand stand;
    const Reply page = stand.client.get("/_sandbox/");
    EXPECT_EQ(page.status, 200);
    EXPECT_TRUE(page.has_header("text/html"));
    EXPECT_TRUE(page.has_header("Content-Security-Policy: default-src 'none'"));
    EXPECT_EQ(page.body.find("innerHTML"), std::string::npos);
    EXPECT_EQ(count(page.body, "http://"), 1U);  // the name space of SVG
    EXPECT_TRUE(stand.client.get("/").has_header("Location: /_sandbox/"));
}

TEST(Control, UnknownEndpointsSayWhichExist) {
    Stand stand;
    for (const char* path : {"/_sandbox/nothing", "/_sandbox/reset"}) {
        const Reply reply = stand.client.get(path);
        EXPECT_EQ(reply.status, 404) << path;
        EXPECT_NE(reply.body.find("/_sandbox/faults"), std::string::npos);
    }
    EXPECT_EQ(stand.client.get("/_sandbox/executions?since=x").status, 400);
    EXPECT_EQ(stand.client.get("/_sandbox/executions?all=maybe").status, 400);
    EXPECT_EQ(stand.client.get("/send").status, 405);
    EXPECT_TRUE(stand.lines().empty());
}

TEST(CommandLine, SetsTheOptions) {
    CLI::App app;
    Options options;
    add_options(app, options);
    app.parse(
        "--listen 127.0.0.1:0 --record r --latency-ms 7 --threads 2 --require-token t "
        "--no-http-idempotency --keep-records 5 --keep-keys 6");
    EXPECT_EQ(options.listen, "127.0.0.1:0");
    EXPECT_EQ(options.record_path, "r");
    EXPECT_EQ(options.latency_ms, 7U);
    EXPECT_EQ(options.threads, 2U);
    EXPECT_EQ(options.require_token, "t");
    EXPECT_FALSE(options.http_idempotency);
    EXPECT_EQ(options.keep_records, 5U);
    EXPECT_EQ(options.keep_idempotency_keys, 6U);
}

}  // namespace
}  // namespace postlane::sandbox::test
