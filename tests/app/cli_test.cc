#include <gmock/gmock.h>
#include <simdjson.h>

#include <string>
#include <vector>

#include "app/cli/broker_report.h"
#include "program.h"

namespace postlane::cli {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

TEST(Cli, HelpShowsWhatWorks) {
    const Finished help = run_program({"--help"});
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_EQ(help.err, "");
    expect_golden("help.txt", help.out);
    for (const char* const later : {"dlq", "pause", "completion"}) {
        EXPECT_THAT(help.out, Not(HasSubstr(later)));
    }
}

struct UsageRow {
    std::string name;
    std::vector<std::string> arguments;
    std::string says;
};
void PrintTo(const UsageRow& row, std::ostream* out) {
    *out << row.name;
}

class Usage : public testing::TestWithParam<UsageRow> {};

TEST_P(Usage, MistakesAre64AndSayWhatToDo) {
    const Finished finished = run_program(GetParam().arguments);
    EXPECT_EQ(finished.exit_code, 64);
    EXPECT_EQ(finished.out, "");
    EXPECT_THAT(finished.err, StartsWith(GetParam().says));
    EXPECT_THAT(finished.err, HasSubstr("--help\n"));
}

INSTANTIATE_TEST_SUITE_P(
    Table, Usage,
    testing::Values(
        UsageRow{"NoCommand", {}, "postlane needs a command: run, validate, "},
        UsageRow{"Typo",
                 {"explian", "user-1"},
                 "postlane has no command \"explian\"; did you mean \"explain\"?"},
        UsageRow{"LaterCommand", {"dlq", "list"}, "postlane has no command \"dlq\""},
        UsageRow{"NoInnerCommand", {"topics"}, "postlane topics needs a command: create or check"},
        UsageRow{"InnerTypo",
                 {"topics", "chekc"},
                 "postlane topics has no command \"chekc\"; did you mean \"check\"?"},
        UsageRow{"OptionTypo",
                 {"validate", "--no-enviroment", "f"},
                 "postlane validate has no option \"--no-enviroment\"; did you mean "
                 "\"--no-environment\"?"},
        UsageRow{"MissingConfig", {"run"}, "postlane run: --config is required"},
        UsageRow{"TooMuch", {"version", "1"}, "postlane version does not expect \"1\""},
        UsageRow{"BadSetting",
                 {"config", "show", "-c", "f", "--set", "nonsense"},
                 "postlane config show: --set: \"nonsense\" is no KEY=VALUE"},
        UsageRow{"BadNumber",
                 {"topics", "create", "-c", "f", "--partitions", "many"},
                 "postlane topics create: "}),
    [](const auto& row) { return row.param.name; });

TEST(Cli, VersionNamesTheLibraries) {
    const Finished text = run_program({"version"});
    EXPECT_EQ(text.exit_code, 0);
    EXPECT_THAT(text.out, StartsWith("postlane "));
    const Finished flag = run_program({"--version"});
    EXPECT_EQ(flag.exit_code, 0);
    EXPECT_THAT(text.out, HasSubstr(flag.out.substr(0, flag.out.find('\n'))));
    const Finished json = run_program({"version", "--json"});
    simdjson::dom::parser parser;
    const simdjson::dom::element document = parser.parse(json.out);
    EXPECT_THAT(text.out, HasSubstr(std::string(std::string_view(document["version"]))));
    for (const char* const library : {"librdkafka", "rocksdb", "curl", "openssl", "boost"}) {
        std::string_view version;
        EXPECT_EQ(document["libraries"][library].get(version), simdjson::SUCCESS) << library;
        EXPECT_THAT(text.out, HasSubstr(std::string(version)));
    }
}

TEST(Cli, ConfigSchemaIsJsonAndDefaultIsToml) {
    const Finished schema = run_program({"config", "schema"});
    EXPECT_EQ(schema.exit_code, 0);
    simdjson::dom::parser parser;
    EXPECT_EQ(parser.parse(schema.out).error(), simdjson::SUCCESS);
    const Finished text = run_program({"config", "default"});
    EXPECT_EQ(text.exit_code, 0);
    EXPECT_THAT(text.out, HasSubstr("schema_version = 1\n"));
}

class CliConfigTest : public testing::Test {
protected:
    CliConfigTest() {
        directory_.write("keyed.token", "s3cret-token");
        file_ = directory_.write("postlane.toml", sample_config());
    }
    TemporaryDirectory directory_;
    std::string file_;
};

TEST_F(CliConfigTest, ShowNamesOriginsAndHidesSecrets) {
    const Finished shown =
        run_program({"config", "show", "-c", file_, "--set", "kafka.group_id=blue"});
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_THAT(shown.out, HasSubstr("blue"));
    EXPECT_THAT(shown.out, HasSubstr("--set kafka.group_id"));
    EXPECT_THAT(shown.out, Not(HasSubstr("s3cret-token")));
}

TEST_F(CliConfigTest, ValidatePrintsTheGuaranteeSheet) {
    const Finished valid = run_program({"validate", file_});
    EXPECT_EQ(valid.exit_code, 0) << valid.err;
    EXPECT_THAT(valid.out, StartsWith(file_ + ": ok\n\nGuarantees\n"));
    const auto brokers = valid.out.find("\nBrokers\n");
    ASSERT_NE(brokers, std::string::npos) << valid.out;
    const auto sheet = valid.out.find("Guarantees");
    expect_golden("guarantees.txt", valid.out.substr(sheet, brokers - sheet));
    // None runs where the sample points, and that is said, not failed.
    EXPECT_THAT(valid.out.substr(brokers), HasSubstr("not asked: "));
    EXPECT_THAT(valid.out.substr(brokers), HasSubstr("postlane topics check"));

    const Finished text_alone = run_program({"validate", "--no-environment", file_});
    EXPECT_THAT(text_alone.out, Not(HasSubstr("Brokers")));
}

TEST_F(CliConfigTest, ValidateJsonHoldsTheSheetToo) {
    const Finished valid = run_program({"validate", "--json", file_});
    EXPECT_EQ(valid.exit_code, 0);
    simdjson::dom::parser parser;
    const simdjson::dom::element document = parser.parse(valid.out);
    EXPECT_EQ(std::uint64_t(document["errors"]), 0U);
    EXPECT_EQ(double(document["guarantees"]["ordering"]["enforced_share"]), 1.0);
    EXPECT_FALSE(bool(document["brokers"]["answered"]));
    const auto plain = document["guarantees"]["routes"].at(1)["providers"].at(0);
    EXPECT_EQ(std::string_view(plain["promises"].at(2)["promise"]), "G3 no duplicate");
    EXPECT_EQ(std::string_view(plain["promises"].at(2)["holds"]), "given_up");
}

TEST_F(CliConfigTest, ValidateRefusesWith78AndAPlace) {
    const std::string file = directory_.write("bad.toml", sample_config() + "listn = \"x\"\n");
    const Finished refused = run_program({"validate", file});
    EXPECT_EQ(refused.exit_code, 78);
    EXPECT_EQ(refused.out, "");
    EXPECT_THAT(refused.err, HasSubstr("bad.toml:24:1: error"));
    EXPECT_THAT(refused.err, HasSubstr("listen"));

    const Finished json = run_program({"validate", "--json", file});
    EXPECT_EQ(json.exit_code, 78);
    simdjson::dom::parser parser;
    EXPECT_EQ(std::uint64_t(parser.parse(json.out)["errors"]), 1U);
}

TEST_F(CliConfigTest, ValidateReadsTheFilesUnlessToldNotTo) {
    std::filesystem::remove(directory_.path() / "keyed.token");
    EXPECT_EQ(run_program({"validate", file_}).exit_code, 78);
    EXPECT_EQ(run_program({"validate", "--no-environment", file_}).exit_code, 0);
}

// A typing mistake that only librdkafka can find must not wait for the start of the program.
TEST_F(CliConfigTest, ValidateAsksLibrdkafkaAboutItsProperties) {
    std::string text = sample_config();
    text +=
        "[kafka.librdkafka]\n\"socket.timeuot.ms\" = \"1000\"\n"
        "\"socket.timeout.ms\" = \"soon\"\n\"sasl.password\" = \"secret\"\n"
        "\"sasl.mechanisms\" = \"PLAIN\"\n[kafka.librdkafka_files]\n"
        "\"ssl.keyy.pem\" = \"/x\"\n\"ssl.key.pem\" = \"/y\"\n";
    const std::string file = directory_.write("properties.toml", text);
    const Finished finished = run_program({"validate", "--no-environment", file});
    EXPECT_EQ(finished.exit_code, 78);
    EXPECT_THAT(finished.err, HasSubstr("error[C033]: kafka.librdkafka.socket.timeuot.ms: No such "
                                        "configuration property"));
    EXPECT_THAT(finished.err, HasSubstr("error[C033]: kafka.librdkafka.socket.timeout.ms: "));
    EXPECT_THAT(finished.err, Not(HasSubstr("error[C033]: kafka.librdkafka.sasl")));
    EXPECT_THAT(finished.err, HasSubstr("kafka.librdkafka_files.ssl.keyy.pem: No such"));
    EXPECT_THAT(finished.err, Not(HasSubstr("kafka.librdkafka_files.ssl.key.pem:")));
    EXPECT_EQ(run_program({"run", "-c", file}).exit_code, 78);
}

// What librdkafka refuses only when it makes a handle would else first be found by `run`.
TEST_F(CliConfigTest, ValidateRefusesPropertiesThatDoNotGoTogether) {
    directory_.write("garbage.pem", "no certificate");
    const std::string garbage = (directory_.path() / "garbage.pem").string();
    const std::string sasl = "\"security.protocol\" = \"SASL_PLAINTEXT\"\n";
    for (const auto& [properties, says] : std::vector<std::pair<std::string, std::string>>{
             {"\"ssl.ca.location\" = \"" + garbage + "\"\n\"security.protocol\" = \"SSL\"\n",
              "together.toml:25:1: error[C034]: kafka.librdkafka.ssl.ca.location: "},
             {"\"ssl.key.location\" = \"/nowhere\"\n\"security.protocol\" = \"SSL\"\n",
              "together.toml:25:1: error[C034]: kafka.librdkafka.ssl.key.location: "},
             {sasl + "\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"me\"\n",
              "together.toml:27:1: error[C034]: kafka.librdkafka.sasl.username: "},
             {sasl + "\"sasl.mechanism\" = \"ROT13\"\n",
              "together.toml: error[C034]: kafka.librdkafka: "}}) {
        const std::string file = directory_.write(
            "together.toml", sample_config() + "[kafka.librdkafka]\n" + properties);
        const Finished refused = run_program({"validate", file});
        EXPECT_EQ(refused.exit_code, 78) << properties;
        EXPECT_EQ(refused.out, "");
        EXPECT_THAT(refused.err, HasSubstr(says));
        const Finished json = run_program({"validate", "--json", file});
        EXPECT_EQ(json.exit_code, 78);
        EXPECT_THAT(json.out, HasSubstr("\"code\": \"C034\""));
        EXPECT_THAT(json.out, Not(HasSubstr("\"brokers\"")));
        EXPECT_EQ(run_program({"validate", "--no-environment", file}).exit_code, 0);
    }
}

TEST_F(CliConfigTest, ValidateSaysWhyNoBrokerAnswersButNoSecret) {
    EXPECT_THAT(run_program({"validate", file_}).out, HasSubstr("Connection refused"));
    const std::string file = directory_.write(
        "token.toml", sample_config() +
                          "[kafka.librdkafka]\n\"sasl.mechanism\" = \"OAUTHBEARER\"\n"
                          "\"security.protocol\" = \"SASL_PLAINTEXT\"\n"
                          "\"enable.sasl.oauthbearer.unsecure.jwt\" = true\n"
                          "\"sasl.oauthbearer.config\" = \"principal=me hunter2=x\"\n");
    const Finished finished = run_program({"validate", file});
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    EXPECT_THAT(finished.out, HasSubstr("Unrecognized sasl.oauthbearer.config"));
    EXPECT_THAT(finished.out + finished.err, Not(HasSubstr("hunter2")));
}

TEST(BrokerReport, ABrokerThatRefusesWasAsked) {
    const BrokerReport report{
        .silence = "topic a: Broker: Topic authorization failed", .refused = true, .findings = {}};
    EXPECT_THAT(to_text(report), HasSubstr("  refused: topic a: Broker: Topic authorization"));
    EXPECT_THAT(to_text(report), HasSubstr("`run` would refuse to start"));
    EXPECT_THAT(to_text(report), Not(HasSubstr("not asked")));
    EXPECT_THAT(to_json(report), HasSubstr("\"answered\":true,\"ok\":false"));
}

TEST_F(CliConfigTest, EveryCommandThatReadsTheFileRefusesABadOneWith78) {
    const std::string file = directory_.write("bad.toml", "schema_version = 2\n");
    for (const std::vector<std::string>& command :
         std::vector<std::vector<std::string>>{{"run", "-c", file},
                                               {"config", "show", "-c", file},
                                               {"topics", "check", "-c", file},
                                               {"topics", "create", "-c", file},
                                               {"send", "-c", file},
                                               {"explain", "-c", file, "user-1"},
                                               {"ledger", "stats", "-c", file},
                                               {"ledger", "verify", "-c", file}}) {
        const Finished finished = run_program(command);
        EXPECT_EQ(finished.exit_code, 78) << command.front();
        EXPECT_THAT(finished.err, HasSubstr("bad.toml:1:18: error")) << command.front();
    }
}

class CliSendTest : public CliConfigTest {
protected:
    static std::string event(const std::string& recipient) {
        return R"({"message_id":"m-1","recipient_id":")" + recipient +
               R"(","to":{"email":"ann@example.com"},"content":{"subject":"Hi","text":"Hello"}})";
    }
};

