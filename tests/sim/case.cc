#include "sim/case.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace postlane::sim {
namespace {

struct Switch {
    std::string_view word;
    std::optional<std::int64_t> Case::* value;
};
constexpr std::array kSwitches{
    Switch{"messages", &Case::messages},     Switch{"suppressions", &Case::suppressions},
    Switch{"recipients", &Case::recipients}, Switch{"instances", &Case::instances},
    Switch{"partitions", &Case::partitions}, Switch{"duration_ms", &Case::duration_ms}};

template <class Number>
std::optional<Number> number_in(const std::string& text) {
    Number number{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole && number >= 0 ? std::optional(number) : std::nullopt;
}

bool is_fault_class(const std::string& name) {
    const auto classes = fault_classes();
    return name == kEpilogueWord ||
           std::any_of(classes.begin(), classes.end(),
                       [&](const FaultClass& each) { return each.name == name; });
}

Result<void> take_line(Case& one, const std::string& line) {
    std::istringstream words(line);
    std::string word;
    std::string value;
    words >> word;
    if (word.empty()) {
        return {};
    }
    if (word.front() == '#') {
        one.note += line.substr(std::min(line.size(), line.find_first_not_of("# "))) + "\n";
        return {};
    }
    if (word == "without") {
        while (words >> value) {
            if (!is_fault_class(value)) {
                return fail(ErrorCode::Malformed, "there is no fault class \"" + value + "\"");
            }
            one.without.insert(value);
        }
        return {};
    }
    words >> value;
    if (word == "seed" || word == "luck") {
        const auto number = number_in<std::uint64_t>(value);
        if (!number) {
            return fail(ErrorCode::Malformed, word + " needs a number");
        }
        (word == "seed" ? one.seed : one.luck) = *number;
        return {};
    }
    for (const Switch& each : kSwitches) {
        if (each.word == word) {
            one.*each.value = number_in<std::int64_t>(value);
            return one.*each.value ? Result<void>{}
                                   : fail(ErrorCode::Malformed, word + " needs a number");
        }
    }
    return fail(ErrorCode::Malformed, "there is no switch \"" + word + "\"");
}

}  // namespace

Options options_of(const Case& one) {
    Options options = swarm_options(one.seed);
    options.luck = one.luck;
    for (const FaultClass& each : fault_classes()) {
        if (one.without.contains(std::string(each.name))) {
            options.faults.*each.magnitude = 0;
        }
    }
    if (one.without.contains(kEpilogueWord)) {
        options.epilogue = Epilogue::None;
    }
    const auto lower = [](auto& setting, const std::optional<std::int64_t>& value) {
        using Number = std::remove_reference_t<decltype(setting)>;
        if (value) {
            setting = std::min(setting, static_cast<Number>(*value));
        }
    };
    lower(options.traffic.messages, one.messages);
    lower(options.traffic.suppressions, one.suppressions);
    lower(options.traffic.recipients, one.recipients);
    lower(options.instances, one.instances);
    lower(options.partitions, one.partitions);
    if (one.duration_ms) {
        lower(options.duration, *one.duration_ms * kMillisecond);
        options.traffic.duration = std::min(options.traffic.duration, options.duration * 3 / 4);
    }
    return options;
}

std::string to_text(const Case& one) {
    std::string text;
    std::istringstream notes(one.note);
    for (std::string line; std::getline(notes, line);) {
        text += "# " + line + "\n";
    }
    text += fmt::format("seed {}\n", one.seed);
    if (one.luck != 0) {
        text += fmt::format("luck {}\n", one.luck);
    }
    if (!one.without.empty()) {
        text += "without";
        for (const std::string& name : one.without) {
            text += " " + name;
        }
        text += "\n";
    }
    for (const Switch& each : kSwitches) {
        if (one.*each.value) {
            text += fmt::format("{} {}\n", each.word, *(one.*each.value));
        }
    }
    return text;
}

Result<Case> parse_case(const std::string& text) {
    Case one;
    std::istringstream lines(text);
    std::size_t number = 0;
    for (std::string line; std::getline(lines, line);) {
        number += 1;
        if (auto taken = take_line(one, line); !taken) {
            return fail(taken.error().code,
                        fmt::format("line {}: {}", number, taken.error().detail));
        }
    }
    return one;
}

Result<std::vector<NamedCase>> load_cases(const std::string& directory) {
    std::vector<NamedCase> cases;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
        if (entry.path().extension() != ".seed") {
            continue;
        }
        std::ifstream file(entry.path());
        std::stringstream text;
        text << file.rdbuf();
        auto one = parse_case(text.str());
        if (!one) {
            return fail(one.error().code, entry.path().string() + ": " + one.error().detail);
        }
        cases.push_back({entry.path().stem().string(), *std::move(one)});
    }
    if (error) {
        return fail(ErrorCode::Unavailable, directory + ": " + error.message());
    }
    std::sort(cases.begin(), cases.end(),
              [](const NamedCase& left, const NamedCase& right) { return left.name < right.name; });
    return cases;
}

Result<std::string> save_case(const std::string& directory, const Case& one) {
    const auto path =
        std::filesystem::path(directory) / (std::to_string(one.seed) + std::string(".seed"));
    std::error_code error;
    std::filesystem::create_directories(directory, error);
    std::ofstream file(path);
    file << to_text(one);
    file.close();
    if (!file) {
        return fail(ErrorCode::NoStorage, path.string() + " cannot be written");
    }
    return path.string();
}

}  // namespace postlane::sim
