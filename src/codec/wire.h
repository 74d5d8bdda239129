// The few primitives that stored bytes are made of.
//
// Every value has exactly one encoding and the reader accepts no other, so "decodes" implies
// "encodes to the same bytes"; the fuzzers check that. The reader never reads outside its view:
// after the first mistake it yields zeros, and finish() says no.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace postlane::wire {

class Writer {
public:
    // Room for `expected` bytes at once: most keys and small rows fit into the default.
    explicit Writer(std::size_t expected = 64) { bytes_.reserve(expected); }

    void u8(std::uint8_t value) { bytes_.push_back(static_cast<char>(value)); }

    // LEB128: seven bits a byte, least significant first.
    void varint(std::uint64_t value) {
        while (value >= 0x80) {
            u8(static_cast<std::uint8_t>((value & 0x7f) | 0x80));
            value >>= 7;
        }
        u8(static_cast<std::uint8_t>(value));
    }

    // Small magnitudes of either sign are short.
    void zigzag(std::int64_t value) {
        const auto bits = static_cast<std::uint64_t>(value);
        varint((bits << 1) ^ (value < 0 ? ~std::uint64_t{0} : 0));
    }

    // Bytes sort as numbers.
    void big_endian(std::uint64_t value) {
        for (int shift = 56; shift >= 0; shift -= 8) {
            u8(static_cast<std::uint8_t>(value >> shift));
        }
    }
    // Bytes sort as numbers, negative ones first.
    void big_endian_signed(std::int64_t value) {
        big_endian(static_cast<std::uint64_t>(value) ^ kSignBit);
    }

    // Length, then the bytes: no encoded text is a prefix of another.
    void text(std::string_view value) {
        varint(value.size());
        bytes_.append(value);
    }
    void rest(std::string_view value) { bytes_.append(value); }

    template <std::size_t N>
    void fixed(const std::array<std::uint8_t, N>& value) {
        bytes_.append(value.begin(), value.end());
    }

    [[nodiscard]] std::string take() { return std::move(bytes_); }

    static constexpr std::uint64_t kSignBit = std::uint64_t{1} << 63;

private:
    std::string bytes_;
};

class Reader {
public:
    explicit Reader(std::string_view bytes) : left_(bytes) {}

    [[nodiscard]] std::uint8_t u8() {
        if (left_.empty()) {
            return fail();
        }
        const auto value = static_cast<std::uint8_t>(left_.front());
        left_.remove_prefix(1);
        return value;
    }

    [[nodiscard]] std::uint64_t varint() {
        std::uint64_t value = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
            const std::uint8_t byte = u8();
            const std::uint64_t bits = byte & 0x7f;
            value |= bits << shift;
            if ((byte & 0x80) == 0) {
                const bool padded = byte == 0 && shift > 0;
                const bool too_large = shift == 63 && bits > 1;
                return padded || too_large ? fail() : value;
            }
        }
        return fail();
    }

    [[nodiscard]] std::int64_t zigzag() {
        const std::uint64_t bits = varint();
        return static_cast<std::int64_t>((bits >> 1) ^ ((bits & 1) != 0 ? ~std::uint64_t{0} : 0));
    }

    [[nodiscard]] std::uint64_t big_endian() {
        if (left_.size() < 8) {
            return fail();
        }
        std::uint64_t value = 0;
        for (int i = 0; i < 8; ++i) {
            value = (value << 8) | u8();
        }
        return value;
    }
    [[nodiscard]] std::int64_t big_endian_signed() {
        return static_cast<std::int64_t>(big_endian() ^ Writer::kSignBit);
    }

    // Views end with the bytes that were read.
    [[nodiscard]] std::string_view text() {
        const std::uint64_t size = varint();
        if (size > left_.size()) {
            fail();
            return {};
        }
        const std::string_view value = left_.substr(0, size);
        left_.remove_prefix(size);
        return value;
    }
    [[nodiscard]] std::string_view rest() {
        const std::string_view value = left_;
        left_ = {};
        return value;
    }

    template <std::size_t N>
    [[nodiscard]] std::array<std::uint8_t, N> fixed() {
        std::array<std::uint8_t, N> value{};
        if (left_.size() < N) {
            fail();
            return value;
        }
        std::copy_n(left_.begin(), N, value.begin());
        left_.remove_prefix(N);
        return value;
    }

    // How many items follow. Each takes at least one byte, so a larger number is a lie and is not
    // worth an allocation.
    [[nodiscard]] std::size_t count() {
        const std::uint64_t value = varint();
        if (value > left_.size()) {
            return fail();
        }
        return value;
    }

    // The bytes are not what the writer would have written.
    void require(bool condition) {
        if (!condition) {
            fail();
        }
    }
    [[nodiscard]] bool ok() const { return ok_; }
    [[nodiscard]] bool finish() const { return ok_ && left_.empty(); }

private:
    std::uint8_t fail() {
        ok_ = false;
        left_ = {};
        return 0;
    }

    std::string_view left_;
    bool ok_ = true;
};

}  // namespace postlane::wire
