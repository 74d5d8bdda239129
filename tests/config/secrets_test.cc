// A credential, wherever a person put it, appears in nothing that is printed.
#include <ostream>
#include <sstream>

#include "config/draft.h"
#include "config/reference.h"
#include "config/text.h"
#include "support.h"

namespace postlane::config {
namespace {

constexpr std::string_view kCanary = "SG.cAnArY_bird-4711";

// Everything the configuration can print about a text.
std::string everything_printed(const LoadResult& result) {
    const Diagnostics& all = result ? result->warnings : result.error();
    std::string out = format(all, 78) + format_json(all);
    if (result) {
        out += show(*result, false) + show(*result, true);
        std::ostringstream stream;
        for (const Provider& provider : result->config.providers) {
            stream << provider.credentials << testing::PrintToString(provider.credentials);
        }
        stream << result->config.admin.token << testing::PrintToString(result->config.admin.token);
        out += stream.str();
    }
    return out;
}

struct Leak {
    std::string name;
    std::string text;  // after kMinimal; CANARY stands for the credential
    std::string variable{};
    std::string value{};
};
void PrintTo(const Leak& row, std::ostream* out) {
    *out << row.name;
}
class Leaks : public testing::TestWithParam<Leak> {};

std::string with_canary(std::string text) {
    const std::string word = "CANARY";
    for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word)) {
        text.replace(at, word.size(), kCanary);
    }
    return text;
}

TEST_P(Leaks, AreStopped) {
    Environment environment;
    if (!GetParam().variable.empty()) {
        environment[GetParam().variable] = with_canary(GetParam().value);
    }
    for (const bool read_files : {true, false}) {
        const LoadResult result = load_text(kMinimal + with_canary(GetParam().text), environment,
                                            {}, {.read_files = read_files});
        const std::string printed = everything_printed(result);
        EXPECT_EQ(printed.find(kCanary), std::string::npos) << printed;
        EXPECT_EQ(printed.find("cAnArY"), std::string::npos) << printed;
    }
}

INSTANTIATE_TEST_SUITE_P(
    Table, Leaks,
    testing::Values(
        Leak{"Password", "[kafka.librdkafka]\n\"sasl.password\" = \"CANARY\"\n"},
        Leak{"PasswordMisspelt", "[kafka.librdkafka]\n\"sasl.passwrod\" = \"CANARY\"\n"},
        Leak{"PasswordUnquoted", "[kafka.librdkafka]\nsasl.password = \"CANARY\"\n"},
        Leak{"PasswordInATable", "[kafka.librdkafka.sasl]\npassword = \"CANARY\"\n"},
        Leak{"PasswordInline",
             "[kafka]\nlibrdkafka = {\"sasl.password\" = \"CANARY\", \"linger.ms\" = 5}\n"},
        Leak{"PasswordAsArray", "[kafka.librdkafka]\n\"sasl.password\" = [\"CANARY\"]\n"},
        Leak{"TableIsThePassword", "[kafka]\nlibrdkafka = \"CANARY\"\n"},
        Leak{"Jaas", "[kafka.librdkafka]\n\"sasl.jaas.config\" = \"x password=\\\"CANARY\\\";\"\n"},
        Leak{"Pem", "[kafka.librdkafka]\n\"ssl.key.pem\" = \"\"\"\n-----\nCANARY\n\"\"\"\n"},
        Leak{"BrokenPem", "[kafka.librdkafka]\n\"ssl.key.pem\" = \"\"\"\nCANARY\\q\n\"\"\"\n"},
        Leak{"BrokenPassword", "[kafka.librdkafka]\n\"sasl.password\" = \"CANARY\n"},
        Leak{"PasswordForFile", "[kafka.librdkafka_files]\n\"sasl.password\" = \"CANARY\"\n"},
        Leak{"PasswordGivenTwice",
             "[kafka.librdkafka]\n\"sasl.password\" = \"CANARY\"\n"
             "[kafka.librdkafka_files]\n\"sasl.password\" = \"/x\"\n"},
        Leak{"TokenForFile", "[admin]\ntoken_file = \"CANARY\"\n"},
        Leak{"TokenForFileWrongType", "[admin]\ntoken_file = [\"CANARY\"]\n"},
        Leak{"TokenInPlace", "[admin]\ntoken = \"CANARY\"\n"},
        Leak{"KeyUnderAnyName",
             "[[providers]]\nname = \"b\"\nkind = \"http\"\nbase_url = \"https://b\"\n"
             "sendgrid = \"CANARY\"\n"},
        Leak{"KeyForFile",
             "[[providers]]\nname = \"b\"\nkind = \"sendgrid\"\ncredentials_file = \"CANARY\"\n"},
        Leak{"KeyInUrl",
             "[[providers]]\nname = \"b\"\nkind = \"http\"\n"
             "base_url = \"https://user:CANARY@b.example\"\n"},
        Leak{"KeyBesideAnotherMistake",
             "[[routes]]\nname = \"b\"\nproviders = [\"main\"]\n"
             "from = {email = 5, word = \"CANARY\"}\n"},
        Leak{"UrlInAnInlineTable", "[x]\ny = {url = \"https://u:CANARY@b\"}\n"},
        Leak{"KeyInQuery",
             "[[providers]]\nname = \"b\"\nkind = \"http\"\n"
             "base_url = \"https://b.example/send?key=CANARY\"\n"},
        Leak{"UnknownVariable", "", "POSTLANE__ADMIN__TOKEN", "CANARY"},
        Leak{"PasswordVariable", "", "POSTLANE__KAFKA__LIBRDKAFKA__SASL_PASSWORD", "CANARY"},
        Leak{"FileVariable", "", "POSTLANE__ADMIN__TOKEN_FILE", "CANARY"},
        Leak{"UrlVariable", "", "POSTLANE__PROVIDERS__MAIN__BASE_URL", "https://u:CANARY@b"}),
    [](const auto& row) { return row.param.name; });

