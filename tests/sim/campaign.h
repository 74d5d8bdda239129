// Many seeds, on several cores, with whatever fails made small and kept.
//
// Each worker is a process of its own: a broken rule of the core ends a process, and then its seed is known too.
#pragma once

#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "sim/case.h"
#include "sim/swarm.h"

namespace postlane::sim {

struct Violation {
    Case smallest;
    std::uint64_t seed = 0;
    std::string trouble;        // of the seed as it was
    std::string small_trouble;  // of the smallest case
    std::string file;           // where it is kept; empty: nowhere
};

struct CampaignProgress {
    std::uint64_t seeds = 0;
    std::uint64_t run_twice = 0;
    std::uint64_t executions = 0;
    std::uint64_t events = 0;
    std::uint64_t violations = 0;
};

struct CampaignOptions {
    std::uint64_t first = 1;
    std::uint64_t count = 1;
    int jobs = 1;
    std::size_t violations_max = 10;  // it ends after so many
    std::string keep_in;              // a folder for the small cases; empty: they are not kept
    std::function<void(const CampaignProgress&)> on_progress;
    std::function<void(const Violation&)> on_violation;
};

struct CampaignResult {
    CampaignProgress total;
    std::vector<Violation> violations;
    Probes probes;
};

[[nodiscard]] CampaignResult run_campaign(const CampaignOptions& options);

// Does something in a process of its own, which may end it.
struct Apart {
    std::string output;    // what it wrote into the file
    std::string ended_by;  // a signal; empty: it ended well
};
[[nodiscard]] Apart run_apart(const std::function<void(std::FILE*)>& work);
// Runs it in a process of its own.
[[nodiscard]] std::string trouble_of(const Case& one);

}  // namespace postlane::sim
