// The local materialisation of one partition's ledger (and of the address suppressions).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postlane/error.h"

namespace postlane {

struct StoreBatch {
    struct Operation {
        std::string key;
        std::optional<std::string> value;  // absent: delete
    };
    std::vector<Operation> operations;
};

// Owned and used by one thread at a time. Errors are Corrupt (set aside and rebuild) or
// NoStorage (no space, I/O: stop dispatch).
class Store {
public:
    virtual ~Store() = default;
    [[nodiscard]] virtual Result<std::optional<std::string>> get(std::string_view key) const = 0;
    // Up to `limit` pairs with begin <= key < end, in key order.
    [[nodiscard]] virtual Result<std::vector<std::pair<std::string, std::string>>> scan(
        std::string_view begin, std::string_view end, std::size_t limit) const = 0;
    // All of it or nothing, also over kill -9. Not synced: the ledger topic is the truth.
    [[nodiscard]] virtual Result<void> write(const StoreBatch& batch) = 0;
    // For filling an empty store: as write(), but nothing of it needs to outlive a kill until the next write(), and it
    // may be large. The last operation of a key counts. The batch comes back in any order.
    [[nodiscard]] virtual Result<void> load(StoreBatch& batch) { return write(batch); }
    // Empties it: the next thing is a rebuild from the ledger.
    [[nodiscard]] virtual Result<void> wipe() = 0;
    // Bytes on disk, about.
    [[nodiscard]] virtual std::uint64_t size_bytes() const = 0;
};

}  // namespace postlane
