// /metrics, /livez, /readyz, /startupz and /metrics/ordering.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "adapters/listener/http_server.h"
#include "adapters/listener/status_source.h"

namespace postlane {

// The word of a state in JSON and in metrics' labels.
[[nodiscard]] std::string_view to_string(PartitionState state) noexcept;

// `source` must outlive the server. `metrics_text` renders the exposition format.
void add_telemetry_routes(Router& router, const StatusSource& source,
                          std::function<std::string()> metrics_text);

}  // namespace postlane
