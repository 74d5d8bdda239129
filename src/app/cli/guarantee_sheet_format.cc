#include <fmt/format.h>

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <iterator>
#include <string_view>

#include "app/cli/guarantee_sheet.h"

namespace postlane::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kWidth = 100;

std::string_view holds_text(Promise::Holds holds) {
    switch (holds) {
        case Promise::Holds::Exactly:
            return "holds";
        case Promise::Holds::WithLimit:
            return "holds with a limit";
        case Promise::Holds::GivenUp:
            return "GIVEN UP";
    }
    return "";
}

std::string_view holds_word(Promise::Holds holds) {
    switch (holds) {
        case Promise::Holds::Exactly:
            return "exactly";
        case Promise::Holds::WithLimit:
            return "with_limit";
        case Promise::Holds::GivenUp:
            return "given_up";
    }
    return "";
}

// The text in lines of at most kWidth, continued under its beginning.
void append_wrapped(std::string& out, std::string_view head, std::string_view text) {
    out += head;
    std::size_t column = head.size();
    bool first = true;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        if (!first && column + 1 + end > kWidth) {
            fmt::format_to(std::back_inserter(out), "\n{:{}}", "", head.size());
            column = head.size();
        } else if (!first) {
            out += ' ';
            ++column;
        }
        out += text.substr(0, end);
        column += end;
        first = false;
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    out += '\n';
}

void append_lines(std::string& out, std::size_t indent, const std::vector<Line>& lines) {
    for (const Line& line : lines) {
        append_wrapped(out, fmt::format("{:{}}{:<{}} ", "", indent, line.name, 28 - indent),
                       line.text);
    }
}

void append_provider(std::string& out, const ProviderSheet& provider) {
    fmt::format_to(std::back_inserter(out), "  provider {} ({}, {})\n", provider.name,
                   provider.kind, provider.host);
    append_lines(out, 4, provider.deduplication);
    append_lines(out, 4, {{"no clear answer", provider.on_ambiguous}});
    for (const Promise& promise : provider.promises) {
        append_lines(
            out, 4,
            {{promise.name, fmt::format("{}: {}", holds_text(promise.holds), promise.how)}});
    }
}

json::object lines_json(const std::vector<Line>& lines) {
    json::object object;
    for (const Line& line : lines) {
        std::string key = line.name;
        std::replace(key.begin(), key.end(), ' ', '_');
        object[key] = line.text;
    }
    return object;
}

json::object provider_json(const ProviderSheet& provider) {
    json::array promises;
    for (const Promise& promise : provider.promises) {
        promises.push_back(json::object{
            {"promise", promise.name}, {"holds", holds_word(promise.holds)}, {"how", promise.how}});
    }
    return {{"name", provider.name},
            {"kind", provider.kind},
            {"base_url", provider.host},
            {"deduplication", lines_json(provider.deduplication)},
            {"on_ambiguous", provider.on_ambiguous},
            {"promises", std::move(promises)}};
}

}  // namespace

std::string to_text(const GuaranteeSheet& sheet) {
    std::string out = "Guarantees\n\nordering\n";
    append_lines(out, 2, sheet.ordering);
    append_lines(out, 2,
                 {{"enforced for", fmt::format("{:.0f} % of sequences; events without a sequence "
                                               "have no order to keep",
                                               sheet.enforced_share * 100)}});
    out += "\nsuppression\n";
    append_lines(out, 2, sheet.suppression);
    for (const RouteSheet& route : sheet.routes) {
        fmt::format_to(std::back_inserter(out), "\nroute {}\n", route.name);
        if (!route.fallback.empty()) {
            append_lines(out, 2, {{"fallback", route.fallback}});
        }
        for (const ProviderSheet& provider : route.providers) {
            append_provider(out, provider);
        }
    }
    return out;
}

std::string to_json(const GuaranteeSheet& sheet) {
    json::array routes;
    for (const RouteSheet& route : sheet.routes) {
        json::array providers;
        for (const ProviderSheet& provider : route.providers) {
            providers.push_back(provider_json(provider));
        }
        json::object body{{"name", route.name}, {"providers", std::move(providers)}};
        if (!route.fallback.empty()) {
            body["fallback"] = route.fallback;
        }
        routes.push_back(std::move(body));
    }
    json::object ordering = lines_json(sheet.ordering);
    ordering["enforced_share"] = sheet.enforced_share;
    return json::serialize(json::object{{"ordering", std::move(ordering)},
                                        {"suppression", lines_json(sheet.suppression)},
                                        {"routes", std::move(routes)}});
}

}  // namespace postlane::cli
