// What a valid configuration becomes.
#include "config/load.h"

#include "config/reference.h"
#include "support.h"

namespace postlane::config {
namespace {

using std::chrono::days;

TEST(Load, LeastFileGetsTheDefaults) {
    const LoadResult result = load_text(kMinimal);
    ASSERT_TRUE(result) << complaints(result);
    EXPECT_EQ(complaints(result), "");
    const Config& config = result->config;
    EXPECT_EQ(config.kafka.bootstrap_servers, std::vector<std::string>{"127.0.0.1:9092"});
    EXPECT_EQ(config.kafka.group_id, "postlane");
    EXPECT_FALSE(config.kafka.group_instance_id);
    EXPECT_EQ(config.kafka.partitioner, Partitioner::Murmur2);
    EXPECT_EQ(config.kafka.initial_offset, InitialOffset::Earliest);
    EXPECT_TRUE(config.kafka.require_durable_topics);
    EXPECT_EQ(config.kafka.session_timeout, Millis(45'000));
    EXPECT_TRUE(config.kafka.librdkafka.empty());
    EXPECT_EQ(config.topics.address_suppressions, "postlane.address-suppressions");
    EXPECT_EQ(config.ledger.retention_days, days(30));
    EXPECT_EQ(config.ordering.on_gap, OnGap::DeadLetter);
    EXPECT_EQ(config.ordering.on_ambiguous, OnAmbiguous::Halt);
    EXPECT_EQ(config.ordering.on_not_sent, OnNotSent::Advance);
    EXPECT_EQ(config.suppression.max_staleness, Millis(250));
    EXPECT_EQ(config.suppression.transactional_categories,
              std::vector<std::string>{"transactional"});
    EXPECT_EQ(config.dispatch.max_in_flight, 4096U);
    EXPECT_EQ(config.dispatch.max_payload_bytes, 921'600U);
    ASSERT_EQ(config.providers.size(), 1U);
    EXPECT_EQ(config.providers[0].kind, ProviderKind::Http);
    EXPECT_FALSE(config.providers[0].rate_per_second);
    EXPECT_EQ(config.providers[0].idempotency, Idempotency::None);
    ASSERT_EQ(config.routes.size(), 1U);
    EXPECT_EQ(config.routes[0].on_ambiguous, RouteOnAmbiguous::Auto);
    EXPECT_EQ(config.telemetry.listen, "0.0.0.0:9464");
    EXPECT_EQ(config.admin.listen, "127.0.0.1:8081");
    EXPECT_TRUE(config.admin.token.empty());
}

const std::string kFull =
    "schema_version = 1\n"
    "[kafka]\n"
    "bootstrap_servers = [\"a:1\", \"[::1]:2\"]\n"
    "group_instance_id = \"pod-0\"\n"
    "partitioner = \"crc32\"\n"
    "initial_offset = \"latest\"\n"
    "require_durable_topics = false\n"
    "[kafka.librdkafka]\n"
    "\"session.timeout.ms\" = \"60000\"\n"
    "\"security.protocol\" = \"SSL\"\n"
    "\"heartbeat.interval.ms\" = 500\n"
    "\"log.connection.close\" = false\n"
    "[ledger]\n"
    "directory = \"/data\"\n"
    "retention_days = 60\n"
    "[ordering]\n"
    "min_spacing_ms = 0\n"
    "on_gap = \"skip\"\n"
    "first_step = \"adopt\"\n"
    "on_ambiguous = \"advance\"\n"
    "on_not_sent = \"halt\"\n"
    "[suppression]\n"
    "transactional_categories = [\" Receipts\", \"security\"]\n"
    "[[providers]]\n"
    "name = \"Main\"\n"
    "kind = \"http\"\n"
    "base_url = \"HTTPS://esp.example:8443/send/\"\n"
    "rate_per_second = 5\n"
    "ambiguous_statuses = [500]\n"
    "retry_statuses = []\n"
    "idempotency = \"header\"\n"
    "idempotency_header = \"X-Key\"\n"
    "idempotency_lifetime_ms = 5000\n"
    "[[routes]]\n"
    "name = \"default\"\n"
    "providers = [\"MAIN\"]\n"
    "from = {email = \"hi@shop.example\", name = \"Shop\"}\n"
    "on_ambiguous = \"resend\"\n";

TEST(Load, EveryValueOfTheFileArrives) {
    const LoadResult result = load_text(kFull);
    ASSERT_TRUE(result) << complaints(result);
    const Config& config = result->config;
    EXPECT_EQ(config.kafka.bootstrap_servers, (std::vector<std::string>{"a:1", "[::1]:2"}));
    EXPECT_EQ(config.kafka.group_instance_id, "pod-0");
    EXPECT_EQ(config.kafka.partitioner, Partitioner::Crc32);
    EXPECT_EQ(config.kafka.initial_offset, InitialOffset::Latest);
    EXPECT_FALSE(config.kafka.require_durable_topics);
    EXPECT_EQ(config.kafka.session_timeout, Millis(60'000)) << "the property wins";
    EXPECT_EQ(config.kafka.librdkafka.at("security.protocol"), "SSL");
    EXPECT_EQ(config.kafka.librdkafka.at("heartbeat.interval.ms"), "500");
    EXPECT_EQ(config.kafka.librdkafka.at("log.connection.close"), "false");
    EXPECT_TRUE(config.kafka.librdkafka_secrets.empty());
    EXPECT_EQ(config.ledger.directory, "/data");
    EXPECT_EQ(config.ordering.min_spacing, Millis(0));
    EXPECT_EQ(config.ordering.on_gap, OnGap::Skip);
    EXPECT_EQ(config.ordering.first_step, FirstStep::Adopt);
    EXPECT_EQ(config.ordering.on_ambiguous, OnAmbiguous::Advance);
    EXPECT_EQ(config.ordering.on_not_sent, OnNotSent::Halt);
    EXPECT_EQ(config.suppression.transactional_categories,
              (std::vector<std::string>{"receipts", "security"}));
    const Provider* provider = config.find_provider("main");
    ASSERT_NE(provider, nullptr);
    EXPECT_EQ(provider->base_url, "https://esp.example:8443/send/") << "its slash may matter";
    EXPECT_EQ(provider->rate_per_second, 5.0);
    EXPECT_EQ(provider->ambiguous_statuses, std::vector<int>{500});
    EXPECT_EQ(provider->retry_statuses, std::vector<int>{}) << "empty is not absent";
    EXPECT_EQ(provider->idempotency, Idempotency::Header);
    EXPECT_EQ(provider->idempotency_header, "X-Key");
    EXPECT_EQ(provider->idempotency_lifetime, Millis(5'000));
    const Route* route = config.find_route("default");
    ASSERT_NE(route, nullptr);
    EXPECT_EQ(route->providers, std::vector<std::string>{"main"});
    ASSERT_TRUE(route->from);
    EXPECT_EQ(route->from->email, "hi@shop.example");
    EXPECT_EQ(route->from->name, "Shop");
    EXPECT_EQ(route->on_ambiguous, RouteOnAmbiguous::Resend);
}

TEST(Load, KindsBringTheirNature) {
    const TempDirectory directory;
    const std::string key = directory.write("key", "SG.key\n");
    const auto provider = [&](const std::string& kind, const std::string& more) {
        return "[[providers]]\nname = \"" + kind + "\"\nkind = \"" + kind +
               "\"\ncredentials_file = \"" + key + "\"\n" + more;
    };
    const LoadResult result =
        load_text(kMinimal + provider("sendgrid", "") +
                  provider("resend", "base_url = \"http://127.0.0.1:8025//\"\n"));
    ASSERT_TRUE(result) << complaints(result);
    const Provider& sendgrid = *result->config.find_provider("sendgrid");
    EXPECT_EQ(sendgrid.base_url, "https://api.sendgrid.com");
    EXPECT_EQ(sendgrid.idempotency, Idempotency::None);
    EXPECT_EQ(sendgrid.credentials.reveal(), "SG.key");
    const Provider& resend = *result->config.find_provider("resend");
    EXPECT_EQ(resend.base_url, "http://127.0.0.1:8025") << "a path is appended to it";
    EXPECT_EQ(resend.idempotency, Idempotency::Header);
    EXPECT_EQ(resend.idempotency_header, "Idempotency-Key");
    EXPECT_EQ(resend.idempotency_lifetime, std::chrono::hours(24));
}

TEST(Load, CommandsThatSendNothingNeedNoRoute) {
    EXPECT_FALSE(load_text("schema_version = 1\n"));
    const LoadResult result = load_text("schema_version = 1\n", {}, {}, {.needs_routes = false});
    EXPECT_EQ(complaints(result), "");
    EXPECT_TRUE(result);
}

TEST(Load, FileOpenToOthersIsAWarning) {
    const TempDirectory directory;
    const std::string path = directory.write("token", "t0ken", 0644);
    const LoadResult result = load_text(kMinimal + "[admin]\nlisten = \"0.0.0.0:8081\"\n" +
                                        "token_file = \"" + path + "\"\n");
    ASSERT_TRUE(result) << complaints(result);
    EXPECT_EQ(result->config.admin.token.reveal(), "t0ken");
    EXPECT_NE(complaints(result).find("t.toml:11:14: warning[C042]: admin.token_file: every user "
                                      "of this machine can read the file\n"),
              std::string::npos)
        << complaints(result);
}

TEST(Load, CredentialsInClearTextAreAWarning) {
    const TempDirectory directory;
    const std::string path = directory.write("key", "abc");
    const auto with_url = [&](const std::string& url) {
        return complaints(load_text(kMinimal + "[[providers]]\nname = \"b\"\nkind = \"http\"\n" +
                                    "base_url = \"" + url + "\"\ncredentials_file = \"" + path +
                                    "\"\n"));
    };
    EXPECT_NE(with_url("http://esp.example/send").find("warning[C026]"), std::string::npos);
    EXPECT_EQ(with_url("http://127.0.0.1:8025/send"), "");
    EXPECT_EQ(with_url("http://[::1]:8025"), "");
    EXPECT_EQ(with_url("http://localhost"), "");
    EXPECT_EQ(with_url("https://esp.example/send"), "");
}

TEST(Load, RelativePathsStartAtTheConfigurationFile) {
    const TempDirectory directory;
    static_cast<void>(directory.write("key", "abc"));
    const std::string path = directory.write(
        "postlane.toml", kMinimal + "[kafka.librdkafka_files]\n\"sasl.password\" = \"key\"\n");
    const LoadResult result = load_file(path, {}, {});
    ASSERT_TRUE(result) << complaints(result);
    EXPECT_EQ(result->config.kafka.librdkafka.at("sasl.password"), "abc");
    EXPECT_TRUE(result->config.kafka.librdkafka_secrets.contains("sasl.password"));
}

struct BadFile {
    std::string name;
    std::string content;
    std::string says;
};
void PrintTo(const BadFile& row, std::ostream* out) {
    *out << row.name;
}
class BadFiles : public testing::TestWithParam<BadFile> {};

TEST_P(BadFiles, AreErrors) {
    const TempDirectory directory;
    std::string path = directory.path() + "/none";
    if (GetParam().name == "Directory") {
        path = directory.path();
    } else if (GetParam().name != "Missing") {
        path = directory.write("key", GetParam().content);
    }
    const std::string text = kMinimal + "[admin]\ntoken_file = \"" + path + "\"\n";
    const std::string report = complaints(load_text(text));
    EXPECT_NE(report.find("t.toml:10:14: error[" + GetParam().says + "\n"), std::string::npos)
        << report;
    const LoadResult unread = load_text(text, {}, {}, {.read_files = false});
    EXPECT_EQ(complaints(unread), "") << "--no-environment judges the text alone";
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadFiles,
    testing::Values(
        BadFile{"Missing", "",
                "C040]: admin.token_file: the file cannot be read: No such file or directory"},
        BadFile{"Directory", "",
                "C040]: admin.token_file: the file cannot be read: it is no "
                "regular file"},
        BadFile{"Empty", " \n", "C041]: admin.token_file: the file is empty"},
        BadFile{"TwoLines", "a\nb\n",
                "C017]: admin.token_file: the file holds more than one word"}),
    [](const auto& row) { return row.param.name; });

TEST(Load, MissingConfigurationNamesTheFile) {
    const LoadResult result = load_file("/nowhere/postlane.toml", {}, {});
    EXPECT_EQ(complaints(result),
              "/nowhere/postlane.toml: error[C001]: cannot read the configuration: No such file or "
              "directory\n"
              "      | hint: `postlane config default` prints a complete one\n"
              "1 error, 0 warnings (exit 78)\n");
    EXPECT_FALSE(load_file("/", {}, {}));
}

}  // namespace
}  // namespace postlane::config
