#include "codec/time.h"

#include <fmt/compile.h>

#include "codec/encode.h"

namespace postlane {
namespace {

// Reads a text from its beginning; every function says whether it found what it wants.
class Reader {
public:
    explicit Reader(std::string_view text) : rest_(text) {}

    bool number(std::size_t digits, int& value) noexcept {
        if (rest_.size() < digits) {
            return false;
        }
        value = 0;
        for (const char c : rest_.substr(0, digits)) {
            if (c < '0' || c > '9') {
                return false;
            }
            value = value * 10 + (c - '0');
        }
        rest_.remove_prefix(digits);
        return true;
    }
    bool one_of(std::string_view set) noexcept {
        if (rest_.empty() || set.find(rest_.front()) == std::string_view::npos) {
            return false;
        }
        rest_.remove_prefix(1);
        return true;
    }
    // "." and at least one digit; milliseconds of it.
    bool fraction(int& millis) noexcept {
        millis = 0;
        if (!one_of(".")) {
            return true;
        }
        int weight = 100;
        std::size_t count = 0;
        for (; count < rest_.size() && rest_[count] >= '0' && rest_[count] <= '9'; ++count) {
            millis += (rest_[count] - '0') * weight;
            weight /= 10;
        }
        rest_.remove_prefix(count);
        return count > 0;
    }
    // "Z", or sign, hours, minutes.
    bool offset(std::chrono::minutes& value) noexcept {
        value = std::chrono::minutes{0};
        if (one_of("Zz")) {
            return true;
        }
        const bool negative = !rest_.empty() && rest_.front() == '-';
        int hours = 0;
        int minutes = 0;
        if (!one_of("+-") || !number(2, hours) || !one_of(":") || !number(2, minutes) ||
            hours > 23 || minutes > 59) {
            return false;
        }
        value = std::chrono::hours{hours} + std::chrono::minutes{minutes};
        if (negative) {
            value = -value;
        }
        return true;
    }
    [[nodiscard]] bool at_end() const noexcept { return rest_.empty(); }

private:
    std::string_view rest_;
};

// `before` is 23:59:59 in UTC on the last day of a month.
bool ends_a_month(std::chrono::sys_seconds before) noexcept {
    const auto after = before + std::chrono::seconds{1};
    const auto day = std::chrono::floor<std::chrono::days>(after);
    return after == day && std::chrono::year_month_day{day}.day() == std::chrono::day{1};
}

}  // namespace

std::optional<Instant> parse_time(std::string_view text) noexcept {
    Reader reader{text};
    int year = 0;
    int month = 0;
    int day = 0;
    int hour = 0;
    int minute = 0;
    int second = 0;
    int millis = 0;
    std::chrono::minutes offset{};
    const bool grammatical =
        reader.number(4, year) && reader.one_of("-") && reader.number(2, month) &&
        reader.one_of("-") && reader.number(2, day) && reader.one_of("Tt ") &&
        reader.number(2, hour) && reader.one_of(":") && reader.number(2, minute) &&
        reader.one_of(":") && reader.number(2, second) && reader.fraction(millis) &&
        reader.offset(offset) && reader.at_end();
    if (!grammatical) {
        return std::nullopt;
    }
    const std::chrono::year_month_day date{std::chrono::year{year},
                                           std::chrono::month{static_cast<unsigned>(month)},
                                           std::chrono::day{static_cast<unsigned>(day)}};
    if (!date.ok() || hour > 23 || minute > 59 || second > 60) {
        return std::nullopt;
    }
    const bool leap = second == 60;
    const std::chrono::sys_seconds whole = std::chrono::sys_days{date} + std::chrono::hours{hour} +
                                           std::chrono::minutes{minute} +
                                           std::chrono::seconds{leap ? 59 : second} - offset;
    if (leap && !ends_a_month(whole)) {
        return std::nullopt;
    }
    const Instant when = whole + Millis{leap ? 999 : millis};
    if (when < kTimeMin || when > kTimeMax) {
        return std::nullopt;
    }
    return when;
}

std::string format_time(Instant when) {
    const auto day = std::chrono::floor<std::chrono::days>(when);
    const std::chrono::year_month_day date{day};
    const std::chrono::hh_mm_ss<Millis> time{when - day};
    return fmt::format(FMT_COMPILE("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z"),
                       static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                       static_cast<unsigned>(date.day()), time.hours().count(),
                       time.minutes().count(), time.seconds().count(), time.subseconds().count());
}

}  // namespace postlane
