#include "config/diagnostic.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "config/json.h"

namespace postlane::config {
namespace {

constexpr std::array kCodes{
    CodeInfo{Code::Unreadable, "The configuration file cannot be read."},
    CodeInfo{Code::Syntax, "The file is not TOML from here on; nothing after this was checked."},
    CodeInfo{Code::SchemaVersion, "The file is written for another version of the format."},
    CodeInfo{Code::UnknownKey, "No setting has this name."},
    CodeInfo{Code::NotATable, "A section is written as a value, or the other way round."},
    CodeInfo{Code::Missing, "A setting without a default is missing."},
    CodeInfo{Code::WrongType, "The value has another type than the setting."},
    CodeInfo{Code::OutOfRange, "The number or the length of the value is out of bounds."},
    CodeInfo{Code::UnknownWord, "The value is none of the words the setting knows."},
    CodeInfo{Code::Malformed, "The text does not have the form the setting needs."},
    CodeInfo{Code::Duplicate, "Two things that must differ have the same name or value."},
    CodeInfo{Code::UnknownProvider, "A route names a provider that does not exist."},
    CodeInfo{Code::Unsupported, "This release cannot do that."},
    CodeInfo{Code::NotForThisKind, "The setting belongs to another kind of provider."},
    CodeInfo{Code::NothingToRun, "There is no provider or no route."},
    CodeInfo{Code::Contradiction, "Two settings do not fit together."},
    CodeInfo{Code::NoDefaultRoute,
             "No route is called `default`, which events use that name none."},
    CodeInfo{Code::Exposed, "The admin listener can be reached by others and has no token."},
    CodeInfo{Code::ClearText, "Credentials would cross a network unencrypted."},
    CodeInfo{Code::OwnedProperty, "A librdkafka property that postlane must set itself."},
    CodeInfo{Code::UnquotedProperty, "A librdkafka property without quotes around its name."},
    CodeInfo{Code::SecretInline, "A secret stands in the configuration itself."},
    CodeInfo{Code::RefusedProperty, "librdkafka does not know the property, or refuses its value."},
    CodeInfo{Code::RefusedTogether,
             "librdkafka refuses the properties together, or a file that one of them names."},
    CodeInfo{Code::FileUnreadable, "A file that a setting names cannot be read."},
    CodeInfo{Code::FileEmpty, "A file that a setting names has no content."},
    CodeInfo{Code::FileOpenToOthers, "Every user of the machine can read a file with a secret."},
    CodeInfo{Code::UnknownVariable, "A `POSTLANE__` variable or a flag names no setting."},
};

std::string where(const Place& place) {
    if (place.line == 0) {
        return place.file;
    }
    return fmt::format("{}:{}:{}", place.file, place.line, place.column);
}

std::string_view word(Severity severity) {
    return severity == Severity::Error ? "error" : "warning";
}

std::string block(const Diagnostic& diagnostic) {
    std::string text =
        fmt::format("{}: {}[{}]: {}{}{}\n", where(diagnostic.place), word(diagnostic.severity),
                    code_name(diagnostic.code), diagnostic.key, diagnostic.key.empty() ? "" : ": ",
                    diagnostic.message);
    const std::string hint = diagnostic.hint.empty() ? "" : "hint: " + diagnostic.hint;
    if (diagnostic.source_line.empty() || diagnostic.place.line == 0) {
        if (!hint.empty()) {
            text += fmt::format("      | {}\n", hint);
        }
        return text;
    }
    text += fmt::format("{:>5} | {}\n", diagnostic.place.line, diagnostic.source_line);
    const std::string indent(std::max(diagnostic.place.column, 1U) - 1, ' ');
    const std::string carets(std::max(diagnostic.place.width, 1U), '^');
    text += fmt::format("      | {}{}{}{}\n", indent, carets, hint.empty() ? "" : " ", hint);
    return text;
}

std::string plural(std::size_t n, std::string_view noun) {
    return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

}  // namespace

std::span<const CodeInfo> all_codes() {
    return kCodes;
}

std::string code_name(Code code) {
    return fmt::format("C{:03}", static_cast<unsigned>(code));
}

std::size_t count(const Diagnostics& diagnostics, Severity severity) {
    return static_cast<std::size_t>(
        std::count_if(diagnostics.begin(), diagnostics.end(),
                      [&](const Diagnostic& item) { return item.severity == severity; }));
}

std::string format(const Diagnostics& diagnostics, int exit_code) {
    std::string text;
    for (const Diagnostic& diagnostic : diagnostics) {
        text += block(diagnostic);
    }
    text += fmt::format("{}, {}", plural(count(diagnostics, Severity::Error), "error"),
                        plural(count(diagnostics, Severity::Warning), "warning"));
    text += exit_code == 0 ? "\n" : fmt::format(" (exit {})\n", exit_code);
    return text;
}

std::string format_json(const Diagnostics& diagnostics) {
    std::vector<std::string> items;
    for (const Diagnostic& diagnostic : diagnostics) {
        JsonObject item;
        item.add("severity", json_string(word(diagnostic.severity)));
        item.add("code", json_string(code_name(diagnostic.code)));
        item.add("file", json_string(diagnostic.place.file));
        if (diagnostic.place.line != 0) {
            item.add("line", std::to_string(diagnostic.place.line));
            item.add("column", std::to_string(diagnostic.place.column));
        }
        item.add("key", json_string(diagnostic.key));
        item.add("message", json_string(diagnostic.message));
        item.add("hint", json_string(diagnostic.hint));
        items.push_back(item.text());
    }
    JsonObject all;
    all.add("diagnostics", json_array(items));
    all.add("errors", std::to_string(count(diagnostics, Severity::Error)));
    all.add("warnings", std::to_string(count(diagnostics, Severity::Warning)));
    return all.text() + "\n";
}

}  // namespace postlane::config
