// The process's own figures, under the names that every Prometheus client library uses.
#pragma once

#include <prometheus/metric_family.h>

#include <vector>

namespace postlane {

// Read from /proc at the moment of the call; what cannot be read is left out. Any thread.
[[nodiscard]] std::vector<prometheus::MetricFamily> process_metrics();

}  // namespace postlane
