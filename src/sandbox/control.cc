#include "sandbox/control.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <optional>

#include "sandbox/json.h"
#include "sandbox/page.h"

namespace postlane::sandbox {
namespace {

constexpr std::uint64_t kMaxLimit = 10'000;

std::optional<std::string_view> parameter(std::string_view query, std::string_view name) {
    while (!query.empty()) {
        const std::string_view pair = query.substr(0, query.find('&'));
        query.remove_prefix(std::min(query.size(), pair.size() + 1));
        if (pair.starts_with(name) && pair.substr(name.size()).starts_with('=')) {
            return pair.substr(name.size() + 1);
        }
    }
    return std::nullopt;
}

bool parse_number(const std::optional<std::string_view>& text, std::uint64_t& number) {
    if (!text) {
        return true;
    }
    const char* const end = text->data() + text->size();
    const auto parsed = std::from_chars(text->data(), end, number);
    return parsed.ec == std::errc{} && parsed.ptr == end;
}

Answer executions(const Engine& engine, std::string_view query) {
    const auto since_text = parameter(query, "since");
    const auto all = parameter(query, "all").value_or("false");
    std::uint64_t since = 0;
    std::uint64_t limit = 100;
    if (!parse_number(since_text, since) || !parse_number(parameter(query, "limit"), limit) ||
        (all != "true" && all != "false")) {
        return plain_error(400, "since and limit must be numbers, all must be true or false");
    }
    const auto from = since_text ? std::optional{since} : std::nullopt;
    return {.status = 200,
            .body = engine.records_json(from, std::min(limit, kMaxLimit), all != "true"),
            .headers = {}};
}

Answer faults(Engine& engine, std::string_view method, std::string_view body) {
    if (method == "POST") {
        if (const auto problem = engine.change_faults(body)) {
            return plain_error(400, *problem);
        }
    }
    return {.status = 200, .body = engine.faults_json(), .headers = {}};
}

}  // namespace

Answer plain_error(int status, std::string_view message) {
    return {.status = status,
            .body = fmt::format("{{\"error\":{}}}", json_string(message)),
            .headers = {}};
}

Answer control(Engine& engine, std::string_view method, std::string_view target,
               std::string_view body, const Connections& connections) {
    const std::string_view path = target.substr(0, target.find('?'));
    const std::string_view query =
        path.size() < target.size() ? target.substr(path.size() + 1) : std::string_view{};
    const bool is_get = method == "GET" || method == "HEAD";
    const bool is_post = method == "POST";

    if (path == "/_sandbox/faults" && (is_get || is_post)) {
        return faults(engine, method, body);
    }
    if (path == "/_sandbox/reset" && is_post) {
        engine.reset();
        return {.status = 200, .body = "{}", .headers = {}};
    }
    if (path == "/_sandbox/executions" && is_get) {
        return executions(engine, query);
    }
    if (path == "/_sandbox/stats" && is_get) {
        return {.status = 200,
                .body = engine.stats_json(connections.open, connections.total),
                .headers = {}};
    }
    if ((path == "/_sandbox" || path == "/_sandbox/") && is_get) {
        return {.status = 200,
                .body = std::string{page()},
                .headers = std::string{page_headers()},
                .content_type = "text/html; charset=utf-8"};
    }
    return plain_error(404,
                       "no such endpoint: GET /_sandbox/, GET|POST /_sandbox/faults, "
                       "GET /_sandbox/executions?since=N&limit=M&all=true, GET /_sandbox/stats, "
                       "POST /_sandbox/reset");
}

}  // namespace postlane::sandbox
