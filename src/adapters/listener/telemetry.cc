#include "adapters/listener/telemetry.h"

#include <fmt/format.h>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <iterator>
#include <utility>

namespace postlane {
namespace {

// One line per check; the first word is ok or failed.
struct Checks {
    bool passed = true;
    std::string lines;

    void add(bool ok, std::string_view name, std::string_view detail = {}) {
        passed = passed && ok;
        fmt::format_to(std::back_inserter(lines), "{} {}{}{}\n", ok ? "ok" : "failed", name,
                       detail.empty() ? "" : ": ", detail);
    }
};

// Failures are always told, because they are what somebody reading a probe's event wants to know.
HttpReply probe_reply(const Checks& checks, const HttpCall& call) {
    const bool verbose = call.has_query("verbose");
    if (checks.passed) {
        return text_reply(200, verbose ? checks.lines + "passed\n" : "ok\n");
    }
    return text_reply(503, checks.lines + "not passed\n");
}

HttpReply livez(const StatusSource& source, const HttpCall& call) {
    Checks checks;
    for (const Heartbeat& heartbeat : source.heartbeats()) {
        checks.add(heartbeat.age <= heartbeat.limit, heartbeat.thread,
                   fmt::format("last seen {} ms ago, limit {} ms", heartbeat.age.count(),
                               heartbeat.limit.count()));
    }
    return probe_reply(checks, call);
}

void add_partitions(Checks& checks, const StatusSource& source, bool must_run) {
    for (const PartitionStatus& partition : source.partitions()) {
        std::string detail(to_string(partition.state));
        if (partition.restore_remaining_records) {
            detail += fmt::format(", {} records to restore", *partition.restore_remaining_records);
        }
        checks.add(!must_run || partition.state == PartitionState::Running,
                   fmt::format("partition {}", partition.partition), detail);
    }
}

// Lag and staleness never count: they would stop a rollout that could cure them.
HttpReply readyz(const StatusSource& source, const HttpCall& call) {
    Checks checks;
    checks.add(source.started(), "started");
    checks.add(source.group_joined(), "group joined");
    checks.add(source.address_view_loaded(), "suppressions by address loaded");
    checks.add(!source.draining(), "not draining");
    add_partitions(checks, source, true);
    return probe_reply(checks, call);
}

HttpReply startupz(const StatusSource& source, const HttpCall& call) {
    Checks checks;
    checks.add(source.started(), "started");
    add_partitions(checks, source, false);  // told, but a restore is no reason for a restart
    return probe_reply(checks, call);
}

HttpReply ordering(const StatusSource& source) {
    const OrderingStatus status = source.ordering();
    const double share = status.sequences == 0 ? 1.0
                                               : static_cast<double>(status.sequences_enforced) /
                                                     static_cast<double>(status.sequences);
    const boost::json::object body{{"out_of_order", status.out_of_order},
                                   {"gaps", status.gaps},
                                   {"duplicates", status.duplicates},
                                   {"held", status.held},
                                   {"recipients", status.recipients},
                                   {"sequences", status.sequences},
                                   {"sequences_enforced", status.sequences_enforced},
                                   {"enforced_share", share}};
    return json_reply(boost::json::serialize(body));
}

}  // namespace

std::string_view to_string(PartitionState state) noexcept {
    switch (state) {
        case PartitionState::Fencing:
            return "fencing";
        case PartitionState::Restoring:
            return "restoring";
        case PartitionState::Running:
            return "running";
        case PartitionState::Draining:
            return "draining";
        case PartitionState::Stopped:
            return "stopped";
    }
    return "unknown";
}

void add_telemetry_routes(Router& router, const StatusSource& source,
                          std::function<std::string()> metrics_text) {
    router.add("GET", "/livez", [&source](const HttpCall& call) { return livez(source, call); });
    router.add("GET", "/readyz", [&source](const HttpCall& call) { return readyz(source, call); });
    router.add("GET", "/startupz",
               [&source](const HttpCall& call) { return startupz(source, call); });
    router.add("GET", "/metrics/ordering", [&source](const HttpCall&) { return ordering(source); });
    router.add("GET", "/metrics", [render = std::move(metrics_text)](const HttpCall&) {
        HttpReply reply = text_reply(200, render());
        reply.content_type = "text/plain; version=0.0.4; charset=utf-8";
        return reply;
    });
}

}  // namespace postlane
