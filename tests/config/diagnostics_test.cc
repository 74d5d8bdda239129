// Every mistake a person can make, with the place, the words and the advice they get.
#include "config/diagnostic.h"

#include <ostream>

#include "config/draft.h"
#include "support.h"

namespace postlane::config {
namespace {

// `text` follows kMinimal, so its first line is line 9, unless it begins with "schema_version" or
// `whole` is set.
struct Mistake {
    std::string name;
    std::string text;
    std::string line;  // of the diagnostic, complete
    std::string hint;  // empty: there is none
    bool whole = false;
};
void PrintTo(const Mistake& row, std::ostream* out) {
    *out << row.name;
}

class Mistakes : public testing::TestWithParam<Mistake> {};

TEST_P(Mistakes, AreReportedWithPlaceAndHint) {
    const Mistake& row = GetParam();
    const LoadResult result = load_text(row.whole ? row.text : kMinimal + row.text);
    const std::string text = complaints(result);
    EXPECT_EQ(!result, row.line.find(": error[") != std::string::npos) << text;
    EXPECT_NE(text.find(row.line + "\n"), std::string::npos) << text;
    if (row.hint.empty()) {
        EXPECT_EQ(text.find("hint:"), std::string::npos) << text;
    } else {
        EXPECT_NE(text.find("hint: " + row.hint + "\n"), std::string::npos) << text;
    }
    const Diagnostics& all = result ? result->warnings : result.error();
    EXPECT_EQ(all.size(), 1U) << "one mistake, one diagnostic\n" << text;
}

std::string row_name(const testing::TestParamInfo<Mistake>& row) {
    return row.param.name;
}

INSTANTIATE_TEST_SUITE_P(
    Syntax, Mistakes,
    testing::Values(
        Mistake{"UnitBehindNumber", "[dispatch]\ndrain_timeout_ms = 10s\n",
                "t.toml:10:22: error[C002]: decimal integer: expected digit, saw 's'",
                "look for a quote, a bracket or a comma that is missing before here"},
        Mistake{"KeyTwice", "[kafka]\ngroup_id = \"a\"\ngroup_id = \"b\"\n",
                "t.toml:11:12: error[C002]: key-value pair: cannot redefine existing string "
                "'group_id'",
                "it was given before; keep one"},
        Mistake{"PropertiesThatCollide",
                "[kafka.librdkafka]\napi.version.request = true\n"
                "api.version.request.timeout.ms = 3\n",
                "t.toml:11:13: error[C002]: key-value pair: cannot redefine existing boolean as "
                "dotted key-value pair",
                "names of librdkafka's properties need quotes: \"api.version.request\" = …"}),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Keys, Mistakes,
    testing::Values(
        Mistake{"NoVersion", kMinimal.substr(kMinimal.find('\n') + 1),
                "t.toml:1:1: error[C013]: schema_version: is missing", "add schema_version = 1",
                true},
        Mistake{"OtherVersion", "schema_version = 2" + kMinimal.substr(kMinimal.find('\n')),
                "t.toml:1:18: error[C010]: schema_version: this release reads version 1, not 2",
                "use a file for this release: `postlane config default`", true},
        Mistake{"UnknownSection", "[kafak]\ngroup_id = \"a\"\n",
                "t.toml:9:2: error[C011]: kafak: unknown section or key", "did you mean kafka?"},
        Mistake{"MisspeltKey", "[dispatch]\nmax_inflight = 5\n",
                "t.toml:10:1: error[C011]: dispatch.max_inflight: unknown key",
                "did you mean max_in_flight?"},
        Mistake{"KeyWithoutUnit", "[suppression]\nmax_staleness = 500\n",
                "t.toml:10:1: error[C011]: suppression.max_staleness: unknown key",
                "did you mean max_staleness_ms?"},
        Mistake{"KeyOfAnotherSection", "[ledger]\nmax_payload_bytes = 5000\n",
                "t.toml:10:1: error[C011]: ledger.max_payload_bytes: unknown key",
                "max_payload_bytes belongs into [dispatch]"},
        Mistake{"KeyFromNowhere", "[ledger]\nfoo = 5000\n",
                "t.toml:10:1: error[C011]: ledger.foo: unknown key",
                "known here: directory, retention_days"},
        Mistake{"ValueForSection", "kafka = 3\n" + kMinimal,
                "t.toml:1:9: error[C012]: kafka: expected a table", "begin it with [kafka]", true},
        Mistake{"TableForProviders",
                "schema_version = 1\n[providers]\nname = \"main\"\n" +
                    kMinimal.substr(kMinimal.find("[[routes]]")),
                "t.toml:2:1: error[C012]: providers: expected an array of tables",
                "begin each of them with [[providers]]", true},
        Mistake{"ProviderWithoutName",
                "[[providers]]\nkind = \"http\"\nbase_url = \"https://esp.example\"\n",
                "t.toml:9:1: error[C013]: providers[1].name: is missing", "add name = \"main\""},
        Mistake{"RouteWithoutProviders", "[[routes]]\nname = \"bulk\"\n",
                "t.toml:9:1: error[C013]: routes.bulk.providers: is missing",
                "add providers = [\"main\", \"second\"]"}),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Values, Mistakes,
    testing::Values(
        Mistake{"NumberInQuotes", "[dispatch]\nmax_in_flight = \"512\"\n",
                "t.toml:10:17: error[C014]: dispatch.max_in_flight: expected integer, got string "
                "\"512\"",
                "remove the quotes; range 1..65536"},
        Mistake{"DurationInQuotes", "[dispatch]\ndrain_timeout_ms = \"10s\"\n",
                "t.toml:10:20: error[C014]: dispatch.drain_timeout_ms: expected integer, got "
                "string \"10s\"",
                "write a number of milliseconds without unit and quotes; range 100..600000"},
        Mistake{"NumberForText", "[kafka]\ngroup_id = 5\n",
                "t.toml:10:12: error[C014]: kafka.group_id: expected string, got integer",
                "put it into quotes"},
        Mistake{"TextForBoolean", "[kafka]\nrequire_durable_topics = \"true\"\n",
                "t.toml:10:26: error[C014]: kafka.require_durable_topics: expected boolean, got "
                "string \"true\"",
                "remove the quotes"},
        Mistake{"NumberForBoolean", "[kafka]\nrequire_durable_topics = 1\n",
                "t.toml:10:26: error[C014]: kafka.require_durable_topics: expected boolean, got "
                "integer",
                "write true or false"},
        Mistake{"TextForList", "[kafka]\nbootstrap_servers = \"kafka:9092\"\n",
                "t.toml:10:21: error[C014]: kafka.bootstrap_servers: expected a list of strings, "
                "got string \"kafka:9092\"",
                "put it into brackets: [\"kafka:9092\"]"},
        Mistake{"FractionForInteger", "[dispatch]\nmax_attempts = 2.5\n",
                "t.toml:10:16: error[C014]: dispatch.max_attempts: expected integer, got number",
                "range 1..1000"},
        Mistake{"TooFresh", "[suppression]\nmax_staleness_ms = 49\n",
                "t.toml:10:20: error[C015]: suppression.max_staleness_ms: 49 is out of range",
                "range 50..60000"},
        Mistake{"Negative", "[ordering]\nmin_spacing_ms = -1\n",
                "t.toml:10:18: error[C015]: ordering.min_spacing_ms: -1 is out of range",
                "range 0..2592000000"},
        Mistake{"DurationOfZero", "[ordering]\nmax_wait_ms = 0\n",
                "t.toml:10:15: error[C015]: ordering.max_wait_ms: 0 is out of range",
                "range 1..7776000000"},
        Mistake{"EmptyList", "[kafka]\nbootstrap_servers = []\n",
                "t.toml:10:21: error[C015]: kafka.bootstrap_servers: the list is empty",
                "give at least one"},
        Mistake{"UnknownWord", "[ordering]\non_gap = \"dead-letter\"\n",
                "t.toml:10:10: error[C016]: ordering.on_gap: expected dead_letter, skip or wait, "
                "got \"dead-letter\"",
                "did you mean \"dead_letter\"?"},
        Mistake{"WordFarFromAll", "[ordering]\nfirst_step = \"whatever\"\n",
                "t.toml:10:14: error[C016]: ordering.first_step: expected one or adopt, got "
                "\"whatever\"",
                "for example first_step = \"one\""},
        Mistake{"TopicWithBlank", "[topics]\nsends = \"my topic\"\n",
                "t.toml:10:9: error[C017]: topics.sends: expected a topic name: 1 to 249 letters, "
                "digits, '.', '_' or '-', got \"my topic\"",
                "for example sends = \"postlane.sends\""},
        Mistake{"ServerWithoutPort", "[kafka]\nbootstrap_servers = [\"a:1\", \"kafka\"]\n",
                "t.toml:10:29: error[C017]: kafka.bootstrap_servers: expected host:port with a "
                "port from 1 to 65535, got \"kafka\"",
                "for example bootstrap_servers = [\"kafka-0.example:9093\", "
                "\"kafka-1.example:9093\", \"kafka-2.example:9093\"]"},
        Mistake{"PortTooHigh", "[telemetry]\nlisten = \"0.0.0.0:65536\"\n",
                "t.toml:10:10: error[C017]: telemetry.listen: expected address:port, the address "
                "an IP address ([…] around IPv6) or localhost, the port from 1 to 65535, got "
                "\"0.0.0.0:65536\"",
                "for example listen = \"0.0.0.0:9464\""},
        Mistake{"BlankGroup", "[kafka]\ngroup_id = \" \"\n",
                "t.toml:10:12: error[C017]: kafka.group_id: expected a text that is not blank and "
                "has no control characters, got \" \"",
                "for example group_id = \"postlane\""},
        Mistake{"CategoryTwice",
                "[suppression]\ntransactional_categories = [\"a\", \"b\", \" A\"]\n",
                "t.toml:10:39: error[C018]: suppression.transactional_categories: a appears twice",
                "remove one"}),
    row_name);

const std::string kSecond =
    "[[providers]]\nname = \"two\"\nkind = \"http\"\nbase_url = \"https://two.example\"\n";

INSTANTIATE_TEST_SUITE_P(
    ProvidersAndRoutes, Mistakes,
    testing::Values(
        Mistake{"UnsupportedKind", "[[providers]]\nname = \"two\"\nkind = \"ses\"\n",
                "t.toml:11:8: error[C020]: providers.two.kind: kind = \"ses\" is not supported by "
                "this release; use http, sendgrid or resend",
                "any other service can be reached through a small HTTP endpoint of your own: kind "
                "= \"http\""},
        Mistake{"UnknownKind", "[[providers]]\nname = \"two\"\nkind = \"sendgird\"\n",
                "t.toml:11:8: error[C016]: providers.two.kind: expected http, sendgrid or resend, "
                "got \"sendgird\"",
                "did you mean \"sendgrid\"?"},
        Mistake{"HttpWithoutUrl", "[[providers]]\nname = \"two\"\nkind = \"http\"\n",
                "t.toml:9:1: error[C013]: providers.two.base_url: is missing",
                "kind = \"http\" needs the URL to post to"},
        Mistake{"ResendWithoutKey", "[[providers]]\nname = \"two\"\nkind = \"resend\"\n",
                "t.toml:9:1: error[C013]: providers.two.credentials_file: is missing",
                "kind = \"resend\" needs the path of a file with the API key"},
        Mistake{"KeyOfAnotherKind", kSecond + "region = \"eu-west-1\"\n",
                "t.toml:13:10: error[C021]: providers.two.region: does not apply to kind = "
                "\"http\"",
                "remove it; it belongs to kind = \"ses\""},
        Mistake{"UrlWithoutScheme",
                "[[providers]]\nname = \"two\"\nkind = \"http\"\nbase_url = \"two.example\"\n",
                "t.toml:12:12: error[C017]: providers.two.base_url: expected an http:// or "
                "https:// URL without user, password and fragment, got \"two.example\"",
                "credentials belong into credentials_file"},
        Mistake{"RateOfZero", kSecond + "rate_per_second = 0.0\n",
                "t.toml:13:19: error[C015]: providers.two.rate_per_second: 0 is out of range",
                "above 0, at most 100000"},
        Mistake{"StatusInBothLists",
                kSecond + "ambiguous_statuses = [500, 503]\nretry_statuses = [429, 503]\n",
                "t.toml:14:18: error[C023]: providers.two.retry_statuses: 503 is in "
                "ambiguous_statuses as well",
                "a message was either certainly not executed or nobody knows"},
        Mistake{"SameNameTwice",
                "[[providers]]\nname = \"MAIN\"\nkind = \"http\"\nbase_url = \"https://b\"\n",
                "t.toml:10:8: error[C018]: providers[1].name: number 2 of [[providers]] has the "
                "name of number 1",
                "give every table a name of its own"},
        Mistake{"MisspeltProvider", "[[routes]]\nname = \"bulk\"\nproviders = [\"mian\"]\n",
                "t.toml:11:13: error[C019]: routes.bulk.providers: there is no provider \"mian\"",
                "did you mean \"main\"?"},
        Mistake{"UnknownProvider",
                kSecond + "[[routes]]\nname = \"bulk\"\nproviders = [\"postmark-eu\"]\n",
                "t.toml:15:13: error[C019]: routes.bulk.providers: there is no provider "
                "\"postmark-eu\"",
                "the providers are main, two"},
        Mistake{"SenderWithoutAddress",
                "[[routes]]\nname = \"bulk\"\nproviders = [\"main\"]\nfrom = {name = \"Shop\"}\n",
                "t.toml:12:8: error[C013]: routes.bulk.from: the mailbox has no email",
                "for example {email = \"hi@shop.example\", name = \"Shop\"}"},
        Mistake{"SenderIsNoAddress",
                "[[routes]]\nname = \"bulk\"\nproviders = [\"main\"]\n"
                "from = {email = \"Shop <hi@shop.example>\"}\n",
                "t.toml:12:17: error[C017]: routes.bulk.from: expected an address like "
                "hi@shop.example",
                "the display name goes into name"},
        Mistake{"NoRoute", kMinimal.substr(0, kMinimal.find("[[routes]]")),
                "t.toml:6:1: error[C022]: routes: there is no route",
                "add a [[routes]] table: name = \"default\", providers = [\"…\"]", true},
        Mistake{"NoDefaultRoute",
                kMinimal.substr(0, kMinimal.find("[[routes]]")) +
                    "[[routes]]\nname = \"bulk\"\nproviders = [\"main\"]\n",
                "t.toml:9:1: warning[C024]: routes: no route is called \"default\"",
                "events that name no route become dead letters with reason unknown_route", true}),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Together, Mistakes,
    testing::Values(
        Mistake{
            "DrainLongerThanSession", "[dispatch]\ndrain_timeout_ms = 45000\n",
            "t.toml:10:20: warning[C023]: dispatch.drain_timeout_ms: the drain time-out (45000 "
            "ms) should be below the session time-out (45000 ms)",
            "else a process that dies while it drains keeps its partitions waiting longer; lower "
            "dispatch.drain_timeout_ms or raise kafka.session_timeout_ms"},
        Mistake{
            "SessionShorterThanDrain", "[kafka]\nsession_timeout_ms = 15000\n",
            "t.toml:10:22: warning[C023]: kafka.session_timeout_ms: the drain time-out (20000 "
            "ms) should be below the session time-out (15000 ms)",
            "else a process that dies while it drains keeps its partitions waiting longer; lower "
            "dispatch.drain_timeout_ms or raise kafka.session_timeout_ms"},
        Mistake{
            "PropertyShortensSession", "[kafka.librdkafka]\n\"session.timeout.ms\" = \"10000\"\n",
            "t.toml:10:1: warning[C023]: kafka.librdkafka.session.timeout.ms: the drain "
            "time-out (20000 ms) should be below the session time-out (10000 ms)",
            "else a process that dies while it drains keeps its partitions waiting longer; lower "
            "dispatch.drain_timeout_ms or raise kafka.session_timeout_ms"},
        Mistake{"SessionGivenTwice",
                "[kafka]\nsession_timeout_ms = 30000\n[kafka.librdkafka]\n"
                "\"session.timeout.ms\" = \"60000\"\n",
                "t.toml:10:22: warning[C023]: kafka.session_timeout_ms: has no effect: "
                "\"session.timeout.ms\" is 60000",
                "give only one of the two"},
        Mistake{"SessionLongerThanPoll", "[kafka]\nsession_timeout_ms = 300001\n",
                "t.toml:10:22: error[C023]: kafka.session_timeout_ms: the session time-out (300001 "
                "ms) must not exceed \"max.poll.interval.ms\" (300000 ms)",
                "raise \"max.poll.interval.ms\" in [kafka.librdkafka] or lower the time-out"},
        Mistake{"HeartbeatTooSlow", "[kafka.librdkafka]\n\"heartbeat.interval.ms\" = \"45000\"\n",
                "t.toml:10:1: error[C023]: kafka.librdkafka.heartbeat.interval.ms: must be below "
                "the session time-out (45000 ms)",
                "a third of it is usual"},
        Mistake{"PayloadTooLong", "[dispatch]\nmax_payload_bytes = 950000\n",
                "t.toml:10:21: error[C023]: dispatch.max_payload_bytes: a payload of 950000 bytes "
                "with its envelope does not fit into \"message.max.bytes\" (1000000)",
                "at most 934464 bytes fit; or raise \"message.max.bytes\" in [kafka.librdkafka] "
                "and max.message.bytes of the topics"},
        Mistake{"LivesLongerThanLedger", "[ledger]\nretention_days = 5\n",
                "t.toml:10:18: warning[C023]: ledger.retention_days: ordering.max_halt_ms "
                "(604800000 ms) is longer than the ledger remembers (5 days)",
                "raise ledger.retention_days, else a replayed input may count as too old"},
        Mistake{"RequestOutlivesDrain", "[dispatch]\ndrain_timeout_ms = 10000\n",
                "t.toml:10:20: warning[C023]: dispatch.drain_timeout_ms: a request to "
                "providers.main may take 10000 ms, longer than a drain waits (10000 ms)",
                "messages whose requests are cut off are in doubt after a restart"},
        Mistake{"TopicsShareName", "[topics]\noutcomes = \"postlane.sends\"\n",
                "t.toml:10:12: error[C018]: topics.outcomes: topics.sends and topics.outcomes are "
                "both \"postlane.sends\"",
                "every topic needs a name of its own"},
        Mistake{"OneAddressForBoth", "[telemetry]\nlisten = \"127.0.0.1:8081\"\n",
                "t.toml:10:10: error[C023]: telemetry.listen: telemetry.listen and admin.listen "
                "are the same address",
                "they are two listeners: give one another port"},
        Mistake{"AdminForEverybody", "[admin]\nlisten = \"0.0.0.0:8081\"\n",
                "t.toml:10:10: error[C025]: admin.listen: others can reach the admin API and it "
                "asks for no token",
                "set admin.token_file, or listen on 127.0.0.1"}),
    row_name);

INSTANTIATE_TEST_SUITE_P(
    Librdkafka, Mistakes,
    testing::Values(
        Mistake{"OwnSetting", "[kafka.librdkafka]\n\"group.id\" = \"x\"\n",
                "t.toml:10:1: error[C030]: kafka.librdkafka.group.id: is set by postlane: it is a "
                "setting of its own",
                "use kafka.group_id"},
        Mistake{"AutoCommit", "[kafka.librdkafka]\n\"enable.auto.commit\" = \"true\"\n",
                "t.toml:10:1: error[C030]: kafka.librdkafka.enable.auto.commit: is set by "
                "postlane: the ledger holds the offsets, not the group",
                "remove the line"},
        Mistake{"Isolation", "[kafka.librdkafka]\n\"isolation.level\" = \"read_committed\"\n",
                "t.toml:10:1: error[C030]: kafka.librdkafka.isolation.level: is set by postlane: "
                "its consumers need different values",
                "remove the line"},
        Mistake{"NumberForAFile", "[kafka.librdkafka_files]\n\"sasl.password\" = 5\n",
                "t.toml:10:19: error[C014]: kafka.librdkafka_files.sasl.password: expected string",
                "give the path of the file in quotes"},
        Mistake{"OwnSettingAsFile", "[kafka.librdkafka_files]\n\"transactional.id\" = \"/x\"\n",
                "t.toml:10:1: error[C030]: kafka.librdkafka_files.transactional.id: is set by "
                "postlane: it fences an owner of a partition that lost it",
                "it follows from topics.ledger and the partition"},
        Mistake{"Callback", "[kafka.librdkafka]\n\"dr_msg_cb\" = \"x\"\n",
                "t.toml:10:1: error[C030]: kafka.librdkafka.dr_msg_cb: is set by postlane: it "
                "takes a pointer, which no file can give",
                "remove the line"},
        Mistake{"Cooperative",
                "[kafka.librdkafka]\n\"partition.assignment.strategy\" = "
                "\"cooperative-sticky\"\n",
                "t.toml:10:1: error[C030]: kafka.librdkafka.partition.assignment.strategy: "
                "cooperative assignment is not supported by this release",
                "use \"range\" (the default) or \"roundrobin\""},
        Mistake{"WithoutQuotes", "[kafka.librdkafka]\nsecurity.protocol = \"SSL\"\n",
                "t.toml:10:1: error[C031]: kafka.librdkafka.security.protocol: names of "
                "librdkafka's properties need quotes, because TOML takes a dot for the border of a "
                "table",
                "write \"security.protocol\" = …"},
        Mistake{"FractionForText", "[kafka.librdkafka]\n\"linger.ms\" = 0.5\n",
                "t.toml:10:15: error[C014]: kafka.librdkafka.linger.ms: expected string, integer "
                "or boolean",
                "librdkafka takes texts: put the value into quotes"},
        Mistake{"NoNumber", "[kafka.librdkafka]\n\"message.max.bytes\" = \"1MB\"\n",
                "t.toml:10:1: error[C015]: kafka.librdkafka.message.max.bytes: expected a whole "
                "number above 0",
                ""}),
    row_name);

TEST(Format, ShowsTheLineWithACaret) {
    const LoadResult result = load_text(kMinimal + "[dispatch]\nmax_in_flight = \"512\"\n");
    EXPECT_EQ(complaints(result),
              "t.toml:10:17: error[C014]: dispatch.max_in_flight: expected integer, got string "
              "\"512\"\n"
              "   10 | max_in_flight = \"512\"\n"
              "      |                 ^^^^^ hint: remove the quotes; range 1..65536\n"
              "1 error, 0 warnings (exit 78)\n");
}

TEST(Format, TabsAndWideCharactersDoNotMoveTheCaret) {
    const LoadResult result = load_text(kMinimal + "[kafka]\n\tgroup_id =\t[\"é\"] # ü\n");
    EXPECT_EQ(complaints(result),
              "t.toml:10:13: error[C014]: kafka.group_id: expected string, got array\n"
              "   10 |  group_id = [\"é\"] # ü\n"
              "      |             ^^^^^ hint: put it into quotes\n"
              "1 error, 0 warnings (exit 78)\n");
}

TEST(Format, ReportsEverythingInTheOrderOfTheFile) {
    const LoadResult result = load_text(
        "schema_version = 1\n"
        "[dispatch]\nmax_attempts = 0\nfoo = 1\n"
        "[kafka]\npartitioner = \"x\"\n");
    EXPECT_EQ(complaints(result),
              "t.toml:3:16: error[C015]: dispatch.max_attempts: 0 is out of range\n"
              "    3 | max_attempts = 0\n"
              "      |                ^ hint: range 1..1000\n"
              "t.toml:4:1: error[C011]: dispatch.foo: unknown key\n"
              "    4 | foo = [redacted]\n"
              "      | ^^^ hint: known here: io_threads, max_in_flight, intent_deadline_ms, "
              "default_ttl_ms, max_attempts, max_payload_bytes, drain_timeout_ms\n"
              "t.toml:6:15: error[C016]: kafka.partitioner: expected murmur2 or crc32, got \"x\"\n"
              "    6 | partitioner = \"x\"\n"
              "      |               ^^^ hint: for example partitioner = \"murmur2\"\n"
              "t.toml:7:1: error[C022]: providers: there is no provider\n"
              "      | hint: add a [[providers]] table with name and kind\n"
              "t.toml:7:1: error[C022]: routes: there is no route\n"
              "      | hint: add a [[routes]] table: name = \"default\", providers = [\"…\"]\n"
              "5 errors, 0 warnings (exit 78)\n");
}

TEST(Format, JsonCarriesTheSame) {
    const LoadResult result = load_text(kMinimal + "[dispatch]\nmax_in_flight = \"512\"\n");
    ASSERT_FALSE(result);
    EXPECT_EQ(format_json(result.error()),
              R"({"diagnostics": [{"severity": "error", "code": "C014", "file": "t.toml", )"
              R"("line": 10, "column": 17, "key": "dispatch.max_in_flight", )"
              R"("message": "expected integer, got string \"512\"", )"
              R"("hint": "remove the quotes; range 1..65536"}], "errors": 1, "warnings": 0})"
              "\n");
}

TEST(Format, EveryCodeHasAMeaning) {
    std::string previous;
    for (const CodeInfo& info : all_codes()) {
        EXPECT_LT(previous, code_name(info.code));
        EXPECT_TRUE(info.meaning.ends_with('.')) << code_name(info.code);
        previous = code_name(info.code);
    }
}

}  // namespace
}  // namespace postlane::config
