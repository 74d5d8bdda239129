#include "adapters/system/log.h"

#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>

namespace postlane {
namespace {

constexpr std::array kLevels{std::pair{LogLevel::Debug, std::string_view("debug")},
                             std::pair{LogLevel::Info, std::string_view("info")},
                             std::pair{LogLevel::Warning, std::string_view("warning")},
                             std::pair{LogLevel::Error, std::string_view("error")}};

// A flood of one event must not hide the others nor fill the disk.
class Limiter {
public:
    static constexpr std::uint64_t kBurst = 20;
    static constexpr std::chrono::seconds kWindow{10};

    // Nothing: leave this line out. Else how many before it were left out.
    std::optional<std::uint64_t> admit(std::string_view event) {
        const auto now = std::chrono::steady_clock::now();
        const std::lock_guard lock(mutex_);
        auto found = windows_.find(event);
        if (found == windows_.end()) {
            found = windows_.emplace(std::string(event), Window{.since = now}).first;
        }
        Window& window = found->second;
        std::uint64_t left_out = 0;
        if (now - window.since >= kWindow) {
            left_out = window.count > kBurst ? window.count - kBurst : 0;
            window = {.since = now};
        }
        ++window.count;
        return window.count <= kBurst ? std::optional(left_out) : std::nullopt;
    }

private:
    struct Window {
        std::chrono::steady_clock::time_point since;
        std::uint64_t count = 0;
    };
    std::mutex mutex_;
    std::map<std::string, Window, std::less<>> windows_;  // one per event identifier: bounded
};

struct Log {
    std::atomic<LogLevel> level{LogLevel::Info};
    std::atomic<bool> json{isatty(STDERR_FILENO) == 0};
    spdlog::logger logger{"postlane", std::make_shared<spdlog::sinks::stderr_sink_mt>()};
    Limiter limiter;

    Log() {
        logger.set_pattern("%v");
        logger.set_level(spdlog::level::trace);
        logger.flush_on(spdlog::level::trace);
    }
};

// Never destroyed: threads may log until the very end of the process.
Log& log() {
    static Log* const instance = new Log();
    return *instance;
}

std::string timestamp(std::int64_t unix_time_ms) {
    const std::time_t seconds = unix_time_ms / 1000;
    std::tm parts{};
    gmtime_r(&seconds, &parts);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", parts.tm_year + 1900,
                       parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec,
                       unix_time_ms % 1000);
}

void append_escaped(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte == 0x7f) {
            out += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
        } else {
            out += c;
        }
    }
    out += '"';
}

void append_member(std::string& out, std::string_view name, std::string_view text) {
    out += out.empty() ? '{' : ',';
    append_escaped(out, name);
    out += ':';
    append_escaped(out, text);
}

// Control characters could forge lines or drive a terminal.
std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            c = ' ';
        }
    }
    return out;
}

}  // namespace

std::optional<LogLevel> log_level_from(std::string_view word) noexcept {
    for (const auto& [level, name] : kLevels) {
        if (name == word) {
            return level;
        }
    }
    return std::nullopt;
}

std::string_view to_string(LogLevel level) noexcept {
    for (const auto& [candidate, name] : kLevels) {
        if (candidate == level) {
            return name;
        }
    }
    return "error";
}

void set_up_log(const LogOptions& options) {
    log().level = options.level;
    log().json = options.format == LogFormat::Json ||
                 (options.format == LogFormat::Auto && isatty(STDERR_FILENO) == 0);
}

bool log_enabled(LogLevel level) noexcept {
    return level >= log().level.load(std::memory_order_relaxed);
}

void write_log(LogLevel level, std::string_view event, LogFields fields, std::string_view text) {
    if (!log_enabled(level)) {
        return;
    }
    const auto left_out = log().limiter.admit(event);
    if (!left_out) {
        return;
    }
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const LogLine line{
        .level = level,
        .unix_time_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count(),
        .event = event,
        .text = text,
        .left_out = *left_out};
    log().logger.log(spdlog::level::info,
                     spdlog::string_view_t(log().json ? log_line_json(line, fields)
                                                      : log_line_text(line, fields)));
}

std::string log_line_json(const LogLine& line, LogFields fields) {
    std::string out;
    append_member(out, "ts", timestamp(line.unix_time_ms));
    append_member(out, "level", to_string(line.level));
    append_member(out, "event", line.event);
    append_member(out, "msg", line.text);
    for (const auto& [name, value] : fields) {
        append_member(out, name, value);
    }
    if (line.left_out > 0) {
        out += fmt::format(",\"left_out\":{}", line.left_out);
    }
    return out + "}";
}

std::string log_line_text(const LogLine& line, LogFields fields) {
    std::string out = fmt::format("{} {:<7} {}: {}", timestamp(line.unix_time_ms).substr(11, 12),
                                  to_string(line.level), line.event, printable(line.text));
    for (const auto& [name, value] : fields) {
        out += fmt::format(" {}={}", name, printable(value));
    }
    if (line.left_out > 0) {
        out += fmt::format(" ({} like this left out)", line.left_out);
    }
    return out;
}

}  // namespace postlane
