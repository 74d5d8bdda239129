// The annotated TOML files.
#include <fmt/format.h>

#include <algorithm>
#include <cstdint>

#include "config/free_tables.h"
#include "config/reference.h"
#include "config/setting.h"
#include "config/settings_delivery.h"
#include "config/value.h"

namespace postlane::config {
namespace {

enum class Variant : std::uint8_t { Defaults, Example };

constexpr std::size_t kWidth = 96;

// A second provider, because falling back to one is what routes are for.
constexpr std::string_view kSecondProvider =
    "[[providers]]\n"
    "name = \"second\"\n"
    "kind = \"resend\"\n"
    "credentials_file = \"/run/secrets/resend\"\n"
    "rate_per_second = 2.0\n";

std::string comment(std::string_view text) {
    std::string out;
    std::string line = "#";
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        if (line.size() + 1 + end > kWidth) {
            out += line + "\n";
            line = "#";
        }
        line += " ";
        line += text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return out + line + "\n";
}

std::string disabled(std::string_view lines) {
    std::string out;
    while (!lines.empty()) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        out += fmt::format("#{}\n", lines.substr(0, end));
        lines.remove_prefix(std::min(end + 1, lines.size()));
    }
    return out;
}

std::string explanation(const Setting& setting) {
    std::string text(setting.help);
    std::string bounds;
    const bool number = setting.type == Type::Integer || setting.type == Type::Number;
    if (number && setting.min < setting.max) {
        bounds = range_text(setting);
        if (!setting.unit.empty()) {
            bounds = fmt::format("{}; {}", setting.unit, bounds);
        }
        text += fmt::format(" ({})", bounds);
    }
    std::string out = comment(text);
    for (const Word& word : setting.words) {
        if (word.supported && !word.help.empty()) {
            out += comment(fmt::format("  \"{}\": {}", word.text, word.help));
        }
    }
    return out;
}

std::string setting_lines(const Setting& setting, Variant variant) {
    const bool has_default = !setting.fallback.empty();
    std::string_view literal = has_default ? setting.fallback : setting.example;
    bool active = has_default || setting.required;
    if (variant == Variant::Example) {
        const bool chosen = !setting.example.empty() && (has_default || setting.in_example);
        active = chosen;
        literal = chosen ? setting.example : literal;
    }
    const std::string line = fmt::format("{} = {}\n", setting.key, literal);
    return explanation(setting) + (active ? line : disabled(line));
}

std::string section_text(const Section& in, Variant variant) {
    std::string out = in.help.empty() ? "" : comment(in.help);
    const std::string header = in.name.empty() ? ""
                               : in.repeated   ? fmt::format("[[{}]]\n", in.name)
                                               : fmt::format("[{}]\n", in.name);
    const bool off = in.repeated && variant == Variant::Defaults;
    out += off ? disabled(header) : header;
    for (const Setting& setting : in.settings) {
        if (!setting.kind.empty() && !is_supported_kind(setting.kind)) {
            continue;
        }
        std::string lines = setting_lines(setting, variant);
        if (off) {
            const std::string active = fmt::format("\n{} = ", setting.key);
            const std::size_t at = lines.find(active);
            if (at != std::string::npos) {
                lines.insert(at + 1, "#");
            }
        }
        out += lines;
    }
    if (in.name == "providers") {
        out += "\n" + (off ? disabled(kSecondProvider) : std::string(kSecondProvider));
    }
    if (in.name == "kafka") {
        for (const FreeTable& table : kFreeTables) {
            out += "\n" + comment(table.help) + fmt::format("[kafka.{}]\n", table.key);
            out +=
                variant == Variant::Example ? std::string(table.example) : disabled(table.example);
        }
    }
    return out;
}

std::string annotated(std::string out, Variant variant) {
    for (const Section& section : all_sections()) {
        out += "\n" + section_text(section, variant);
    }
    return out;
}

}  // namespace

std::string default_toml() {
    return annotated(
        comment("Every setting of postlane with its default. A line that begins with \"#\" and no "
                "blank is a setting without a default. Variables such as "
                "POSTLANE__KAFKA__GROUP_ID replace what stands here."),
        Variant::Defaults);
}

std::string example_toml() {
    return annotated(
        comment("An example for production: three brokers with TLS and SASL, two providers. "
                "Defaults are commented out. Check yours with `postlane validate FILE`; the "
                "reference is docs/configuration.md."),
        Variant::Example);
}

}  // namespace postlane::config
