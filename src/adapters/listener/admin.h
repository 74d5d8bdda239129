// /api/v1 of the admin listener.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adapters/listener/admin_source.h"
#include "adapters/listener/http_server.h"
#include "adapters/listener/status_source.h"
#include "postlane/config.h"

namespace postlane {

// Sources and `config` must outlive the server.
void add_admin_routes(Router& router, AdminSource& admin, const StatusSource& status,
                      const Config& config);

// The OpenAPI 3.1 document of these routes.
[[nodiscard]] std::string_view openapi_document() noexcept;

// Also for a `ledger` command that reads topic and store itself.
[[nodiscard]] std::string ledger_stats_json(const std::vector<LedgerPartitionStats>& partitions);
[[nodiscard]] std::string ledger_verdict_json(
    const std::vector<LedgerPartitionVerdict>& partitions);

}  // namespace postlane
