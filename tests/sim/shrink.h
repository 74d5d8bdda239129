// Makes a failing run small: switches off one kind of trouble after the other, halves what is left, and keeps whatever
// still fails.
#pragma once

#include <functional>
#include <string>

#include "sim/case.h"

namespace postlane::sim {

// What is wrong with a case; empty: nothing.
using Judge = std::function<std::string(const Case&)>;

struct Shrunk {
    Case smallest;
    std::string trouble;
    int runs = 0;
};
// `trouble` is what `failing` gave. A change shifts every draw of chance after it, so a few other streams of chance are
// tried before a smaller case counts as sound.
[[nodiscard]] Shrunk shrink(const Case& failing, const std::string& trouble, const Judge& judge,
                            int runs_max = 400);

}  // namespace postlane::sim
