// Variables and flags: what they may replace, how they are typed, which of them wins.
#include "config/overrides.h"

#include "support.h"

namespace postlane::config {
namespace {

TEST(Overrides, FlagBeatsVariableBeatsFileBeatsDefault) {
    const std::string file = kMinimal + "[kafka]\ngroup_id = \"file\"\n";
    const Environment environment{{"POSTLANE__KAFKA__GROUP_ID", "variable"}};
    const std::vector<FlagOverride> flags{{"kafka.group_id", "flag", "--group-id"}};
    EXPECT_EQ(load_text(kMinimal)->config.kafka.group_id, "postlane");
    EXPECT_EQ(load_text(file)->config.kafka.group_id, "file");
    EXPECT_EQ(load_text(file, environment)->config.kafka.group_id, "variable");
    EXPECT_EQ(load_text(file, environment, flags)->config.kafka.group_id, "flag");
    EXPECT_EQ(load_text(file, {}, flags)->config.kafka.group_id, "flag");
}

TEST(Overrides, EveryTypeCanBeGiven) {
    const LoadResult result =
        load_text(kMinimal, {
                                {"POSTLANE__KAFKA__BOOTSTRAP_SERVERS", R"(["a:1", "b:2"])"},
                                {"POSTLANE__KAFKA__PARTITIONER", "crc32"},
                                {"POSTLANE__KAFKA__REQUIRE_DURABLE_TOPICS", "false"},
                                {"POSTLANE__KAFKA__LIBRDKAFKA__SECURITY_PROTOCOL", "SSL"},
                                {"POSTLANE__DISPATCH__MAX_IN_FLIGHT", "512"},
                                {"POSTLANE__PROVIDERS__MAIN__RATE_PER_SECOND", "2.5"},
                                {"POSTLANE__PROVIDERS__MAIN__RETRY_STATUSES", "[420]"},
                                {"POSTLANE__ROUTES__DEFAULT__FROM", R"({email = "a@b.example"})"},
                                {"POSTLANE_ENDPOINT", "not ours"},
                                {"PATH", "/bin"},
                            });
    ASSERT_TRUE(result) << complaints(result);
    const Config& config = result->config;
    EXPECT_EQ(config.kafka.bootstrap_servers, (std::vector<std::string>{"a:1", "b:2"}));
    EXPECT_EQ(config.kafka.partitioner, Partitioner::Crc32);
    EXPECT_FALSE(config.kafka.require_durable_topics);
    EXPECT_EQ(config.kafka.librdkafka.at("security.protocol"), "SSL");
    EXPECT_EQ(config.dispatch.max_in_flight, 512U);
    EXPECT_EQ(config.providers[0].rate_per_second, 2.5);
    EXPECT_EQ(config.providers[0].retry_statuses, std::vector<int>{420});
    EXPECT_EQ(config.routes[0].from->email, "a@b.example");
}

TEST(Overrides, AVariableMendsWhatTheFileLeavesOut) {
    const std::string text =
        "schema_version = 1\n[[providers]]\nname = \"ses-eu.1\"\nkind = \"http\"\n"
        "[[routes]]\nname = \"default\"\nproviders = [\"ses-eu.1\"]\n";
    EXPECT_FALSE(load_text(text));
    const LoadResult result =
        load_text(text, {{"POSTLANE__PROVIDERS__SES_EU_1__BASE_URL", "https://esp.example"}});
    ASSERT_TRUE(result) << complaints(result);
    EXPECT_EQ(result->config.providers[0].base_url, "https://esp.example");
}

struct BadOverride {
    std::string name;
    std::string variable;
    std::string value;
    std::string says;
    std::string hint;
};
void PrintTo(const BadOverride& row, std::ostream* out) {
    *out << row.name;
}
class BadOverrides : public testing::TestWithParam<BadOverride> {};

TEST_P(BadOverrides, AreErrorsThatNameTheVariable) {
    const BadOverride& row = GetParam();
    const LoadResult result = load_text(kMinimal, {{row.variable, row.value}});
    ASSERT_FALSE(result);
    EXPECT_EQ(complaints(result), row.variable + ": error[" + row.says + "\n      | hint: " +
                                      row.hint + "\n1 error, 0 warnings (exit 78)\n");
}

constexpr std::string_view kNaming =
    "the name is POSTLANE__SECTION__KEY or, for a provider or route of the file, "
    "POSTLANE__PROVIDERS__NAME__KEY; `postlane config default` lists all";

INSTANTIATE_TEST_SUITE_P(
    Table, BadOverrides,
    testing::Values(
        BadOverride{"Misspelt", "POSTLANE__KAFKA__GROUPID", "x",
                    "C050]: no setting belongs to this variable",
                    "did you mean POSTLANE__KAFKA__GROUP_ID?"},
        BadOverride{"SingleUnderscore", "POSTLANE__KAFKA_GROUP_ID", "x",
                    "C050]: no setting belongs to this variable",
                    "did you mean POSTLANE__KAFKA__GROUP_ID?"},
        BadOverride{"Nonsense", "POSTLANE__WHATEVER", "x",
                    "C050]: no setting belongs to this variable", std::string(kNaming)},
        BadOverride{"ProviderThatIsNotThere", "POSTLANE__PROVIDERS__TRANSACTIONAL__TIMEOUT_MS",
                    "5000", "C050]: no setting belongs to this variable", std::string(kNaming)},
        BadOverride{"NameOfAProvider", "POSTLANE__PROVIDERS__MAIN__NAME", "x",
                    "C050]: no setting belongs to this variable",
                    "did you mean POSTLANE__PROVIDERS__MAIN__KIND?"},
        BadOverride{"TextForInteger", "POSTLANE__DISPATCH__MAX_IN_FLIGHT", "many",
                    "C014]: dispatch.max_in_flight: expected integer, got \"many\"",
                    "range 1..65536"},
        BadOverride{"QuotedInteger", "POSTLANE__DISPATCH__MAX_IN_FLIGHT", "\"512\"",
                    "C014]: dispatch.max_in_flight: expected integer, got string \"512\"",
                    "remove the quotes; range 1..65536"},
        BadOverride{"OutOfRange", "POSTLANE__DISPATCH__MAX_IN_FLIGHT", "0",
                    "C015]: dispatch.max_in_flight: 0 is out of range", "range 1..65536"},
        BadOverride{"SecondLine", "POSTLANE__DISPATCH__MAX_IN_FLIGHT", "5\nw = 6",
                    "C014]: dispatch.max_in_flight: expected integer, got \"5\\u000aw = 6\"",
                    "range 1..65536"},
        BadOverride{"BareList", "POSTLANE__KAFKA__BOOTSTRAP_SERVERS", "a:1,b:2",
                    "C014]: kafka.bootstrap_servers: expected a list of strings, got \"a:1,b:2\"",
                    "the value is read as TOML, e.g. [\"one\", \"two\"]"},
        BadOverride{"UnknownWord", "POSTLANE__KAFKA__PARTITIONER", "murmur",
                    "C016]: kafka.partitioner: expected murmur2 or crc32, got \"murmur\"",
                    "did you mean \"murmur2\"?"},
        BadOverride{"OwnedProperty", "POSTLANE__KAFKA__LIBRDKAFKA__GROUP_ID", "x",
                    "C030]: kafka.librdkafka.group.id: is set by postlane: it is a setting of its "
                    "own",
                    "use kafka.group_id"}),
    [](const auto& row) { return row.param.name; });

TEST(Overrides, UnknownFlagIsAnError) {
    const LoadResult result = load_text(kMinimal, {}, {{"kafka.groupid", "x", "--set"}});
    EXPECT_EQ(complaints(result),
              "--set: error[C050]: there is no setting \"kafka.groupid\"\n"
              "      | hint: did you mean kafka.group_id?\n"
              "1 error, 0 warnings (exit 78)\n");
}

TEST(Overrides, AVariableForTwoProvidersIsAnError) {
    const LoadResult result =
        load_text(kMinimal +
                      "[[providers]]\nname = \"a-b\"\nkind = \"http\"\nbase_url = \"https://a\"\n"
                      "[[providers]]\nname = \"a.b\"\nkind = \"http\"\nbase_url = \"https://b\"\n",
                  {{"POSTLANE__PROVIDERS__A_B__TIMEOUT_MS", "5000"}});
    EXPECT_NE(complaints(result).find("the variable could mean providers.a-b.timeout_ms or "
                                      "providers.a.b.timeout_ms"),
              std::string::npos)
        << complaints(result);
}

TEST(Overrides, VariableNames) {
    EXPECT_EQ(variable_name("schema_version"), "POSTLANE__SCHEMA_VERSION");
    EXPECT_EQ(variable_name("kafka.group_id"), "POSTLANE__KAFKA__GROUP_ID");
    EXPECT_EQ(variable_name("providers.ses-eu.1.timeout_ms"),
              "POSTLANE__PROVIDERS__SES_EU_1__TIMEOUT_MS");
}

}  // namespace
}  // namespace postlane::config
