#include "app/cli/broker_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "app/cli/console.h"

namespace postlane::cli {

namespace {

bool refuses(const Finding& finding) {
    return finding.severity == Finding::Severity::Refuse;
}

}  // namespace

bool any_refuses(const std::vector<Finding>& findings) {
    return std::any_of(findings.begin(), findings.end(), refuses);
}

std::string to_text(const Finding& finding) {
    return fmt::format("{} {}: {}\n", refuses(finding) ? "refused" : "warning", finding.topic,
                       finding.text);
}

BrokerReport ask_brokers(const Config& config, Millis timeout) {
    BrokerReport report;
    // What librdkafka complains about while it tries is in the error that it ends with.
    const auto topology =
        read_topology(config, [](int /*level*/, std::string_view /*text*/) {}, timeout);
    if (!topology) {
        report.silence = topology.error().detail;
        return report;
    }
    report.brokers = topology->brokers;
    report.findings = check_topology(config, *topology);
    return report;
}

boost::json::array to_json(const std::vector<Finding>& findings) {
    boost::json::array array;
    for (const Finding& finding : findings) {
        array.push_back(boost::json::object{{"severity", refuses(finding) ? "refuse" : "warn"},
                                            {"topic", finding.topic},
                                            {"text", finding.text}});
    }
    return array;
}

std::string to_text(const BrokerReport& report) {
    std::string text = "\nBrokers\n";
    if (!report.silence.empty()) {
        text += fmt::format(
            "  not asked: {}\n  The topics were not looked at. `postlane topics check` does that "
            "when the brokers can be reached; `run` refuses topics that would break a promise.\n",
            printable(report.silence));
        return text;
    }
    text += fmt::format("  {} answered\n",
                        counted(static_cast<std::uint64_t>(report.brokers), "broker"));
    for (const Finding& finding : report.findings) {
        text += "  " + to_text(finding);
    }
    if (any_refuses(report.findings)) {
        text += "  With these topics `run` would refuse to start (exit code 78).\n";
    } else {
        text += "  The topics are as postlane needs them.\n";
    }
    return text;
}

std::string to_json(const BrokerReport& report) {
    boost::json::object object{{"answered", report.silence.empty()}};
    if (report.silence.empty()) {
        object["brokers"] = report.brokers;
        object["ok"] = !any_refuses(report.findings);
        object["findings"] = to_json(report.findings);
    } else {
        object["why"] = report.silence;
    }
    return boost::json::serialize(object);
}

}  // namespace postlane::cli
