#include "adapters/system/log.h"

#include <gmock/gmock.h>
#include <simdjson.h>

#include <string>

namespace postlane {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr LogLine kLine{.level = LogLevel::Warning,
                        .unix_time_ms = 1'764'579'723'045,
                        .event = "partition.restarted",
                        .text = "why: \"odd\"\nline\x01\\",
                        .left_out = 3};

std::string read(const simdjson::dom::element& line, const char* name) {
    return std::string(std::string_view(line[name]));
}

TEST(Log, AJsonLineIsOneObjectWhateverTheText) {
    const std::string text = log_line_json(kLine, {{"partition", "3"}, {"why", "a\tb"}});
    EXPECT_THAT(text, Not(HasSubstr("\n")));
    simdjson::dom::parser parser;
    const simdjson::dom::element line = parser.parse(text);
    EXPECT_EQ(read(line, "ts"), "2025-12-01T09:02:03.045Z");
    EXPECT_EQ(read(line, "level"), "warning");
    EXPECT_EQ(read(line, "event"), "partition.restarted");
    EXPECT_EQ(read(line, "msg"), kLine.text);
    EXPECT_EQ(read(line, "partition"), "3");
    EXPECT_EQ(read(line, "why"), "a\tb");
    EXPECT_EQ(std::uint64_t(line["left_out"]), 3U);
}

TEST(Log, ATextLineCannotBeForged) {
    EXPECT_EQ(log_line_text(kLine, {{"partition", "3"}}),
              "09:02:03.045 warning partition.restarted: why: \"odd\" line \\ partition=3 (3 like "
              "this left out)");
}

TEST(Log, WritesToStderrFromTheChosenLevelOn) {
    set_up_log({.level = LogLevel::Warning, .format = LogFormat::Json});
    testing::internal::CaptureStderr();
    log_event(LogLevel::Info, "test.quiet", "not {}", "written");
    log_event(LogLevel::Error, "test.loud", {{"partition", "7"}}, "{} written", "is");
    const std::string lines = testing::internal::GetCapturedStderr();
    EXPECT_THAT(lines, Not(HasSubstr("test.quiet")));
    EXPECT_THAT(lines, HasSubstr(R"("event":"test.loud","msg":"is written","partition":"7"})"));
}

TEST(Log, AFloodOfOneEventIsCutAndHidesNoOther) {
    set_up_log({.level = LogLevel::Info, .format = LogFormat::Json});
    testing::internal::CaptureStderr();
    for (int i = 0; i < 500; ++i) {
        log_event(LogLevel::Info, "test.flood", "again");
    }
    log_event(LogLevel::Info, "test.after_flood", "once");
    const std::string lines = testing::internal::GetCapturedStderr();
    EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 21);
    EXPECT_THAT(lines, HasSubstr("test.after_flood"));
}

TEST(Log, LevelsAreReadByName) {
    EXPECT_EQ(log_level_from("debug"), LogLevel::Debug);
    EXPECT_EQ(log_level_from("error"), LogLevel::Error);
    EXPECT_EQ(log_level_from("loud"), std::nullopt);
}

}  // namespace
}  // namespace postlane
