// What every fuzz target shares. A target is one function over bytes; libFuzzer drives it, or replay.cc does with the
// inputs of a corpus.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace postlane::fuzz {

inline void must(bool holds, const char* what) {
    if (!holds) {
        std::fprintf(stderr, "does not hold: %s\n", what);
        std::abort();
    }
}

// Takes values from the front of the input; at its end, zeros.
class Bytes {
public:
    Bytes(const std::uint8_t* data, std::size_t size)
        : rest_(reinterpret_cast<const char*>(data), size) {}

    [[nodiscard]] bool empty() const { return rest_.empty(); }
    std::uint8_t u8() {
        if (rest_.empty()) {
            return 0;
        }
        const auto value = static_cast<std::uint8_t>(rest_.front());
        rest_.remove_prefix(1);
        return value;
    }
    std::uint8_t below(std::uint8_t end) { return static_cast<std::uint8_t>(u8() % end); }
    bool flag() { return (u8() & 1U) != 0; }
    // As many bytes as the next two say, or what is left.
    std::string text() {
        const std::size_t high = u8();
        const std::size_t low = u8();
        const std::string_view taken = rest_.substr(0, (high << 8U) | low);
        rest_.remove_prefix(taken.size());
        return std::string(taken);
    }
    std::string rest() { return std::string(rest_); }

private:
    std::string_view rest_;
};

}  // namespace postlane::fuzz