TEST(Secrets, ContentOfFilesIsNotPrinted) {
    const TempDirectory directory;
    const std::string path = directory.write("key", std::string(kCanary), 0644);
    const std::string multi = directory.write("multi", std::string(kCanary) + "\nx\n");
    const std::string good = kMinimal + "[[providers]]\nname = \"b\"\nkind = \"resend\"\n" +
                             "credentials_file = \"" + path + "\"\n[admin]\ntoken_file = \"" +
                             path + "\"\n[kafka.librdkafka_files]\n\"sasl.password\" = \"" + path +
                             "\"\n";
    const LoadResult loaded = load_text(good);
    ASSERT_TRUE(loaded) << complaints(loaded);
    EXPECT_EQ(loaded->config.find_provider("b")->credentials.reveal(), kCanary);
    EXPECT_EQ(loaded->config.admin.token.reveal(), kCanary);
    EXPECT_EQ(loaded->config.kafka.librdkafka.at("sasl.password"), kCanary);
    EXPECT_EQ(everything_printed(loaded).find(kCanary), std::string::npos);

    const LoadResult refused = load_text(kMinimal + "[admin]\ntoken_file = \"" + multi + "\"\n");
    ASSERT_FALSE(refused);
    EXPECT_EQ(everything_printed(refused).find(kCanary), std::string::npos);
}

TEST(Secrets, HarmlessLinesStayReadable) {
    for (const std::string line : {
             "credentials_file = \"/run/secrets/sendgrid\"",
             "token_file = \"/run/secrets/admin\"",
             "\"ssl.ca.location\" = \"/etc/ca.pem\"",
             "\"sasl.mechanism\" = \"SCRAM-SHA-512\"",
             "\"sasl.username\" = \"postlane\"",
             "\"ssl.key.location\" = \"/etc/key\"",
             "idempotency_header = \"Idempotency-Key\"",
             "[kafka.librdkafka_files]",
         }) {
        EXPECT_EQ(without_secrets(line), line);
    }
    EXPECT_EQ(without_secrets("\"sasl.password\" = \"x\""), "\"sasl.password\" = [redacted]");
}

}  // namespace
}  // namespace postlane::config
