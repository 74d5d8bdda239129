#include "sandbox/idempotency.h"

#include <gtest/gtest.h>

#include <thread>

#include "sandbox/client.h"

namespace postlane::sandbox::test {
namespace {

struct Row {
    std::string name;
    std::string path;
    std::string body;
};

void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

class Keys : public testing::TestWithParam<Row> {
protected:
    Reply send(const std::string& key, const std::string& body) {
        return stand_.client.post(GetParam().path, body, {kBearer, key});
    }
    Stand stand_;
};

INSTANTIATE_TEST_SUITE_P(Providers, Keys,
                         testing::Values(Row{"Resend", "/emails", kResendMail},
                                         Row{"Http", "/send", kEvent}),
                         [](const auto& row) { return row.param.name; });

TEST_P(Keys, TheSameKeyAndBodyGetTheSameAnswerOnce) {
    const Reply first = send("Idempotency-Key: k", GetParam().body);
    const Reply second = send("Idempotency-Key: k", GetParam().body);
    EXPECT_EQ(first.status, 200);
    EXPECT_EQ(second.status, 200);
    EXPECT_EQ(first.body, second.body);
    EXPECT_EQ(stand_.last("executed"), "false");
    EXPECT_EQ(stand_.last("replayed"), "true");
    EXPECT_NE(send("Idempotency-Key: other", GetParam().body).body, first.body);
}

TEST_P(Keys, TheSameKeyWithAnotherBodyIsAConflict) {
    send("Idempotency-Key: k", GetParam().body);
    const Reply other = send("Idempotency-Key: k", GetParam().body + " ");
    EXPECT_EQ(other.status, 409);
    EXPECT_NE(other.body.find("invalid_idempotent_request"), std::string::npos);
    EXPECT_EQ(stand_.last("executed"), "false");
}

TEST_P(Keys, AnInvalidKeyIsRefused) {
    for (const std::string& key :
         {std::string{"Idempotency-Key;"}, "Idempotency-Key: " + std::string(257, 'k')}) {
        const Reply reply = send(key, GetParam().body);
        EXPECT_EQ(reply.status, 400);
        EXPECT_NE(reply.body.find("invalid_idempotency_key"), std::string::npos);
        EXPECT_EQ(stand_.last("executed"), "false");
    }
    EXPECT_EQ(send("Idempotency-Key: " + std::string(256, 'k'), GetParam().body).status, 200);
}

TEST_P(Keys, ASecondRequestWhileTheFirstIsInProgressIsAConflict) {
    stand_.faults(R"({"latency_ms":400})");
    Reply first;
    const Row row = GetParam();
    std::thread slow([&] {
        Client client(stand_.url());
        first = client.post(row.path, row.body, {kBearer, "Idempotency-Key: k"});
    });
    while (stand_.lines().empty()) {
        std::this_thread::yield();
    }
    const Reply second = send("Idempotency-Key: k", row.body);
    slow.join();
    EXPECT_EQ(first.status, 200);
    EXPECT_EQ(second.status, 409);
    EXPECT_NE(second.body.find("concurrent_idempotent_requests"), std::string::npos);
    EXPECT_EQ(send("Idempotency-Key: k", row.body).body, first.body);
}

TEST_P(Keys, ARequestThatWasNotExecutedLeavesItsKeyFree) {
    stand_.faults(R"({"reject":1})");
    EXPECT_EQ(send("Idempotency-Key: k", GetParam().body).status, 422);
    stand_.faults(R"({"reject":0})");
    EXPECT_EQ(send("Idempotency-Key: k", GetParam().body).status, 200);
    EXPECT_EQ(stand_.last("executed"), "true");
}

TEST_P(Keys, AfterALostAnswerTheReplayTellsIt) {
    stand_.faults(R"({"accept_then_drop":1})");
    const Reply lost =
        stand_.client.post_fresh(GetParam().path, GetParam().body, {kBearer, "Idempotency-Key: k"});
    EXPECT_NE(lost.result, CURLE_OK);
    EXPECT_EQ(stand_.last("executed"), "true");
    stand_.faults(R"({"accept_then_drop":0})");
    EXPECT_EQ(send("Idempotency-Key: k", GetParam().body).status, 200);
    EXPECT_EQ(stand_.last("replayed"), "true");
    EXPECT_EQ(stand_.last("executed"), "false");
}

TEST_P(Keys, AKeyEndsWithItsLifetime) {
    stand_.faults(R"({"idempotency_lifetime_ms":0})");
    send("Idempotency-Key: k", GetParam().body);
    send("Idempotency-Key: k", GetParam().body);
    // A lifetime of 0 ends when the clock has moved on.
    while (stand_.last("executed") != "true") {
        send("Idempotency-Key: k", GetParam().body);
    }
    EXPECT_EQ(stand_.last("executed"), "true");
}

TEST(KeysOfHttp, CanBeSwitchedOff) {
    Options options;
    options.http_idempotency = false;
    Stand stand(options);
    for (int i = 0; i < 2; ++i) {
        stand.client.post("/send", kEvent, {"Idempotency-Key: k"});
        EXPECT_EQ(stand.last("executed"), "true");
    }
    stand.faults(R"({"http_idempotency":true})");
    stand.client.post("/send", kEvent, {"Idempotency-Key: k"});
    stand.client.post("/send", kEvent, {"Idempotency-Key: k"});
    EXPECT_EQ(stand.last("replayed"), "true");
}

TEST(KeysOfSendGrid, MeanNothing) {
    Stand stand;
    for (int i = 0; i < 2; ++i) {
        stand.client.post("/v3/mail/send", kSendGridMail, {kBearer, "Idempotency-Key: k"});
        EXPECT_EQ(stand.last("executed"), "true");
    }
}

TEST(KeysOfAccounts, AreStrangersToEachOther) {
    Stand stand;
    stand.client.post("/emails", kResendMail, {"Authorization: Bearer a", "Idempotency-Key: k"});
    stand.client.post("/emails", kResendMail, {"Authorization: Bearer b", "Idempotency-Key: k"});
    EXPECT_EQ(stand.last("executed"), "true");
}

TEST(IdempotencyStore, ForgetsTheOldestKeyFirst) {
    IdempotencyStore store(2);
    const Digest body{};
    for (const char* key : {"a", "b", "c"}) {
        store.store(key, body, key, 0, 0);
    }
    EXPECT_EQ(store.size(), 2U);
    EXPECT_EQ(store.find("a", body, 0, 1000).state, KeyState::New);
    EXPECT_EQ(store.find("b", body, 0, 1000).state, KeyState::Replay);
    EXPECT_EQ(store.find("c", body, 0, 1000).answer_id, "c");
}

TEST(IdempotencyStore, KeepsAKeyForExactlyItsLifetime) {
    IdempotencyStore store(2);
    const Digest body{};
    store.store("a", body, "id", 5'000, 5'000);
    EXPECT_EQ(store.find("a", body, 14'999, 10).state, KeyState::Replay);
    EXPECT_EQ(store.find("a", body, 15'000, 10).state, KeyState::New);
}

}  // namespace
}  // namespace postlane::sandbox::test
