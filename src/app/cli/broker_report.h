// What the cluster says about the topics of a configuration.
#pragma once

#include <boost/json/array.hpp>
#include <string>
#include <vector>

#include "adapters/kafka/topology.h"
#include "postlane/config.h"

namespace postlane::cli {

struct BrokerReport {
    std::string silence;   // why nothing is known of the topics; empty: it is
    bool refused = false;  // a broker answered, but would not tell
    int brokers = 0;
    std::vector<Finding> findings;  // of check_topology
};

// Whether `run` would refuse to start.
[[nodiscard]] bool any_refuses(const std::vector<Finding>& findings);

// Blocks until the cluster answers or the time is over.
[[nodiscard]] BrokerReport ask_brokers(const Config& config, Millis timeout);

[[nodiscard]] boost::json::array to_json(const std::vector<Finding>& findings);
[[nodiscard]] std::string to_text(const Finding& finding);  // a line
// A section of the sheet that `validate` prints.
[[nodiscard]] std::string to_text(const BrokerReport& report);
// One object, without a line end.
[[nodiscard]] std::string to_json(const BrokerReport& report);

}  // namespace postlane::cli
