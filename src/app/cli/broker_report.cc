#include "app/cli/broker_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <mutex>

#include "app/cli/console.h"

namespace postlane::cli {

namespace {

bool refuses(const Finding& finding) {
    return finding.severity == Finding::Severity::Refuse;
}

// Why the last connection failed, as librdkafka's threads log it: the error at the end says only that one did.
class LastFailure {
public:
    void take(std::string_view line) {
        const auto says = [line](std::string_view text) {
            return line.find(text) != std::string_view::npos;
        };
        // That all brokers are down follows from the rest, and what a handle drops when it closes means nothing.
        if (!(says(" FAIL: ") || says(" ERROR: ")) || says("brokers are down") ||
            says("handle destroyed")) {
            return;
        }
        constexpr std::string_view kThreadEnd = "]: ";  // before it: handle, facility and thread
        const auto thread = line.find(kThreadEnd);
        const std::lock_guard lock(mutex_);
        text_ = line.substr(thread == std::string_view::npos ? 0 : thread + kThreadEnd.size());
    }
    [[nodiscard]] std::string text() const {
        const std::lock_guard lock(mutex_);
        return text_;
    }

private:
    mutable std::mutex mutex_;
    std::string text_;
};

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
    // Shared: a handle that does not close in time is left behind and may still log.
    const auto failure = std::make_shared<LastFailure>();
    // Of a broker that just hangs up, as one does that expects TLS, nothing would be logged.
    Config telling = config;
    telling.kafka.librdkafka.emplace("log.connection.close", "true");
    const auto topology = read_topology(
        telling, [failure](int /*level*/, std::string_view line) { failure->take(line); }, timeout);
    if (!topology) {
        report.silence = topology.error().detail;
        report.refused = topology.error().code != ErrorCode::Unavailable;
        if (const std::string why = failure->text(); !report.refused && !why.empty()) {
            report.silence += "; librdkafka says: " + why;
        }
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
    if (report.refused) {
        text += fmt::format("  refused: {}\n  `run` would refuse to start as well.\n",
                            printable(report.silence));
        return text;
    }
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
    boost::json::object object{{"answered", report.silence.empty() || report.refused}};
    if (report.refused) {
        object["ok"] = false;
        object["why"] = report.silence;
    } else if (report.silence.empty()) {
        object["brokers"] = report.brokers;
        object["ok"] = !any_refuses(report.findings);
        object["findings"] = to_json(report.findings);
    } else {
        object["why"] = report.silence;
    }
    return boost::json::serialize(object);
}

}  // namespace postlane::cli
