#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "adapters/listener/http_server.h"

namespace postlane {
namespace {

std::string_view title(int status) {
    switch (status) {
        case 400:
            return "Bad request";
        case 401:
            return "Token required";
        case 403:
            return "Forbidden";
        case 404:
            return "Not found";
        case 405:
            return "Method not allowed";
        case 413:
            return "Body too large";
        case 421:
            return "Another instance owns this";
        case 431:
            return "Headers too large";
        case 500:
            return "Internal error";
        case 503:
            return "Not available";
        default:
            return "Error";
    }
}

std::vector<std::string> split(const std::string& path) {
    std::vector<std::string> segments;
    std::size_t begin = 1;
    while (begin <= path.size()) {
        const std::size_t end = std::min(path.find('/', begin), path.size());
        segments.push_back(path.substr(begin, end - begin));
        begin = end + 1;
    }
    return segments;
}

bool is_parameter(std::string_view segment) {
    return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

// Fills `parameters` where the route has {names}.
bool fits(const std::vector<std::string>& pattern, const std::vector<std::string>& segments,
          std::map<std::string, std::string>& parameters) {
    if (pattern.size() != segments.size()) {
        return false;
    }
    parameters.clear();
    for (std::size_t i = 0; i < pattern.size(); ++i) {
        if (is_parameter(pattern[i])) {
            if (segments[i].empty()) {
                return false;
            }
            parameters[pattern[i].substr(1, pattern[i].size() - 2)] = segments[i];
        } else if (pattern[i] != segments[i]) {
            return false;
        }
    }
    return true;
}

}  // namespace

std::optional<std::string> HttpCall::query_value(const std::string& name) const {
    const auto found = query.find(name);
    return found == query.end() ? std::nullopt : std::optional(found->second);
}

HttpReply json_reply(std::string json) {
    return {.body = std::move(json), .headers = {}};
}

HttpReply text_reply(int status, std::string text) {
    return {.status = status,
            .content_type = "text/plain; charset=utf-8",
            .body = std::move(text),
            .headers = {}};
}

HttpReply problem(int status, std::string_view code, std::string_view detail) {
    const boost::json::object body{{"type", "about:blank"},
                                   {"title", title(status)},
                                   {"status", status},
                                   {"code", code},
                                   {"detail", detail}};
    return {.status = status,
            .content_type = "application/problem+json",
            .body = boost::json::serialize(body),
            .headers = {}};
}

void Router::add(std::string method, const std::string& path, HttpHandler handler) {
    routes_.push_back({std::move(method), path, split(path), std::move(handler)});
}

HttpReply Router::answer(HttpCall call, const std::vector<std::string>& segments) const {
    const std::string method = call.method == "HEAD" ? "GET" : call.method;
    std::vector<std::string> allowed;
    for (const Route& route : routes_) {
        if (!fits(route.segments, segments, call.parameters)) {
            continue;
        }
        if (route.method == method) {
            return route.handler(call);
        }
        allowed.push_back(route.method);
    }
    if (allowed.empty()) {
        return problem(404, "not_found",
                       "no such resource; see /api/v1/openapi.json on the admin listener");
    }
    HttpReply reply = problem(405, "method_not_allowed",
                              fmt::format("this resource answers {}", fmt::join(allowed, ", ")));
    reply.headers.emplace_back("Allow", fmt::format("{}", fmt::join(allowed, ", ")));
    return reply;
}

}  // namespace postlane
