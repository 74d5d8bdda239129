#include <fmt/format.h>
#include <gmock/gmock.h>
#include <simdjson.h>

#include <memory>
#include <string>

#include "adapters/listener/admin.h"
#include "adapters/rocksdb/rocksdb_store.h"
#include "codec/ledger_codec.h"
#include "program.h"

namespace postlane::cli {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

Instant at(std::int64_t seconds) {
    return Instant(std::chrono::seconds(1'764'579'600 + seconds));  // 2025-12-01T09:00:00Z
}

class QuietStatus : public StatusSource {
public:
    [[nodiscard]] std::vector<Heartbeat> heartbeats() const override { return {}; }
    [[nodiscard]] bool started() const override { return true; }
    [[nodiscard]] bool group_joined() const override { return true; }
    [[nodiscard]] bool address_view_loaded() const override { return true; }
    [[nodiscard]] bool draining() const override { return false; }
    [[nodiscard]] std::vector<PartitionStatus> partitions() const override { return {}; }
    [[nodiscard]] OrderingStatus ordering() const override { return {}; }
};

class ScriptedAdmin : public AdminSource {
public:
    std::optional<AdminError> error;
    RecipientFacts facts;
    std::vector<LedgerPartitionVerdict> verdicts;
    std::string asked;

    AdminResult<RecipientFacts> recipient(const RecipientId& id,
                                          const std::optional<MessageId>& message) override {
        asked = id.value() + "|" + (message ? message->value() : "-");
        return answer(facts);
    }
    AdminResult<SuppressionFacts> suppressions(const SuppressionQuestion&) override {
        return answer(SuppressionFacts{});
    }
    AdminResult<InstanceStatus> status() override { return answer(InstanceStatus{}); }
    AdminResult<std::vector<LedgerPartitionStats>> ledger_stats() override {
        return answer(std::vector<LedgerPartitionStats>{{.partition = 3, .messages_ended = 1234}});
    }
    AdminResult<std::vector<LedgerPartitionVerdict>> ledger_verify() override {
        return answer(verdicts);
    }

private:
    template <class T>
    AdminResult<T> answer(T value) const {
        if (error) {
            return tl::unexpected(*error);
        }
        return value;
    }
};

// A running instance's admin listener, with answers we choose.
class AskingTest : public testing::Test {
protected:
    AskingTest() {
        config_.topics.sends = "postlane.sends";
        admin_.facts.partition = 3;
        admin_.facts.as_of = at(100);
        admin_.facts.ledger_reaches_back = at(-86400);
    }
    void listen(const std::string& token = "") {
        Router router;
        add_admin_routes(router, admin_, status_, config_);
        auto server = HttpServer::start(
            {.listen = "127.0.0.1:0", .token = Secret(token), .check_host = true, .on_failure = {}},
            std::move(router));
        ASSERT_TRUE(server) << server.error().detail;
        server_ = std::move(*server);
    }
    Finished ask(std::vector<std::string> arguments) {
        arguments.push_back("--endpoint");
        arguments.push_back("http://" + server_->address());
        return run_program(arguments);
    }
    MessageRow& add_message(const std::string& id, MessageState state, Reason reason) {
        MessageRow row;
        row.state = state;
        row.reason = reason;
        row.received_at = at(0);
        row.decided_at = at(2);
        row.input_offset = 88;
        row.provider = "main";
        row.attempts = 1;
        admin_.facts.messages.emplace_back(MessageId(id), row);
        return admin_.facts.messages.back().second;
    }

    Config config_;
    QuietStatus status_;
    ScriptedAdmin admin_;
    std::unique_ptr<HttpServer> server_;
};

TEST_F(AskingTest, ExplainSent) {
    listen();
    add_message("m/1", MessageState::Sent, Reason::Accepted);
    const Finished finished = ask({"explain", "user 1/ä", "--message", "m/1"});
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_EQ(admin_.asked, "user 1/ä|m/1");
    expect_golden("explain_sent.txt", finished.out);
}

TEST_F(AskingTest, ExplainNotSentIsANegativeAnswer) {
    listen();
    add_message("m-1", MessageState::Sent, Reason::Accepted);
    add_message("m-2", MessageState::Expired, Reason::TtlPassed);
    add_message("m-3", MessageState::Held, Reason::None).sequence = SequenceRef{"onboarding", 3};
    admin_.facts.messages.back().second.input_offset = 90;
    admin_.facts.sequences = {
        {"onboarding",
         {.expected = 2, .known_through = 1, .held = 1, .halt = {}, .skipped_steps = {}}}};
    admin_.facts.suppressions =
        SuppressionRow{.entries = {{.scope = {Scope::Kind::Category, "marketing"},
                                    .reason = SuppressionReason::Unsubscribe,
                                    .occurred_at = at(1),
                                    .expires_at = {}}},
                       .clearings = {}};
    const Finished finished = ask({"explain", "user-1"});
    EXPECT_EQ(finished.exit_code, 1);
    expect_golden("explain_not_sent.txt", finished.out);

    const Finished json = ask({"explain", "user-1", "--json"});
    EXPECT_EQ(json.exit_code, 1);
    simdjson::dom::parser parser;
    EXPECT_EQ(std::string_view(parser.parse(json.out)["verdict"]), "held");
}

TEST_F(AskingTest, ExplainUnknownNamesTheHorizon) {
    listen();
    const Finished finished = ask({"explain", "user-9"});
    EXPECT_EQ(finished.exit_code, 1);
    EXPECT_THAT(finished.out, StartsWith("UNKNOWN  the ledger knows no message"));
    EXPECT_THAT(finished.out, HasSubstr("it forgets what ended before 2025-11-30"));
}

TEST_F(AskingTest, ProblemsHaveTheirExitCodes) {
    listen();
    admin_.error = AdminError{AdminError::Kind::Restoring, "partition 3: 12 records left", {}};
    Finished finished = ask({"explain", "user-1"});
    EXPECT_EQ(finished.exit_code, 75);
    EXPECT_EQ(finished.err, "postlane: restoring: partition 3: 12 records left\n");
    admin_.error->kind = AdminError::Kind::Unavailable;
    EXPECT_EQ(ask({"explain", "user-1"}).exit_code, 69);
    admin_.error->kind = AdminError::Kind::NotOwned;
    EXPECT_EQ(ask({"explain", "user-1"}).exit_code, 69);
}

TEST_F(AskingTest, NobodyThereIs69) {
    listen();
    const std::string endpoint = "http://" + server_->address();
    server_.reset();
    const Finished finished = run_program({"explain", "user-1", "--endpoint", endpoint});
    EXPECT_EQ(finished.exit_code, 69);
    EXPECT_THAT(finished.err, StartsWith("postlane: " + endpoint + " does not answer: "));
}

TEST_F(AskingTest, WithoutAnAddressToAskItIsUsage) {
    const Finished finished = run_program({"explain", "user-1"});
    EXPECT_EQ(finished.exit_code, 64);
    EXPECT_THAT(finished.err, HasSubstr("--endpoint"));
}

TEST_F(AskingTest, TheTokenComesFromItsFile) {
    listen("s3cret");
    add_message("m-1", MessageState::Sent, Reason::Accepted);
    const TemporaryDirectory directory;
    const std::string right = directory.write("right", "s3cret\n");
    const std::string wrong = directory.write("wrong", "other\n");
    EXPECT_EQ(ask({"explain", "u"}).exit_code, 77);
    EXPECT_EQ(ask({"explain", "u", "--token-file", wrong}).exit_code, 77);
    EXPECT_EQ(ask({"explain", "u", "--token-file", right}).exit_code, 0);
    EXPECT_EQ(ask({"explain", "u", "--token-file", "/no/such/token"}).exit_code, 77);
}

TEST_F(AskingTest, EndpointAndTokenComeFromTheConfiguration) {
    listen("s3cret");
    add_message("m-1", MessageState::Sent, Reason::Accepted);
    const TemporaryDirectory directory;
    directory.write("admin.token", "s3cret\n");
    const std::string file = directory.write(
        "postlane.toml", fmt::format("schema_version = 1\n[kafka]\nbootstrap_servers = "
                                     "[\"127.0.0.1:9092\"]\n[admin]\nlisten = \"{}\"\ntoken_file = "
                                     "\"admin.token\"\n",
                                     server_->address()));
    const Finished finished = run_program({"explain", "-c", file, "u"});
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
}

TEST_F(AskingTest, LedgerStatsAndVerifyAskTheInstance) {
    listen();
    const Finished stats = ask({"ledger", "stats"});
    EXPECT_EQ(stats.exit_code, 0) << stats.err;
    EXPECT_THAT(stats.out, HasSubstr("1,234"));
    admin_.verdicts = {{.partition = 3, .compared = 10}};
    EXPECT_EQ(ask({"ledger", "verify"}).exit_code, 0);
    admin_.verdicts[0].missing = 1;
    EXPECT_EQ(ask({"ledger", "verify"}).exit_code, 1);
    EXPECT_EQ(ask({"ledger", "verify", "--json"}).exit_code, 1);
}

TEST(LedgerCommand, StatsReadsTheStoresOfAStoppedInstance) {
    const TemporaryDirectory directory;
    {
        const SharedResources shared;
        const auto store =
            RocksDbStore::open(shared, RocksDbStore::partition_directory(directory.path(), 5));
        ASSERT_TRUE(store) << store.error().detail;
        MessageRow row;
        row.state = MessageState::Sent;
        StoreBatch batch;
        batch.operations.push_back(
            {ledger::message_key(RecipientId("u"), MessageId("m")), ledger::encode(row)});
        ASSERT_TRUE((*store)->write(batch));
    }
    const std::string file = directory.write(
        "postlane.toml",
        fmt::format("schema_version = 1\n[kafka]\nbootstrap_servers = [\"127.0.0.1:9092\"]\n"
                    "[ledger]\ndirectory = \"{}\"\n[admin]\nlisten = \"127.0.0.1:1\"\n",
                    directory.path().string()));
    const Finished stats = run_program({"ledger", "stats", "--json", "-c", file});
    EXPECT_EQ(stats.exit_code, 0) << stats.err;
    EXPECT_THAT(stats.err, HasSubstr("no instance answers at http://127.0.0.1:1"));
    simdjson::dom::parser parser;
    const simdjson::dom::element document = parser.parse(stats.out);
    EXPECT_EQ(std::uint64_t(document["partitions"].at(0)["partition"]), 5U);
    EXPECT_EQ(std::uint64_t(document["partitions"].at(0)["messages_ended"]), 1U);
    EXPECT_GT(std::uint64_t(document["partitions"].at(0)["store_bytes"]), 0U);
}

}  // namespace
}  // namespace postlane::cli
