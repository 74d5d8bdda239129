// Idempotency keys with the answers they got: what Resend promises for 24 hours.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <unordered_map>

namespace postlane::sandbox {

using Digest = std::array<unsigned char, 32>;  // SHA-256 of a body

enum class KeyState : std::uint8_t { New, Replay, InProgress, OtherBody };

// Bounded: beyond `capacity` keys the one stored first is forgotten. Not thread-safe.
class IdempotencyStore {
public:
    explicit IdempotencyStore(std::size_t capacity) : capacity_(capacity) {}

    struct Found {
        KeyState state = KeyState::New;
        std::string_view answer_id;  // only for Replay; valid until the next store()
    };
    [[nodiscard]] Found find(const std::string& key, const Digest& body, std::int64_t now_us,
                             std::uint64_t lifetime_ms) const;

    // The request counts as in progress until `ready_at_us`, when its answer is due.
    void store(const std::string& key, const Digest& body, std::string answer_id,
               std::int64_t now_us, std::int64_t ready_at_us);

    void clear();
    [[nodiscard]] std::size_t size() const { return entries_.size(); }

private:
    struct Entry {
        Digest body;
        std::string answer_id;
        std::int64_t stored_at_us;
        std::int64_t ready_at_us;
    };
    using Entries = std::unordered_map<std::string, Entry>;

    std::size_t capacity_;
    Entries entries_;
    std::deque<const std::string*> order_;  // keys of entries_, first stored first
};

}  // namespace postlane::sandbox
