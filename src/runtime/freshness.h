// How fresh a view of a suppression topic is proven to be (protocol section 5).
//
// A proof (S, E) says: when asked at S, the partition ended at E. Once everything below E is applied, every suppression
// acknowledged before S is in the view. Proofs queue up and are never overwritten, else steady suppression traffic,
// whose every new end lies beyond what is applied, would starve sending.
#pragma once

#include <algorithm>
#include <deque>

#include "postlane/types.h"

namespace postlane {

class FreshnessProofs {
public:
    void add(BootInstant asked_at, Offset end) {
        if (!waiting_.empty() && waiting_.back().end == end) {
            waiting_.back().asked_at = std::max(waiting_.back().asked_at, asked_at);
        } else {
            waiting_.push_back({asked_at, end});
        }
        settle();
    }

    // Everything below `next` is applied.
    void applied_through(Offset next) {
        applied_ = std::max(applied_, next);
        settle();
    }

    // The epoch (never) until the first proof is reached.
    [[nodiscard]] BootInstant fresh_since() const noexcept { return fresh_since_; }
    [[nodiscard]] Offset applied() const noexcept { return applied_; }
    // Records that the last proof counts and that are not applied.
    [[nodiscard]] Offset lag() const noexcept {
        return waiting_.empty() ? 0 : waiting_.back().end - applied_;
    }

private:
    struct Proof {
        BootInstant asked_at;
        Offset end;
    };

    void settle() {
        while (!waiting_.empty() && waiting_.front().end <= applied_) {
            fresh_since_ = std::max(fresh_since_, waiting_.front().asked_at);
            waiting_.pop_front();
        }
    }

    std::deque<Proof> waiting_;  // ends ascend: one answers the next question with at least as much
    Offset applied_ = 0;
    BootInstant fresh_since_{};
};

}  // namespace postlane
