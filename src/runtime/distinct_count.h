// How many different keys there were, in bounded memory: exact for few, within about 2 % for any number.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_set>

namespace postlane {

// HyperLogLog (Flajolet et al. 2007) over hashes of 64 bits, behind a set of the first ones. One thread.
class DistinctCount {
public:
    static constexpr std::size_t kExact = 1'024;

    void add(std::uint64_t hash) {
        if (few_.size() < kExact) {
            few_.insert(hash);
        }
        if (few_.size() < kExact) {
            return;
        }
        if (!registers_) {
            registers_ = std::make_unique<Registers>();
            std::for_each(few_.begin(), few_.end(), [&](std::uint64_t each) { note(each); });
        }
        note(hash);
    }

    [[nodiscard]] std::size_t count() const {
        if (!registers_) {
            return few_.size();
        }
        double sum = 0;
        std::size_t empty = 0;
        for (const std::uint8_t rank : *registers_) {
            sum += std::ldexp(1.0, -rank);
            empty += rank == 0 ? 1 : 0;
        }
        constexpr double kSize = kRegisters;
        const double estimate = (0.7213 / (1 + 1.079 / kSize)) * kSize * kSize / sum;
        // Below this, counting the empty registers is more precise.
        const bool sparse = estimate <= 2.5 * kSize && empty > 0;
        const double best =
            sparse ? kSize * std::log(kSize / static_cast<double>(empty)) : estimate;
        return std::max(static_cast<std::size_t>(std::llround(best)), kExact);
    }

private:
    static constexpr int kIndexBits = 12;
    static constexpr std::size_t kRegisters = std::size_t{1} << kIndexBits;
    using Registers = std::array<std::uint8_t, kRegisters>;

    void note(std::uint64_t hash) {
        std::uint8_t& rank = (*registers_)[hash >> (64 - kIndexBits)];
        const int zeros = std::min(std::countl_zero(hash << kIndexBits), 64 - kIndexBits);
        rank = std::max(rank, static_cast<std::uint8_t>(zeros + 1));
    }

    std::unordered_set<std::uint64_t> few_;
    std::unique_ptr<Registers> registers_;
};

}  // namespace postlane
