#include "codec/hash.h"

#include <xxhash.h>

#include <algorithm>

namespace postlane {

Hash128 hash128(std::string_view bytes) noexcept {
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data(), bytes.size()));
    Hash128 result{};
    std::copy(std::begin(canonical.digest), std::end(canonical.digest), result.begin());
    return result;
}

}  // namespace postlane
