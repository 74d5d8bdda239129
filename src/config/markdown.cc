// The reference page docs/configuration.md.
#include <fmt/format.h>

#include <algorithm>

#include "config/free_tables.h"
#include "config/librdkafka.h"
#include "config/reference.h"
#include "config/setting.h"
#include "config/settings_delivery.h"
#include "config/value.h"

namespace postlane::config {
namespace {

constexpr std::string_view kIntroduction = R"(# Configuration

<!-- Made from the table of settings in src/config. A test compares it: change the table, then run
     POSTLANE_UPDATE_GENERATED=1 ctest -R config. -->

postlane reads one TOML file. [`config/postlane.example.toml`](../config/postlane.example.toml) is a
complete one for production.

```
postlane validate FILE                    every problem at once, with file:line:column and a hint
postlane validate --no-environment FILE   the text alone: no variables, no secret files
postlane config default                   all settings with their defaults, annotated
postlane config show -c FILE              the values in force and where each came from
postlane config schema                    JSON Schema of the file, for editors and CI
```

An invalid configuration ends `run` and `validate` with exit code 78. Unknown keys are errors, so a
misspelling cannot leave a default in force. Values have one type: a number is written without
quotes, a duration as an integer in the unit its name ends with.

## Where values come from

default < file < environment < flag; `config show` names the origin of each.

- A variable is called `POSTLANE__SECTION__KEY`: `POSTLANE__KAFKA__GROUP_ID=blue`. Strings are taken
  as they are, everything else is read as TOML: `POSTLANE__DISPATCH__MAX_IN_FLIGHT=512`,
  `POSTLANE__KAFKA__BOOTSTRAP_SERVERS='["kafka-0:9092", "kafka-1:9092"]'`.
- For a provider or route of the file its name stands in the middle, with `_` for `.` and `-`:
  `POSTLANE__PROVIDERS__SES_EU__TIMEOUT_MS=5000`.
- A librdkafka property has `_` for its dots: `POSTLANE__KAFKA__LIBRDKAFKA__SECURITY_PROTOCOL=SSL`.
- A variable that begins with `POSTLANE__` and belongs to no setting is an error.

## Secrets

Secrets stand in files of their own, which `credentials_file`, `token_file` and
`[kafka.librdkafka_files]` name. Blanks around the content are cut off. A relative path starts at
the directory of the configuration file. A file that every user of the machine can read is a
warning. No secret appears in diagnostics, in `config show` or in the log.

## Settings
)";

constexpr std::string_view kSettingsNote = R"(
A route named `default` serves events that name none. A provider of kind `http` gets a POST of the
send event as JSON, with `message_id`, `recipient_id` and `from` filled in and `postlane_id` among its
`metadata`; the message's id is taken from `id` in the answer or from `X-Message-Id`.
)";

std::string escaped(std::string_view text) {
    std::string out;
    for (const char c : text) {
        if (c == '|') {
            out += '\\';
        }
        out += c;
    }
    return out;
}

std::string type_cell(const Setting& setting) {
    if (setting.type == Type::Word) {
        std::vector<std::string> quoted;
        for (const std::string& word : words(setting, true)) {
            quoted.push_back("`\"" + word + "\"`");
        }
        return fmt::format("{}", fmt::join(quoted, ", "));
    }
    std::string out = type_name(setting.type);
    if (setting.type == Type::Integer || setting.type == Type::Number ||
        setting.type == Type::IntegerList) {
        out += ", " + range_text(setting);
    }
    return out;
}

std::string default_cell(const Setting& setting) {
    if (setting.required) {
        return "required";
    }
    if (setting.key == "base_url") {
        return "by kind";
    }
    return setting.fallback.empty() ? "absent" : fmt::format("`{}`", setting.fallback);
}

std::string help_cell(const Setting& setting) {
    std::string out(setting.help);
    for (const Word& word : setting.words) {
        if (word.supported && !word.help.empty()) {
            out += fmt::format(" `{}`: {}.", word.text, word.help);
        }
    }
    if (is_supported_kind(setting.kind)) {
        out += fmt::format(" Only for kind `{}`.", setting.kind);
    }
    return escaped(out);
}

std::string section_part(const Section& in) {
    std::string out;
    if (!in.name.empty()) {
        out += fmt::format("\n### {0}{2}{1}\n\n{3}\n", in.repeated ? "[[" : "[",
                           in.repeated ? "]]" : "]", in.name, in.help);
    }
    out += "\n| setting | type | default | meaning |\n| --- | --- | --- | --- |\n";
    for (const Setting& setting : in.settings) {
        out += fmt::format("| `{}` | {} | {} | {} |\n", setting.key, type_cell(setting),
                           default_cell(setting), help_cell(setting));
    }
    return out;
}

std::string free_tables_part() {
    std::string out;
    for (const FreeTable& table : kFreeTables) {
        out += fmt::format("\n### [kafka.{}]\n\n{}\n\n```toml\n[kafka.{}]\n{}```\n", table.key,
                           table.help, table.key, table.example);
    }
    out +=
        "\n\"session.timeout.ms\" wins over `session_timeout_ms`. These are refused:\n\n"
        "| property | why | instead |\n| --- | --- | --- |\n";
    for (const OwnedProperty& owned : owned_properties()) {
        out += fmt::format("| `{}` | {} | {} |\n", owned.name, owned.reason, owned.instead);
    }
    return out;
}

std::string codes_part() {
    std::string out =
        "\n## Diagnostics\n\nA diagnostic names file, line and column, its code, the setting, and "
        "what to do:\n\n```\n"
        "config/postlane.toml:11:17: error[C014]: dispatch.max_in_flight: expected integer, got "
        "string \"512\"\n"
        "   11 | max_in_flight = \"512\"\n"
        "      |                 ^^^^^ hint: remove the quotes; range 1..65536\n"
        "1 error, 0 warnings (exit 78)\n```\n\n"
        "| code | meaning |\n| --- | --- |\n";
    for (const CodeInfo& info : all_codes()) {
        out += fmt::format("| {} | {} |\n", code_name(info.code), info.meaning);
    }
    return out;
}

}  // namespace

std::string markdown_reference() {
    std::string out(kIntroduction);
    for (const Section& in : all_sections()) {
        out += section_part(in);
        if (in.name == "kafka") {
            out += free_tables_part();
        }
        if (in.name == "routes") {
            out += kSettingsNote;
        }
    }
    return out + codes_part();
}

}  // namespace postlane::config
