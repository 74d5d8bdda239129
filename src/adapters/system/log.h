// The program's log: one line per event on stderr, JSON for machines, text on a terminal.
//
//     log_event(LogLevel::Warning, "partition.restarted", "partition {} after {}", p, why);
//     log_event(LogLevel::Info, "group.assigned", {{"partitions", "3,4"}}, "joined");
//
// The event is a stable identifier that people search for; the text is for reading. No line ever
// holds an address, a credential, a request or a response body. Any thread.
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace postlane {

enum class LogLevel : std::uint8_t { Debug, Info, Warning, Error };
enum class LogFormat : std::uint8_t { Auto, Json, Text };  // Auto: text on a terminal

struct LogOptions {
    LogLevel level = LogLevel::Info;
    LogFormat format = LogFormat::Auto;
};

[[nodiscard]] std::optional<LogLevel> log_level_from(std::string_view word) noexcept;
[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;

// Once, before other threads start. Without it: Info and Auto.
void set_up_log(const LogOptions& options);
[[nodiscard]] bool log_enabled(LogLevel level) noexcept;

using LogField = std::pair<std::string_view, std::string_view>;
using LogFields = std::initializer_list<LogField>;

// More than 20 lines of one event within 10 s are counted instead of written; the next line of that
// event after the pause says how many.
void write_log(LogLevel level, std::string_view event, LogFields fields, std::string_view text);

template <class... Args>
void log_event(LogLevel level, std::string_view event, fmt::format_string<Args...> text,
               Args&&... args) {
    if (log_enabled(level)) {
        write_log(level, event, {}, fmt::format(text, std::forward<Args>(args)...));
    }
}

template <class... Args>
void log_event(LogLevel level, std::string_view event, LogFields fields,
               fmt::format_string<Args...> text, Args&&... args) {
    if (log_enabled(level)) {
        write_log(level, event, fields, fmt::format(text, std::forward<Args>(args)...));
    }
}

// The line as it is written, without the line end. For tests and for set_up_log's own use.
struct LogLine {
    LogLevel level = LogLevel::Info;
    std::int64_t unix_time_ms = 0;
    std::string_view event;
    std::string_view text;
    std::uint64_t left_out = 0;  // earlier lines of this event that were not written
};
[[nodiscard]] std::string log_line_json(const LogLine& line, LogFields fields);
[[nodiscard]] std::string log_line_text(const LogLine& line, LogFields fields);

}  // namespace postlane
