// What the kinds of rows have in common. For the codec's own .cc files.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

#include "codec/wire.h"
#include "postlane/error.h"
#include "postlane/reason.h"
#include "postlane/types.h"

namespace postlane::ledger {

using wire::Reader;
using wire::Writer;

inline constexpr std::uint8_t kVersion = 1;
inline constexpr std::uint8_t kLocal = 0;  // first byte of keys that never leave the store

constexpr std::uint8_t byte(char letter) {
    return static_cast<std::uint8_t>(letter);
}

inline tl::unexpected<Error> corrupt(std::string_view what, std::string_view bytes) {
    if (!bytes.empty() && static_cast<std::uint8_t>(bytes.front()) > kVersion) {
        return fail(
            ErrorCode::Corrupt,
            fmt::format("{}: format version {}, this program knows {}; a newer postlane wrote it",
                        what, static_cast<std::uint8_t>(bytes.front()), kVersion));
    }
    return fail(ErrorCode::Corrupt,
                fmt::format("{}: {} bytes that make no sense", what, bytes.size()));
}

inline Writer versioned(std::size_t expected = 64) {
    Writer out(expected);
    out.u8(kVersion);
    return out;
}

inline Reader versioned(std::string_view bytes) {
    Reader in(bytes);
    in.require(in.u8() == kVersion);
    return in;
}

// Times are written relative to another one of the row, which makes them short. Arithmetic on bits,
// because any two times must survive, also those whose difference overflows.
inline void put_time(Writer& out, Instant value, Instant base = {}) {
    out.zigzag(
        static_cast<std::int64_t>(static_cast<std::uint64_t>(value.time_since_epoch().count()) -
                                  static_cast<std::uint64_t>(base.time_since_epoch().count())));
}
inline Instant take_time(Reader& in, Instant base = {}) {
    return Instant(Millis(
        static_cast<std::int64_t>(static_cast<std::uint64_t>(in.zigzag()) +
                                  static_cast<std::uint64_t>(base.time_since_epoch().count()))));
}

inline Reason take_reason(Reader& in) {
    const std::uint8_t number = in.u8();
    in.require(number <= static_cast<std::uint8_t>(kLastReason));
    return static_cast<Reason>(number);
}

inline void put_steps(Writer& out, const std::vector<Step>& steps) {
    out.varint(steps.size());
    for (const Step step : steps) {
        out.varint(step);
    }
}
inline std::vector<Step> take_steps(Reader& in) {
    std::vector<Step> steps(in.count());
    for (Step& step : steps) {
        step = in.varint();
    }
    return steps;
}

inline std::string take_text(Reader& in) {
    return std::string(in.text());
}

// A field whose flag says that it is not empty.
inline std::string take_present_text(Reader& in) {
    std::string value = take_text(in);
    in.require(!value.empty());
    return value;
}

inline std::uint32_t take_u32(Reader& in) {
    const std::uint64_t value = in.varint();
    in.require(value <= UINT32_MAX);
    return static_cast<std::uint32_t>(value);
}

inline bool take_bool(Reader& in) {
    const std::uint8_t value = in.u8();
    in.require(value <= 1);
    return value == 1;
}

// Which optional fields of a row follow, lowest bit first. Bits of fields that ended rows have come
// first, so that theirs are the short ones.
template <class Flag>
class Flags {
public:
    Flags() = default;
    explicit Flags(std::uint64_t bits) : bits_(bits) {}
    void set_if(Flag flag, bool present) { bits_ |= present ? bit(flag) : 0; }
    [[nodiscard]] bool has(Flag flag) const { return (bits_ & bit(flag)) != 0; }
    [[nodiscard]] std::uint64_t bits() const { return bits_; }
    [[nodiscard]] bool below(Flag end) const { return bits_ < bit(end); }

private:
    static std::uint64_t bit(Flag flag) { return std::uint64_t{1} << static_cast<unsigned>(flag); }
    std::uint64_t bits_ = 0;
};

}  // namespace postlane::ledger
