#include "config/draft.h"

#include <algorithm>
#include <tuple>

#include "config/text.h"

namespace postlane::config {
namespace {

std::size_t columns(std::string_view text) {
    return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
    }));
}

std::size_t occurrences(std::string_view text, std::string_view needle) {
    std::size_t n = 0;
    for (std::size_t at = text.find(needle); at != std::string_view::npos;
         at = text.find(needle, at + needle.size())) {
        ++n;
    }
    return n;
}

}  // namespace

Report::Report(std::string_view text, std::string file) : file_(std::move(file)) {
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        std::string line(text.substr(0, end));
        if (line.ends_with('\r')) {
            line.pop_back();
        }
        // A tab counts as one column, so it must be printed as one.
        std::replace(line.begin(), line.end(), '\t', ' ');
        lines_.push_back(std::move(line));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    }
}

std::string_view Report::raw_line(std::uint32_t line) const {
    return line == 0 || line > lines_.size() ? std::string_view{} : lines_[line - 1];
}

Place Report::end() const {
    return Place{.file = file_, .line = static_cast<std::uint32_t>(lines_.size()) + 1, .column = 1};
}

bool Report::inside_multiline_string(std::uint32_t line) const {
    std::size_t quotes = 0;
    std::size_t apostrophes = 0;
    for (std::uint32_t i = 1; i < line; ++i) {
        quotes += occurrences(raw_line(i), R"(""")");
        apostrophes += occurrences(raw_line(i), "'''");
    }
    return quotes % 2 == 1 || apostrophes % 2 == 1;
}

std::string Report::table_at(std::uint32_t line) const {
    for (std::uint32_t i = line; i > 0; --i) {
        const std::string_view text = trimmed(raw_line(i));
        if (!text.starts_with('[') || text.find('=') != std::string_view::npos) {
            continue;
        }
        const std::size_t begin = text.find_first_not_of("[ ");
        const std::size_t end = text.find(']');
        if (begin != std::string_view::npos && end != std::string_view::npos && begin < end) {
            return std::string(trimmed(text.substr(begin, end - begin)));
        }
    }
    return {};
}

std::string Report::shown_line(const Place& place) const {
    if (place.line == 0 || inside_multiline_string(place.line)) {
        return {};
    }
    const std::string_view line = raw_line(place.line);
    if (!hidden_.contains(place.line)) {
        return without_secrets(line);
    }
    if (const std::size_t equals = line.find('='); equals != std::string_view::npos) {
        return std::string(line.substr(0, equals + 1)) + " [redacted]";
    }
    // Without a '=' the line can be the header of a table, or anything.
    return trimmed(line).starts_with('[') ? without_secrets(line) : std::string();
}

void Report::add(Severity severity, Code code, const Place& place, std::string_view key,
                 std::string message, std::string hint, bool show_line) {
    if (!show_line) {
        hide(place);
    }
    diagnostics_.push_back(Diagnostic{.severity = severity,
                                      .code = code,
                                      .place = place,
                                      .key = std::string(key),
                                      .message = std::move(message),
                                      .hint = std::move(hint),
                                      .source_line = {}});
}

bool Report::has_errors() const {
    return count(diagnostics_, Severity::Error) > 0;
}

Diagnostics Report::sorted() const {
    Diagnostics all = diagnostics_;
    for (Diagnostic& item : all) {
        item.source_line = shown_line(item.place);
        const std::size_t length = columns(item.source_line);
        const std::size_t before = item.place.column == 0 ? 0 : item.place.column - 1;
        const std::size_t room = length > before ? length - before : 1;
        item.place.width =
            static_cast<std::uint32_t>(std::clamp<std::size_t>(item.place.width, 1, room));
    }
    std::stable_sort(all.begin(), all.end(), [](const Diagnostic& left, const Diagnostic& right) {
        const auto rank = [](const Diagnostic& item) {
            return std::tuple(item.place.line == 0, item.place.line, item.place.column);
        };
        return rank(left) < rank(right);
    });
    return all;
}

Place Draft::place_of(const std::string& key) const {
    const auto found = places.find(key);
    return found == places.end() ? Place{.file = report.file()} : found->second;
}

Effective* Draft::find(std::string_view key) {
    const auto found = std::find_if(values.begin(), values.end(),
                                    [&](const Effective& item) { return item.key == key; });
    return found == values.end() ? nullptr : &*found;
}

}  // namespace postlane::config
