// What one configuration promises: the four promises of the protocol, exactly or with which limit,
// and the mechanisms that keep them. Worked out from the Config alone.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "postlane/config.h"

namespace postlane::cli {

struct Promise {
    enum class Holds : std::uint8_t {
        Exactly,
        WithLimit,
        GivenUp,  // by a policy in the configuration
    };
    std::string name;  // "G1 order"
    Holds holds = Holds::Exactly;
    std::string how;  // and its limit
};

// A named fact of the sheet.
struct Line {
    std::string name;
    std::string text;
};

struct ProviderSheet {
    std::string name;
    std::string kind;
    std::string host;
    std::vector<Line> deduplication;  // ledger, stored key, key passed on
    std::string on_ambiguous;
    std::array<Promise, 4> promises;
};

struct RouteSheet {
    std::string name;
    std::string fallback;  // empty: one provider
    std::vector<ProviderSheet> providers;
};

struct GuaranteeSheet {
    std::vector<Line> ordering;
    double enforced_share = 1;  // of sequences
    std::vector<Line> suppression;
    std::vector<RouteSheet> routes;
};

[[nodiscard]] GuaranteeSheet guarantee_sheet(const Config& config);

[[nodiscard]] std::string to_text(const GuaranteeSheet& sheet);
// One object, without a line end.
[[nodiscard]] std::string to_json(const GuaranteeSheet& sheet);

}  // namespace postlane::cli
