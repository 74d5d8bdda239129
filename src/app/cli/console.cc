#include "app/cli/console.h"

#include <unistd.h>

#include <array>
#include <cstdio>

namespace postlane::cli {

std::string printable(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
            c = '?';
        }
    }
    return out;
}

std::string duration_text(std::chrono::milliseconds duration) {
    constexpr std::array kUnits{
        std::pair{std::int64_t{86'400'000}, "d"}, std::pair{std::int64_t{3'600'000}, "h"},
        std::pair{std::int64_t{60'000}, "min"}, std::pair{std::int64_t{1000}, "s"},
        std::pair{std::int64_t{1}, "ms"}};
    std::int64_t rest = duration.count();
    std::string text;
    for (const auto& [size, name] : kUnits) {
        if (rest >= size) {
            text += fmt::format("{}{} {}", text.empty() ? "" : " ", rest / size, name);
            rest %= size;
        }
    }
    return text.empty() ? "0 ms" : text;
}

std::string grouped(std::uint64_t number) {
    std::string text = std::to_string(number);
    for (std::size_t at = text.size(); at > 3; at -= 3) {
        text.insert(at - 3, 1, ',');
    }
    return text;
}

std::string counted(std::uint64_t number, std::string_view noun) {
    return fmt::format("{} {}{}", grouped(number), noun, number == 1 ? "" : "s");
}

Progress::Progress() : terminal_(isatty(STDERR_FILENO) != 0) {}

Progress::~Progress() {
    if (shown_) {
        fmt::print(stderr, "\r\x1b[K");
    }
}

void Progress::show(const std::string& text) {
    const auto now = std::chrono::steady_clock::now();
    if (!terminal_ || now < next_) {
        return;
    }
    next_ = now + std::chrono::milliseconds(200);
    shown_ = true;
    fmt::print(stderr, "\r\x1b[K{}", text);
    std::fflush(stderr);
}

}  // namespace postlane::cli
