// Writing for people: data goes to stdout, everything else to stderr.
#pragma once

#include <fmt/format.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace postlane::cli {

template <class... Args>
void print(fmt::format_string<Args...> text, Args&&... args) {
    fmt::print(stdout, text, std::forward<Args>(args)...);
}

// "postlane: …", and the line end.
template <class... Args>
void complain(fmt::format_string<Args...> text, Args&&... args) {
    fmt::print(stderr, "postlane: {}\n", fmt::format(text, std::forward<Args>(args)...));
}

// Without control characters: what others wrote must not drive a terminal.
[[nodiscard]] std::string printable(std::string_view text);
// "7 d", "1 h 30 min", "250 ms".
[[nodiscard]] std::string duration_text(std::chrono::milliseconds duration);
// "1,234,567".
[[nodiscard]] std::string grouped(std::uint64_t number);
// "1 event", "2 events".
[[nodiscard]] std::string counted(std::uint64_t number, std::string_view noun);

// Rewrites one line on stderr, a few times a second; says nothing unless stderr is a terminal.
class Progress {
public:
    Progress();
    ~Progress();  // wipes the line
    Progress(const Progress&) = delete;
    Progress& operator=(const Progress&) = delete;

    void show(const std::string& text);

private:
    bool terminal_ = false;
    bool shown_ = false;
    std::chrono::steady_clock::time_point next_{};
};

}  // namespace postlane::cli
