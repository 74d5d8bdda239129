// A configuration while it is being read: values, where each came from, and what is wrong.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.h"
#include "config/setting.h"

namespace postlane::config {

enum class Origin : std::uint8_t { Default, File, Environment, Flag };

// One value in force and where it came from.
struct Effective {
    std::string key;  // dotted, e.g. "providers.main.timeout_ms"
    Value value;
    Origin origin = Origin::Default;
    Place place;          // of a value from the file; else `place.file` names the variable or flag
    bool secret = false;  // its value is a credential: never print it
};

// Collects diagnostics about one text. Nobody else prints lines of that text, so what must not
// be shown is decided here alone.
class Report {
public:
    Report(std::string_view text, std::string file);

    // `show_line` false: as if hide(place) had been called.
    void add(Severity severity, Code code, const Place& place, std::string_view key,
             std::string message, std::string hint, bool show_line = true);
    void error(Code code, const Place& place, std::string_view key, std::string message,
               std::string hint, bool show_line = true) {
        add(Severity::Error, code, place, key, std::move(message), std::move(hint), show_line);
    }
    void warning(Code code, const Place& place, std::string_view key, std::string message,
                 std::string hint) {
        add(Severity::Warning, code, place, key, std::move(message), std::move(hint));
    }

    // Shows of the line what stands before its '=' and no more, for every diagnostic about it.
    void hide(const Place& place) { hidden_.insert(place.line); }

    [[nodiscard]] const std::string& file() const noexcept { return file_; }
    [[nodiscard]] bool has_errors() const;
    // The header of the table that `line` belongs to, e.g. "kafka.librdkafka"; empty at the top.
    [[nodiscard]] std::string table_at(std::uint32_t line) const;
    [[nodiscard]] std::string_view raw_line(std::uint32_t line) const;
    // Behind the last line: where to add what is missing as a whole.
    [[nodiscard]] Place end() const;

    // In the order of the file; what stands in no file comes last.
    [[nodiscard]] Diagnostics sorted() const;

private:
    [[nodiscard]] std::string shown_line(const Place& place) const;
    [[nodiscard]] bool inside_multiline_string(std::uint32_t line) const;

    std::string file_;
    std::vector<std::string> lines_;
    Diagnostics diagnostics_;
    std::set<std::uint32_t> hidden_;
};

struct Draft {
    Draft(std::string_view text, const std::string& file) : report(text, file) {}

    Config config;
    std::vector<Effective> values;
    std::map<std::string, Place> places;  // of every key that was given
    std::set<std::string> rejected;       // keys with an error: checks across keys leave them out
    Report report;
    // Of each table in order: "providers.main", or "providers[0]" where it has no name, no valid
    // one, or that of a table before it. So no two tables share a key.
    std::vector<std::string> provider_keys;
    std::vector<std::string> route_keys;

    [[nodiscard]] bool given(const std::string& key) const { return places.contains(key); }
    [[nodiscard]] bool sound(const std::string& key) const { return !rejected.contains(key); }
    // The file as a whole if the key was not given.
    [[nodiscard]] Place place_of(const std::string& key) const;
    Effective* find(std::string_view key);
    void reject(const std::string& key) { rejected.insert(key); }
};

}  // namespace postlane::config