TEST_F(CliSendTest, ChecksWithoutKafka) {
    const Finished good = run_program({"send", "--check", "-c", file_},
                                      event("user-1") + "\n\n" + event("user-2") + "\r\n");
    EXPECT_EQ(good.exit_code, 0) << good.err;
    EXPECT_EQ(good.out, "2 events valid, 0 invalid\n");
}

TEST_F(CliSendTest, NamesTheLinesThatAreWrongAndNoValueOfThem) {
    const std::string input =
        event("user-1") + "\n{\"broken\n" + R"({"message_id":"x"})" + "\n" +
        R"({"recipient_id":"user-1","message_id":"m","to":{"email":"nobody"},)" +
        R"("content":{"subject":"a","text":"b"}})" + "\n";
    const Finished bad = run_program({"send", "--check", "-c", file_}, input);
    EXPECT_EQ(bad.exit_code, 65);
    EXPECT_THAT(bad.err, HasSubstr("stdin:2: malformed_json: "));
    EXPECT_THAT(bad.err, HasSubstr("stdin:3: invalid_field: recipient_id must be"));
    EXPECT_THAT(bad.err, HasSubstr("stdin:4: invalid_field: "));
    EXPECT_THAT(bad.err, Not(HasSubstr("nobody")));
    EXPECT_EQ(bad.out, "1 event valid, 3 invalid\n");

    const Finished json = run_program({"send", "--check", "--json", "-c", file_}, input);
    EXPECT_EQ(json.exit_code, 65);
    simdjson::dom::parser parser;
    const simdjson::dom::element document = parser.parse(json.out);
    EXPECT_EQ(std::uint64_t(document["valid"]), 1U);
    EXPECT_EQ(std::uint64_t(document["invalid"]), 3U);
    EXPECT_EQ(std::uint64_t(document["invalid_lines"].at(0)["line"]), 2U);
    EXPECT_EQ(std::string_view(document["invalid_lines"].at(0)["reason"]), "malformed_json");
}

