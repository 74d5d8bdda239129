#include "sandbox/faults.h"

#include <fmt/format.h>
#include <simdjson.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>

namespace postlane::sandbox {
namespace {

using simdjson::dom::element;
using Problem = std::optional<std::string>;

constexpr std::array<std::pair<std::string_view, double Faults::*>, 7> kProbabilities{{
    {"reject", &Faults::reject},
    {"throttle", &Faults::throttle},
    {"error_5xx", &Faults::error_5xx},
    {"accept_then_drop", &Faults::accept_then_drop},
    {"accept_then_hang", &Faults::accept_then_hang},
    {"drop_before", &Faults::drop_before},
    {"close_idle", &Faults::close_idle},
}};

constexpr std::array<std::pair<std::string_view, std::uint32_t Faults::*>, 5> kNumbers{{
    {"latency_ms", &Faults::latency_ms},
    {"latency_jitter_ms", &Faults::latency_jitter_ms},
    {"retry_after_s", &Faults::retry_after_s},
    {"error_5xx_status", &Faults::error_5xx_status},
    {"close_idle_ms", &Faults::close_idle_ms},
}};

constexpr std::array<std::pair<std::string_view, std::uint64_t Faults::*>, 2> kBigNumbers{{
    {"idempotency_lifetime_ms", &Faults::idempotency_lifetime_ms},
    {"seed", &Faults::seed},
}};

constexpr std::array<std::pair<std::string_view, bool Faults::*>, 4> kSwitches{{
    {"error_5xx_executes", &Faults::error_5xx_executes},
    {"outage", &Faults::outage},
    {"unauthorized", &Faults::unauthorized},
    {"http_idempotency", &Faults::http_idempotency},
}};

constexpr std::array<std::pair<std::string_view, OutageMode>, 3> kOutageModes{{
    {"503", OutageMode::Answer503},
    {"hang", OutageMode::Hang},
    {"close", OutageMode::Close},
}};

template <class Table>
auto find(const Table& table, std::string_view name) -> const typename Table::value_type* {
    for (const auto& row : table) {
        if (row.first == name) {
            return &row;
        }
    }
    return nullptr;
}

Problem set_probability(double& field, std::string_view name, element value) {
    bool certain = false;
    if (value.get(certain) == simdjson::SUCCESS) {
        field = certain ? 1 : 0;
        return std::nullopt;
    }
    double number = 0;
    if (value.get(number) != simdjson::SUCCESS || !(number >= 0 && number <= 1)) {
        return fmt::format("{} must be a probability from 0 to 1", name);
    }
    field = number;
    return std::nullopt;
}

template <class Number>
Problem set_number(Number& field, std::string_view name, element value) {
    std::uint64_t number = 0;
    if (value.get(number) != simdjson::SUCCESS || number > std::numeric_limits<Number>::max()) {
        return fmt::format("{} must be an integer from 0 to {}", name,
                           std::numeric_limits<Number>::max());
    }
    field = static_cast<Number>(number);
    return std::nullopt;
}

Problem set_outage_mode(Faults& faults, element value) {
    std::string_view text;
    if (value.get(text) == simdjson::SUCCESS) {
        if (const auto* row = find(kOutageModes, text)) {
            faults.outage_mode = row->second;
            return std::nullopt;
        }
    }
    return R"(outage_mode must be "503", "hang" or "close")";
}

Problem set_field(Faults& faults, std::string_view name, element value) {
    if (const auto* probability = find(kProbabilities, name)) {
        return set_probability(faults.*probability->second, name, value);
    }
    if (const auto* number = find(kNumbers, name)) {
        return set_number(faults.*number->second, name, value);
    }
    if (const auto* number = find(kBigNumbers, name)) {
        return set_number(faults.*number->second, name, value);
    }
    if (const auto* flag = find(kSwitches, name)) {
        if (value.get(faults.*flag->second) != simdjson::SUCCESS) {
            return fmt::format("{} must be true or false", name);
        }
        return std::nullopt;
    }
    if (name == "outage_mode") {
        return set_outage_mode(faults, value);
    }
    return fmt::format("unknown field \"{}\"; GET /_sandbox/faults shows those that exist", name);
}

std::uint64_t split_mix(std::uint64_t x) {
    x += 0x9E3779B97F4A7C15U;
    x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
    x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
    return x ^ (x >> 31U);
}

}  // namespace

std::optional<std::string> patch(Faults& faults, std::string_view json) {
    simdjson::dom::parser parser;
    element root;
    if (const auto error = parser.parse(json.data(), json.size()).get(root)) {
        return fmt::format("not JSON: {}", simdjson::error_message(error));
    }
    simdjson::dom::object object;
    if (root.get(object) != simdjson::SUCCESS) {
        return "must be a JSON object";
    }
    Faults changed = faults;
    for (const auto field : object) {
        if (auto problem = set_field(changed, field.key, field.value)) {
            return problem;
        }
    }
    if (changed.error_5xx_status < 500 || changed.error_5xx_status > 599) {
        return "error_5xx_status must be from 500 to 599";
    }
    if (changed.seed == 0 && faults.seed != 0) {
        return "seed must not be 0";
    }
    faults = changed;
    return std::nullopt;
}

std::string to_json(const Faults& faults) {
    std::string out = "{";
    for (const auto& [name, member] : kNumbers) {
        out += fmt::format("\"{}\":{},", name, faults.*member);
    }
    for (const auto& [name, member] : kProbabilities) {
        out += fmt::format("\"{}\":{},", name, faults.*member);
    }
    for (const auto& [name, member] : kSwitches) {
        out += fmt::format("\"{}\":{},", name, faults.*member);
    }
    for (const auto& [name, member] : kBigNumbers) {
        out += fmt::format("\"{}\":{},", name, faults.*member);
    }
    for (const auto& [name, mode] : kOutageModes) {
        if (mode == faults.outage_mode) {
            out += fmt::format("\"outage_mode\":\"{}\"", name);
        }
    }
    return out + "}";
}

std::string_view name_of(Fault fault) {
    static constexpr std::array<std::string_view, kFaultCount> kNames{
        "none",     "unauthorized", "outage",           "drop_before",     "error_5xx",
        "throttle", "reject",       "accept_then_drop", "accept_then_hang"};
    return kNames.at(static_cast<std::size_t>(fault));
}

double Dice::roll(std::uint64_t die) const {
    const std::uint64_t bits = split_mix(split_mix(seed_) ^ split_mix(request_ * 16 + die));
    return std::ldexp(static_cast<double>(bits >> 11U), -53);
}

Fault Dice::fault(const Faults& faults) const {
    const std::array<std::pair<Fault, double>, 6> chances{{
        {Fault::DropBefore, faults.drop_before},
        {Fault::Error5xx, faults.error_5xx},
        {Fault::Throttle, faults.throttle},
        {Fault::Reject, faults.reject},
        {Fault::AcceptThenDrop, faults.accept_then_drop},
        {Fault::AcceptThenHang, faults.accept_then_hang},
    }};
    for (const auto& [fault, probability] : chances) {
        if (probability > 0 && roll(static_cast<std::uint64_t>(fault)) < probability) {
            return fault;
        }
    }
    return Fault::None;
}

std::uint64_t Dice::latency_us(const Faults& faults) const {
    std::uint64_t latency_us = std::uint64_t{faults.latency_ms} * 1000;
    if (faults.latency_jitter_ms > 0) {
        latency_us += static_cast<std::uint64_t>(roll(0) * faults.latency_jitter_ms * 1000);
    }
    return latency_us;
}

bool Dice::closes_idle(const Faults& faults) const {
    return faults.close_idle > 0 && roll(kFaultCount) < faults.close_idle;
}

}  // namespace postlane::sandbox
