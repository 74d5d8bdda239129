// Short forms for tests of one sequence, "drip", whose steps are the messages m1, m2, ...
#pragma once

#include <string>
#include <vector>

#include "fake_view.h"

namespace postlane {

inline void receive_steps(Bench& bench, const std::vector<Step>& steps) {
    for (const Step step : steps) {
        bench.receive({.id = "m" + std::to_string(step), .step = step});
    }
}

inline Bench bench_with(config::OnGap on_gap) {
    Bench bench;
    bench.config.ordering.on_gap = on_gap;
    return bench;
}

// What the outcome of this message says was passed over before it.
inline std::vector<Step> skipped_before(const Bench& bench, const std::string& id) {
    for (const OutcomeRecord& outcome : bench.outcomes) {
        if (outcome.message_id == MessageId(id)) {
            return outcome.skipped_steps;
        }
    }
    ADD_FAILURE() << "no outcome of " << id;
    return {};
}

}  // namespace postlane