TEST_F(CliSendTest, ALongLineIsRefusedInBoundedMemory) {
    std::string line = event("user-1");
    line.insert(line.size() - 1, ",\"metadata\":{\"a\":\"" + std::string(2'000'000, 'x') + "\"}");
    const std::string file =
        directory_.write("events.ndjson", line + "\n" + event("user-2") + "\n");
    const Finished finished = run_program({"send", "--check", "-c", file_, file});
    EXPECT_EQ(finished.exit_code, 65);
    EXPECT_THAT(finished.err, HasSubstr("events.ndjson:1: too_large: "));
    EXPECT_EQ(finished.out, "1 event valid, 1 invalid\n");
}

TEST_F(CliSendTest, AMissingFileIs74) {
    const Finished finished = run_program({"send", "--check", "-c", file_, "/no/such/file"});
    EXPECT_EQ(finished.exit_code, 74);
    EXPECT_THAT(finished.err, HasSubstr("/no/such/file cannot be read: No such file"));
}

TEST(CliSimulate, OneSeedPrintsItsTimelineAndTheSameTraceAgain) {
    const Finished quiet = run_program({"simulate", "--seed", "11"});
    EXPECT_EQ(quiet.exit_code, 0) << quiet.out;
    EXPECT_THAT(quiet.out, HasSubstr("every promise held\n"));
    EXPECT_THAT(quiet.out, Not(HasSubstr("NOT the same")));
    const Finished traced = run_program({"simulate", "--seed", "11", "--trace"});
    EXPECT_EQ(traced.exit_code, 0);
    EXPECT_THAT(traced.out, HasSubstr("What became of every message:"));
    EXPECT_THAT(traced.out, testing::EndsWith(quiet.out));  // the same hash
}

