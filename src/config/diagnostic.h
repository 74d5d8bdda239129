// What is wrong with a configuration, where, and what to do about it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace postlane::config {

enum class Severity : std::uint8_t { Error, Warning };

// The numbers are documented and stay: people search for them.
enum class Code : std::uint16_t {
    Unreadable = 1,
    Syntax = 2,
    SchemaVersion = 10,
    UnknownKey = 11,
    NotATable = 12,
    Missing = 13,
    WrongType = 14,
    OutOfRange = 15,
    UnknownWord = 16,
    Malformed = 17,
    Duplicate = 18,
    UnknownProvider = 19,
    Unsupported = 20,
    NotForThisKind = 21,
    NothingToRun = 22,
    Contradiction = 23,
    NoDefaultRoute = 24,
    Exposed = 25,
    ClearText = 26,
    OwnedProperty = 30,
    UnquotedProperty = 31,
    SecretInline = 32,
    RefusedProperty = 33,
    RefusedTogether = 34,
    FileUnreadable = 40,
    FileEmpty = 41,
    FileOpenToOthers = 42,
    UnknownVariable = 50,
};

struct CodeInfo {
    Code code;
    std::string_view meaning;
};
// Every code once, in order: the reference page prints it.
std::span<const CodeInfo> all_codes();

// "C014".
std::string code_name(Code code);

// Where a value stands. line 0: not in a file; then `file` names the variable or the flag.
struct Place {
    std::string file;
    std::uint32_t line = 0;
    std::uint32_t column = 0;
    std::uint32_t width = 1;
};

struct Diagnostic {
    Severity severity = Severity::Error;
    Code code = Code::Syntax;
    Place place;
    std::string key;  // dotted; empty for a syntax error
    std::string message;
    std::string hint;
    // The line of the file, credentials already replaced. Empty: it is not shown.
    std::string source_line;
};

using Diagnostics = std::vector<Diagnostic>;

std::size_t count(const Diagnostics& diagnostics, Severity severity);

// For people: one block per diagnostic with its line and a caret, then the totals. Ends with a
// newline. `exit_code` is named in the totals unless it is 0.
std::string format(const Diagnostics& diagnostics, int exit_code);
// For programs: {"diagnostics": […], "errors": n, "warnings": n}, one line, ends with a newline.
std::string format_json(const Diagnostics& diagnostics);

}  // namespace postlane::config
