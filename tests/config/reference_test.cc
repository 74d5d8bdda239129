// What is generated from the table of settings, and the files of the repository made from it.
#include "config/reference.h"

#include <fmt/format.h>

#include <cstdlib>
#include <set>

#include "config/setting.h"
#include "config/settings_delivery.h"
#include "config/value.h"
#include "support.h"

namespace postlane::config {
namespace {

// Removes the '#' before settings that are commented out; explanations begin with "# ".
std::string enabled(const std::string& text) {
    std::istringstream lines(text);
    std::string out;
    for (std::string line; std::getline(lines, line);) {
        const bool disabled = line.size() > 1 && line[0] == '#' && line[1] != ' ';
        out += (disabled ? line.substr(1) : line) + "\n";
    }
    return out;
}

struct Generated {
    std::string file;
    std::string text;
};
void PrintTo(const Generated& item, std::ostream* out) {
    *out << item.file;
}

class GeneratedFile : public testing::TestWithParam<Generated> {};

// With POSTLANE_UPDATE_GENERATED in the environment the files are written instead.
TEST_P(GeneratedFile, IsWhatTheTableSays) {
    const std::string path = std::string(POSTLANE_SOURCE_DIR "/") + GetParam().file;
    if (std::getenv("POSTLANE_UPDATE_GENERATED") != nullptr) {  // NOLINT(concurrency-mt-unsafe)
        std::ofstream(path) << GetParam().text;
    }
    EXPECT_EQ(read_text(path), GetParam().text)
        << "set POSTLANE_UPDATE_GENERATED=1 and run this test again";
}

INSTANTIATE_TEST_SUITE_P(Repository, GeneratedFile,
                         testing::Values(Generated{"docs/configuration.md", markdown_reference()},
                                         Generated{"config/postlane.example.toml", example_toml()},
                                         Generated{"tests/config/default.golden.toml",
                                                   default_toml()}),
                         [](const auto& row) {
                             std::string name = row.param.file;
                             std::replace_if(
                                 name.begin(), name.end(), [](char c) { return !isalnum(c); }, '_');
                             return name;
                         });

TEST(Reference, DefaultFileLoadsAndChangesNothing) {
    const LoadOptions options{.needs_routes = false};
    const LoadResult full = load_text(default_toml(), {}, {}, options);
    const LoadResult least = load_text("schema_version = 1\n", {}, {}, options);
    ASSERT_TRUE(full) << complaints(full);
    ASSERT_TRUE(least) << complaints(least);
    EXPECT_EQ(complaints(full), "");
    ASSERT_EQ(full->values.size(), least->values.size());
    for (std::size_t i = 0; i < full->values.size(); ++i) {
        EXPECT_EQ(full->values[i].key, least->values[i].key);
        EXPECT_EQ(to_toml(full->values[i].value), to_toml(least->values[i].value))
            << full->values[i].key;
    }
}

TEST(Reference, ExampleFileIsValid) {
    const LoadResult result = load_text(example_toml(), {}, {}, {.read_files = false});
    EXPECT_EQ(complaints(result), "");
    ASSERT_TRUE(result);
    EXPECT_EQ(result->config.kafka.librdkafka.at("security.protocol"), "SASL_SSL");
    EXPECT_EQ(result->config.providers.size(), 2U);
}

// The lines that are commented out must be valid too, or they mislead whoever enables them.
TEST(Reference, WhatIsCommentedOutIsValid) {
    for (const std::string& text : {default_toml(), example_toml()}) {
        const LoadResult result = load_text(enabled(text), {}, {}, {.read_files = false});
        ASSERT_FALSE(result) << "settings of other kinds are among them";
        for (const Diagnostic& item : result.error()) {
            EXPECT_EQ(item.code, Code::NotForThisKind) << complaints(result);
        }
    }
}

TEST(Reference, EverySettingIsInEveryForm) {
    const std::string schema = json_schema();
    const std::string markdown = markdown_reference();
    for (const Section& section : all_sections()) {
        for (const Setting& setting : section.settings) {
            const std::string line = fmt::format("\n{} = ", setting.key);
            EXPECT_NE(markdown.find(fmt::format("| `{}` |", setting.key)), std::string::npos);
            if (!setting.kind.empty() && !is_supported_kind(setting.kind)) {
                continue;
            }
            EXPECT_NE(schema.find(fmt::format("\"{}\": ", setting.key)), std::string::npos);
            EXPECT_NE(enabled(default_toml()).find(line), std::string::npos) << setting.key;
            EXPECT_NE(enabled(example_toml()).find(line), std::string::npos) << setting.key;
        }
    }
}

TEST(Reference, TableIsSound) {
    for (const Section& section : all_sections()) {
        std::set<std::string_view> seen;
        for (const Setting& setting : section.settings) {
            SCOPED_TRACE(fmt::format("[{}] {}", section.name, setting.key));
            EXPECT_TRUE(seen.insert(setting.key).second);
            EXPECT_NE(setting.store, nullptr);
            EXPECT_TRUE(setting.help.ends_with('.') || setting.help.ends_with(')'));
            EXPECT_LE(setting.min, setting.max);
            EXPECT_EQ(setting.key.ends_with("_ms"), setting.unit == "milliseconds");
            EXPECT_EQ(setting.key.ends_with("_file"), setting.is_file);
            EXPECT_FALSE(setting.required && !setting.fallback.empty());
            EXPECT_FALSE(setting.fallback.empty() && setting.example.empty());
            for (const std::string_view literal : {setting.fallback, setting.example}) {
                if (!literal.empty()) {
                    EXPECT_NO_THROW(static_cast<void>(literal_value(literal, setting)));
                }
            }
        }
    }
}

TEST(Show, NamesTheOriginOfEachValue) {
    const LoadResult result = load_text(kMinimal +
                                            "[kafka]\ngroup_id = \"blue\"\n"
                                            "[kafka.librdkafka]\n\"client.rack\" = \"a\"\n",
                                        {{"POSTLANE__DISPATCH__MAX_ATTEMPTS", "3"}},
                                        {{"ledger.directory", "/tmp/ledger", "--ledger"}});
    ASSERT_TRUE(result) << complaints(result);
    const std::string text = show(*result, false);
    EXPECT_NE(text.find("kafka.partitioner = \"murmur2\"" + std::string(33, ' ') + "# default\n"),
              std::string::npos);
    for (const std::string_view line : {
             "kafka.group_id = \"blue\"",
             "# file t.toml:10\n",
             "kafka.librdkafka.\"client.rack\" = \"a\"",
             "# environment POSTLANE__DISPATCH__MAX_ATTEMPTS\n",
             "# flag --ledger\n",
             "providers.main.base_url = \"https://esp.example/send\"",
             "routes.default.providers = [\"main\"]",
         }) {
        EXPECT_NE(text.find(line), std::string::npos) << line << "\nin\n" << text;
    }
    const std::string json = show(*result, true);
    EXPECT_NE(json.find("\"dispatch.max_attempts\": {\n"
                        "    \"value\": 3,\n"
                        "    \"origin\": \"environment\",\n"
                        "    \"where\": \"POSTLANE__DISPATCH__MAX_ATTEMPTS\"\n"
                        "  }"),
              std::string::npos)
        << json;
}

}  // namespace
}  // namespace postlane::config
