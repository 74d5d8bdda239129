// One partition of one input topic, read from an exact offset, without a consumer group.
#pragma once

#include <optional>
#include <vector>

#include "postlane/error.h"
#include "postlane/types.h"

namespace postlane {

// Used by the partition's thread only. Not taking records is back-pressure: the stream buffers a
// bounded amount and no more is fetched.
class InputStream {
public:
    virtual ~InputStream() = default;
    // Starts, or restarts, reading at `from`. kBeginning / kEnd are resolved by the broker.
    static constexpr Offset kBeginning = -2;
    static constexpr Offset kEnd = -1;
    [[nodiscard]] virtual Result<void> start(Offset from) = 0;
    // The offset that kBeginning or kEnd means right now.
    [[nodiscard]] virtual Result<Offset> resolve(Offset which) = 0;
    // Appends at most `max` records that have already arrived; never blocks. Offsets lost to retention
    // between `from` and the first record are an error of code Misconfigured.
    [[nodiscard]] virtual Result<void> poll(std::vector<InputRecord>& out, std::size_t max) = 0;
    // The offset at which the end of the partition was last seen with nothing after it (isolation: read_committed, so
    // this is the last stable offset). Every record below it was given by an earlier poll() or the last one; the ledger
    // goes on from there, and freshness is proven by it. Nothing before the first end seen since start().
    [[nodiscard]] virtual std::optional<Offset> end_seen() const = 0;
    // Highest offset known to exist + 1, for the lag metric only.
    [[nodiscard]] virtual std::optional<Offset> high_watermark() const = 0;
};

}  // namespace postlane
