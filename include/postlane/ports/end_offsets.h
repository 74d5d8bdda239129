// Where suppression partitions end right now: the question behind every freshness proof.
#pragma once

#include <map>
#include <vector>

#include "postlane/error.h"
#include "postlane/types.h"

namespace postlane {

// Used by the freshness thread only; blocks for one request. The handle is idle otherwise, because a
// long-polling one delays the answer by its fetch wait.
class EndOffsets {
public:
    virtual ~EndOffsets() = default;
    struct Answer {
        std::map<PartitionId, Offset> suppressions;          // of the partitions asked for
        std::map<PartitionId, Offset> address_suppressions;  // of all partitions
    };
    // read_uncommitted ends. Any error for any partition fails the whole question: fail closed.
    [[nodiscard]] virtual Result<Answer> ask(const std::vector<PartitionId>& suppressions) = 0;
};

}  // namespace postlane
