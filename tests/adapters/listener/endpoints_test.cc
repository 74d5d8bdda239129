#include <gmock/gmock.h>
#include <simdjson.h>

#include <set>
#include <string>

#include "adapters/listener/admin.h"
#include "adapters/listener/telemetry.h"

namespace postlane {
namespace {

using testing::HasSubstr;
using testing::Not;
using namespace std::chrono_literals;

Instant at(std::int64_t seconds) {
    return Instant(std::chrono::seconds(1'764'579'600 + seconds));  // 2025-12-01T09:00:00Z
}

struct FakeStatus : StatusSource {
    std::vector<Heartbeat> beats{{"group", 100ms, 30s}, {"partition 3", 2ms, 30s}};
    bool is_started = true;
    bool joined = true;
    bool addresses_loaded = true;
    bool drains = false;
    std::vector<PartitionStatus> assigned;
    OrderingStatus counts;

    [[nodiscard]] std::vector<Heartbeat> heartbeats() const override { return beats; }
    [[nodiscard]] bool started() const override { return is_started; }
    [[nodiscard]] bool group_joined() const override { return joined; }
    [[nodiscard]] bool address_view_loaded() const override { return addresses_loaded; }
    [[nodiscard]] bool draining() const override { return drains; }
    [[nodiscard]] std::vector<PartitionStatus> partitions() const override { return assigned; }
    [[nodiscard]] OrderingStatus ordering() const override { return counts; }
};

struct FakeAdmin : AdminSource {
    std::optional<AdminError> error;
    RecipientFacts recipient_facts;
    SuppressionFacts suppression_facts;
    std::vector<LedgerPartitionVerdict> verdicts;
    std::optional<RecipientId> asked;
    std::optional<MessageId> asked_message;
    SuppressionQuestion question;

    template <class T>
    AdminResult<T> answer(T value) {
        if (error) {
            return tl::unexpected(*error);
        }
        return value;
    }
    AdminResult<RecipientFacts> recipient(const RecipientId& id,
                                          const std::optional<MessageId>& message) override {
        asked = id;
        asked_message = message;
        return answer(recipient_facts);
    }
    AdminResult<SuppressionFacts> suppressions(const SuppressionQuestion& asked_about) override {
        question = asked_about;
        return answer(suppression_facts);
    }
    AdminResult<InstanceStatus> status() override {
        return answer(InstanceStatus{.version = "1.2.3",
                                     .started_at = at(0),
                                     .group_joined = true,
                                     .partition_count = 8,
                                     .in_flight = 4,
                                     .max_in_flight = 512,
                                     .providers = {{"main", true, 3}}});
    }
    AdminResult<std::vector<LedgerPartitionStats>> ledger_stats() override {
        return answer(std::vector<LedgerPartitionStats>{{.partition = 3, .messages_ended = 17}});
    }
    AdminResult<std::vector<LedgerPartitionVerdict>> ledger_verify() override {
        return answer(verdicts);
    }
};

class EndpointsTest : public testing::Test {
protected:
    EndpointsTest() {
        config_.topics.sends = "postlane.sends";
        config_.routes.push_back({.name = "default", .providers = {"main"}});
        config_.suppression.transactional_categories = {"transactional"};
        add_telemetry_routes(telemetry_, status_, [] { return std::string("metric 1\n"); });
        add_admin_routes(admin_routes_, admin_, status_, config_);
        admin_.recipient_facts.partition = 3;
        admin_.recipient_facts.as_of = at(1000);
        admin_.recipient_facts.ledger_reaches_back = at(-86400);
    }

    HttpReply get(const std::vector<std::string>& segments, const std::string& query = "") {
        HttpCall call{.method = "GET"};
        if (!query.empty()) {
            call.query.emplace(query, "");
        }
        return telemetry_.answer(std::move(call), segments);
    }
    HttpReply admin_get(const std::vector<std::string>& segments,
                        const std::optional<std::string>& message = {}) {
        HttpCall call{.method = "GET"};
        if (message) {
            call.query.emplace("message", *message);
        }
        return admin_routes_.answer(std::move(call), segments);
    }
    HttpReply post(const std::string& resource, const std::string& body) {
        return admin_routes_.answer({.method = "POST", .body = body}, {"api", "v1", resource});
    }
    HttpReply timeline(const std::optional<std::string>& message = {}) {
        return admin_get({"api", "v1", "recipients", "user-1", "timeline"}, message);
    }
    simdjson::dom::element json(const HttpReply& reply) {
        parsed_ = parser_.parse(reply.body);
        return parsed_;
    }
    static std::string text(const simdjson::simdjson_result<simdjson::dom::element>& element) {
        return std::string(std::string_view(element));
    }
    MessageRow& add_message(const std::string& id, MessageState state, Reason reason,
                            Instant when) {
        MessageRow row;
        row.state = state;
        row.reason = reason;
        row.received_at = when;
        row.decided_at = when + 1s;
        row.input_offset = 88;
        row.route = "default";
        row.category = "marketing";
        admin_.recipient_facts.messages.emplace_back(MessageId(id), row);
        return admin_.recipient_facts.messages.back().second;
    }

    Config config_;
    FakeStatus status_;
    FakeAdmin admin_;
    Router telemetry_;
    Router admin_routes_;
    simdjson::dom::parser parser_;
    simdjson::dom::element parsed_;
};

TEST_F(EndpointsTest, LiveWhileEveryThreadMoves) {
    EXPECT_EQ(get({"livez"}).status, 200);
    status_.beats[1].age = 31s;
    const HttpReply reply = get({"livez"});
    EXPECT_EQ(reply.status, 503);
    EXPECT_THAT(reply.body, HasSubstr("failed partition 3: last seen 31000 ms ago"));
}

TEST_F(EndpointsTest, LiveWhateverKafkaAndRestoreDo) {
    status_.joined = false;
    status_.assigned = {{.partition = 3, .state = PartitionState::Restoring}};
    EXPECT_EQ(get({"livez"}).status, 200);
}

struct ReadyRow {
    std::string name;
    void (*change)(FakeStatus&);
    bool ready;
};
void PrintTo(const ReadyRow& row, std::ostream* out) {
    *out << row.name;
}

class Ready : public EndpointsTest, public testing::WithParamInterface<ReadyRow> {};

TEST_P(Ready, Readyz) {
    GetParam().change(status_);
    EXPECT_EQ(get({"readyz"}).status, GetParam().ready ? 200 : 503) << get({"readyz"}).body;
}

INSTANTIATE_TEST_SUITE_P(
    Table, Ready,
    testing::Values(
        ReadyRow{"NothingAssigned", [](FakeStatus&) {}, true},
        ReadyRow{"AllRunning",
                 [](FakeStatus& s) {
                     s.assigned = {{1, PartitionState::Running}, {2, PartitionState::Running}};
                 },
                 true},
        ReadyRow{"LagDoesNotCount",
                 [](FakeStatus& s) {
                     s.assigned = {{.partition = 1,
                                    .state = PartitionState::Running,
                                    .sends_lag_records = 1'000'000}};
                 },
                 true},
        ReadyRow{"OneRestoring",
                 [](FakeStatus& s) {
                     s.assigned = {{1, PartitionState::Running}, {2, PartitionState::Restoring}};
                 },
                 false},
        ReadyRow{"NotJoined", [](FakeStatus& s) { s.joined = false; }, false},
        ReadyRow{"AddressesNotLoaded", [](FakeStatus& s) { s.addresses_loaded = false; }, false},
        ReadyRow{"NotStarted", [](FakeStatus& s) { s.is_started = false; }, false},
        ReadyRow{"Draining", [](FakeStatus& s) { s.drains = true; }, false}),
    [](const auto& row) { return row.param.name; });

TEST_F(EndpointsTest, VerboseNamesEveryCheck) {
    status_.assigned = {{.partition = 4, .state = PartitionState::Running}};
    EXPECT_EQ(get({"readyz"}).body, "ok\n");
    EXPECT_EQ(get({"readyz"}, "verbose").body,
              "ok started\nok group joined\nok suppressions by address loaded\nok not draining\n"
              "ok partition 4: running\npassed\n");
}

TEST_F(EndpointsTest, StartedOnlyOnceStarted) {
    EXPECT_EQ(get({"startupz"}).status, 200);
    status_.is_started = false;
    EXPECT_EQ(get({"startupz"}).status, 503);
}

TEST_F(EndpointsTest, ARestoreIsToldByStartupzAndIsNoReasonForARestart) {
    status_.assigned = {{.partition = 2,
                         .state = PartitionState::Restoring,
                         .restore_remaining_records = 1'500'000}};
    EXPECT_EQ(get({"startupz"}).status, 200);
    EXPECT_EQ(get({"startupz"}, "verbose").body,
              "ok started\nok partition 2: restoring, 1500000 records to restore\npassed\n");
}

TEST_F(EndpointsTest, MetricsAreServedAsTheExpositionFormat) {
    const HttpReply reply = get({"metrics"});
    EXPECT_EQ(reply.body, "metric 1\n");
    EXPECT_EQ(reply.content_type, "text/plain; version=0.0.4; charset=utf-8");
}

TEST_F(EndpointsTest, OrderingTellsTheEnforcedShare) {
    EXPECT_EQ(double(json(get({"metrics", "ordering"}))["enforced_share"]), 1.0);
    status_.counts = {.out_of_order = 1,
                      .gaps = 2,
                      .duplicates = 3,
                      .held = 4,
                      .recipients = 5,
                      .sequences = 8,
                      .sequences_enforced = 6};
    const auto body = json(get({"metrics", "ordering"}));
    EXPECT_EQ(std::uint64_t(body["out_of_order"]), 1U);
    EXPECT_EQ(std::uint64_t(body["gaps"]), 2U);
    EXPECT_EQ(std::uint64_t(body["duplicates"]), 3U);
    EXPECT_EQ(std::uint64_t(body["held"]), 4U);
    EXPECT_EQ(std::uint64_t(body["recipients"]), 5U);
    EXPECT_EQ(double(body["enforced_share"]), 0.75);
}

TEST_F(EndpointsTest, TimelineOfASentMessage) {
    MessageRow& row = add_message("m-1", MessageState::Sent, Reason::Accepted, at(0));
    row.provider = "main";
    row.provider_message_id = "esp-1";
    row.attempts = 1;
    const auto body = json(timeline("m-1"));
    EXPECT_EQ(admin_.asked, RecipientId("user-1"));
    EXPECT_EQ(admin_.asked_message, MessageId("m-1"));
    EXPECT_EQ(text(body["verdict"]), "sent");
    EXPECT_EQ(text(body["sentence"]), "main accepted it at 2025-12-01T09:00:01.000Z");
    const auto message = body["messages"].at(0);
    EXPECT_EQ(text(message["provider_message_id"]), "esp-1");
    EXPECT_EQ(text(message["timeline"].at(0)["event"]), "received");
    EXPECT_EQ(text(message["timeline"].at(0)["detail"]), "postlane.sends[3]@88");
    EXPECT_EQ(text(message["timeline"].at(1)["event"]), "sent");
}

TEST_F(EndpointsTest, ARecipientIsSentOnlyIfEveryMessageWas) {
    add_message("m-1", MessageState::Expired, Reason::TtlPassed, at(0));
    add_message("m-2", MessageState::Failed, Reason::RejectedByProvider, at(10));
    add_message("m-3", MessageState::Sent, Reason::Accepted, at(20));
    const auto body = json(timeline());
    EXPECT_EQ(text(body["verdict"]), "failed");
    EXPECT_EQ(text(body["decisive_message_id"]), "m-2");
    EXPECT_EQ(text(body["messages"].at(0)["message_id"]), "m-3");
}

TEST_F(EndpointsTest, UnknownNamesTheHorizon) {
    const auto body = json(timeline("m-9"));
    EXPECT_EQ(text(body["verdict"]), "unknown");
    EXPECT_EQ(text(body["sentence"]),
              "the ledger knows no such message (partition 3); it forgets what ended before "
              "2025-11-30T09:00:00.000Z. A record that was no message has its outcome and dead "
              "letter in their topics alone");
}

TEST_F(EndpointsTest, ASuppressedMessageNamesTheEntry) {
    add_message("m-1", MessageState::SuppressedAtSend, Reason::Suppressed, at(0));
    admin_.recipient_facts.suppressions =
        SuppressionRow{.entries = {{.scope = {Scope::Kind::Category, "marketing"},
                                    .reason = SuppressionReason::Unsubscribe,
                                    .occurred_at = at(-60),
                                    .expires_at = {}}},
                       .clearings = {}};
    const auto body = json(timeline());
    EXPECT_EQ(text(body["sentence"]),
              "suppressed: category:marketing (unsubscribe) since 2025-12-01T08:59:00.000Z");
    EXPECT_EQ(text(body["suppressions"].at(0)["scope"]), "category:marketing");
}

TEST_F(EndpointsTest, AWaitingStepNamesWhatItWaitsFor) {
    MessageRow& row = add_message("m-3", MessageState::Held, Reason::None, at(0));
    row.sequence = SequenceRef{"onboarding", 3};
    row.wake_at = at(3600);
    admin_.recipient_facts.sequences = {
        {"onboarding",
         {.expected = 2, .known_through = 1, .held = 1, .halt = {}, .skipped_steps = {}}}};
    const auto body = json(timeline());
    EXPECT_EQ(text(body["verdict"]), "held");
    EXPECT_EQ(text(body["sentence"]),
              "step 3 of onboarding waits for step 2, which has not arrived; it is given up at "
              "2025-12-01T10:00:00.000Z (ordering.on_gap)");

    // The gap has closed; the row still says held.
    admin_.recipient_facts.sequences[0].second.known_through = 3;
    EXPECT_EQ(text(json(timeline())["verdict"]), "waiting");
    EXPECT_EQ(text(json(timeline())["sentence"]),
              "step 3 of onboarding waits for step 2, which has not ended");

    admin_.recipient_facts.sequences[0].second.halt =
        SequenceRow::Halt{.reason = Reason::NoIdempotency, .step = 2, .until = at(7200)};
    EXPECT_EQ(text(json(timeline())["sentence"]),
              "step 3 of onboarding waits: step 2 halted the sequence (no_idempotency), at the "
              "latest until 2025-12-01T11:00:00.000Z");
}

TEST_F(EndpointsTest, AReadyMessageSaysWhatKeepsIt) {
    MessageRow& refused = add_message("m-1", MessageState::Ready, Reason::None, at(0));
    admin_.recipient_facts.as_of = at(5);
    refused.wake_at = at(12);
    EXPECT_EQ(text(json(timeline())["sentence"]),
              "its provider refused the account, or this sender; tried again at "
              "2025-12-01T09:00:12.000Z");
    refused.wake_at = at(0);
    add_message("m-2", MessageState::Sending, Reason::None, at(0)).provider = "main";
    EXPECT_EQ(text(json(timeline())["messages"].at(0)["sentence"]),
              "waits for m-2, another mail of this recipient that is with main");
}

TEST_F(EndpointsTest, ARetryThatNeverReachedItsProviderSaysSo) {
    MessageRow& row = add_message("m-1", MessageState::Retrying, Reason::None, at(0));
    admin_.recipient_facts.as_of = at(5);
    row.provider = "main";
    row.wake_at = at(3);
    EXPECT_EQ(text(json(timeline())["sentence"]),
              "the last attempt did not reach main; the next one is due");
    row.attempts = 2;
    row.wake_at = at(9);
    EXPECT_EQ(text(json(timeline())["sentence"]),
              "attempt 2 was not accepted; the next one at 2025-12-01T09:00:09.000Z");
}

TEST_F(EndpointsTest, WhatCannotBeSentSaysSoBeforeItEnds) {
    MessageRow& row = add_message("m-1", MessageState::Scheduled, Reason::None, at(0));
    row.due_at = at(3600);
    row.route = "gone";
    admin_.recipient_facts.suppressions =
        SuppressionRow{.entries = {{.scope = {},
                                    .reason = SuppressionReason::Complaint,
                                    .occurred_at = at(-60),
                                    .expires_at = {}}},
                       .clearings = {}};
    EXPECT_EQ(
        text(json(timeline())["sentence"]),
        "due at 2025-12-01T10:00:00.000Z; its route gone is not configured: it stays until "
        "it expires; as things stand it will not be sent: suppressed, everything (complaint) since "
        "2025-12-01T08:59:00.000Z");
}

TEST_F(EndpointsTest, AMessageThatWasGivenUpNamesItsAttempts) {
    MessageRow& row = add_message("m-1", MessageState::Expired, Reason::TtlPassed, at(0));
    row.provider = "main";
    row.attempts = 3;
    row.first_attempt_at = at(0);
    EXPECT_THAT(text(json(timeline())["sentence"]),
                testing::EndsWith("(3 counted attempts, the last with main)"));
}

TEST_F(EndpointsTest, EveryStateHasASentence) {
    for (const MessageState state :
         {MessageState::Held, MessageState::Waiting, MessageState::Scheduled, MessageState::Ready,
          MessageState::Sending, MessageState::Retrying, MessageState::Sent,
          MessageState::SuppressedAtSend, MessageState::Expired, MessageState::Failed,
          MessageState::DeadLettered, MessageState::Ambiguous}) {
        admin_.recipient_facts.messages.clear();
        add_message("m", state, Reason::None, at(0));
        EXPECT_EQ(text(json(timeline())["verdict"]), to_string(state));
        EXPECT_NE(text(json(timeline())["sentence"]), "");
    }
}

struct RefusalRow {
    std::string name;
    AdminError error;
    int status;
    std::string code;
    std::string retry_after;
};
void PrintTo(const RefusalRow& row, std::ostream* out) {
    *out << row.name;
}

class Refusals : public EndpointsTest, public testing::WithParamInterface<RefusalRow> {};

TEST_P(Refusals, BecomeProblems) {
    admin_.error = GetParam().error;
    for (const HttpReply& reply :
         {timeline(), admin_get({"api", "v1", "status"}), admin_get({"api", "v1", "ledger"}),
          post("ledger:verify", ""), post("suppressions:check", R"({"recipient_id":"a"})")}) {
        EXPECT_EQ(reply.status, GetParam().status);
        EXPECT_EQ(reply.content_type, "application/problem+json");
        EXPECT_EQ(text(json(reply)["code"]), GetParam().code);
        EXPECT_EQ(reply.headers.empty() ? "" : reply.headers.front().second,
                  GetParam().retry_after);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Table, Refusals,
    testing::Values(
        RefusalRow{
            "NotOwned", {AdminError::Kind::NotOwned, "partition 3", {}}, 421, "not_owned", ""},
        RefusalRow{
            "Restoring", {AdminError::Kind::Restoring, "12 left", 5s}, 503, "restoring", "5"},
        RefusalRow{"Busy", {AdminError::Kind::Busy, "one at a time", 10s}, 409, "busy", "10"},
        RefusalRow{
            "Unavailable", {AdminError::Kind::Unavailable, "late", {}}, 503, "unavailable", "2"},
        RefusalRow{
            "Unsupported", {AdminError::Kind::Unsupported, "no", {}}, 400, "unsupported", ""}),
    [](const auto& row) { return row.param.name; });

TEST_F(EndpointsTest, SuppressionCheckAsksAboutRecipientAndAddress) {
    const HttpReply clear =
        post("suppressions:check", R"({"recipient_id":"user-1","email":"Ann@EXAMPLE.com"})");
    EXPECT_EQ(bool(json(clear)["suppressed"]), false);
    EXPECT_EQ(bool(json(clear)["proven_fresh"]), false);
    EXPECT_EQ(admin_.question.recipient, RecipientId("user-1"));
    EXPECT_EQ(admin_.question.address, AddressKey("ann@example.com"));
    EXPECT_THAT(clear.body, Not(HasSubstr("example.com")));

    admin_.suppression_facts.by_address =
        SuppressionRow{.entries = {{.scope = {},
                                    .reason = SuppressionReason::Complaint,
                                    .occurred_at = at(0),
                                    .expires_at = {}}},
                       .clearings = {}};
    admin_.suppression_facts.proven_fresh = true;
    const auto body = json(post("suppressions:check", R"({"email":"ann@example.com"})"));
    EXPECT_EQ(bool(body["suppressed"]), true);
    EXPECT_EQ(bool(body["proven_fresh"]), true);
    EXPECT_EQ(text(body["suppression"]["by"]), "address");
    EXPECT_EQ(text(body["suppression"]["reason"]), "complaint");
    EXPECT_EQ(text(body["suppression"]["scope"]), "everything");
}

TEST_F(EndpointsTest, SuppressionCheckMindsTheCategory) {
    admin_.suppression_facts.by_recipient =
        SuppressionRow{.entries = {{.scope = {},
                                    .reason = SuppressionReason::Unsubscribe,
                                    .occurred_at = at(0),
                                    .expires_at = {}}},
                       .clearings = {}};
    const auto suppressed = [&](const std::string& category) {
        return bool(json(post("suppressions:check", R"({"recipient_id":"u","category":")" +
                                                        category + "\"}"))["suppressed"]);
    };
    EXPECT_TRUE(suppressed("marketing"));
    EXPECT_FALSE(suppressed(" Transactional "));
}

TEST_F(EndpointsTest, BadQuestionsAreRefused) {
    for (const char* const body :
         {"", "[]", "{", "{}", R"({"recipient_id":""})", R"({"recipient_id":7})",
          R"({"email":"nobody"})", R"({"recipient_id":"a","category":"no blanks"})"}) {
        const HttpReply reply = post("suppressions:check", body);
        EXPECT_EQ(reply.status, 400) << body;
        EXPECT_EQ(text(json(reply)["code"]), "bad_body");
    }
    EXPECT_EQ(admin_get({"api", "v1", "recipients", std::string(513, 'a'), "timeline"}).status,
              400);
    EXPECT_EQ(timeline(std::string("\xff")).status, 400);
}

TEST_F(EndpointsTest, LedgerVerdictIsOneWordForAll) {
    admin_.verdicts = {{.partition = 1, .compared = 10}, {.partition = 2, .compared = 10}};
    EXPECT_EQ(bool(json(post("ledger:verify", ""))["agrees"]), true);
    admin_.verdicts[1].different = 1;
    const auto body = json(post("ledger:verify", ""));
    EXPECT_EQ(bool(body["agrees"]), false);
    EXPECT_EQ(bool(body["partitions"].at(0)["agrees"]), true);
    EXPECT_EQ(bool(body["partitions"].at(1)["agrees"]), false);
}

TEST_F(EndpointsTest, StatusAndPartitionsAreTold) {
    status_.assigned = {{.partition = 4,
                         .state = PartitionState::Restoring,
                         .restore_remaining_records = 12,
                         .suppression_staleness = 40ms}};
    const auto body = json(admin_get({"api", "v1", "status"}));
    EXPECT_EQ(text(body["version"]), "1.2.3");
    EXPECT_EQ(bool(body["providers"].at(0)["circuit_open"]), true);
    EXPECT_EQ(text(body["partitions"].at(0)["state"]), "restoring");
    const auto partitions = json(admin_get({"api", "v1", "partitions"}));
    EXPECT_EQ(std::int64_t(partitions["partitions"].at(0)["restore_remaining_records"]), 12);
    EXPECT_EQ(std::int64_t(partitions["partitions"].at(0)["suppression_staleness_ms"]), 40);
}

TEST_F(EndpointsTest, TheOpenApiDocumentListsExactlyTheRoutes) {
    const auto document = json(admin_get({"api", "v1", "openapi.json"}));
    EXPECT_EQ(text(document["openapi"]), "3.1.0");
    std::set<std::string> documented;
    for (const auto path : simdjson::dom::object(document["paths"])) {
        for (const auto method : simdjson::dom::object(path.value)) {
            documented.insert(std::string(method.key) + " " + std::string(path.key));
        }
    }
    std::set<std::string> served;
    for (const Router::Route& route : admin_routes_.routes()) {
        served.insert((route.method == "GET" ? "get " : "post ") + route.path);
    }
    EXPECT_EQ(documented, served);
}

}  // namespace
}  // namespace postlane