TEST(CliSimulate, SomeSeedsInTwoProcesses) {
    const Finished finished = run_program({"simulate", "--seeds", "20", "--jobs", "2"});
    EXPECT_EQ(finished.exit_code, 0) << finished.out;
    EXPECT_THAT(finished.out, HasSubstr("20 seeds in "));
    EXPECT_THAT(finished.out, HasSubstr(" 0 violations\n"));
}

TEST(CliSimulate, AlsoInJson) {
    simdjson::dom::parser parser;
    const Finished one = run_program({"simulate", "--seed", "11", "--json"});
    ASSERT_EQ(one.exit_code, 0) << one.err;
    const auto world = parser.parse(one.out);
    EXPECT_EQ(std::uint64_t(world["seed"]), 11U);
    EXPECT_EQ(world["violations"].get_array().size(), 0U);
    const std::string trace{std::string_view{world["trace"]}};
    EXPECT_THAT(run_program({"simulate", "--seed", "11"}).out, HasSubstr(trace));
    const Finished some = run_program({"simulate", "--seeds", "20", "--jobs", "2", "--json"});
    ASSERT_EQ(some.exit_code, 0) << some.err;
    EXPECT_EQ(std::uint64_t(parser.parse(some.out)["seeds"]), 20U);
    EXPECT_EQ(run_program({"simulate", "--json", "--trace"}).exit_code, 64);
}

TEST(CliSimulate, ACaseThatMakesNoSenseIs65) {
    const TemporaryDirectory directory;
    const std::string file = directory.write("x.seed", "seed 1\nwithout rain\n");
    const Finished finished = run_program({"simulate", "--case", file});
    EXPECT_EQ(finished.exit_code, 65);
    EXPECT_THAT(finished.err, HasSubstr("line 2: there is no fault class \"rain\""));
}

}  // namespace
}  // namespace postlane::cli
