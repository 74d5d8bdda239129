#pragma once

#include <string_view>

#include "postlane/types.h"

namespace postlane {

// XXH3-128, most significant byte first. The result is stored in ledgers: it never changes.
[[nodiscard]] Hash128 hash128(std::string_view bytes) noexcept;

}  // namespace postlane
