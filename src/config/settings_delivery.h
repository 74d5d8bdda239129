// The settings of [[providers]] and [[routes]], and what each kind of provider is by nature.
#pragma once

#include <span>
#include <string_view>

#include "config/setting.h"

namespace postlane::config {

std::span<const Setting> provider_settings();
std::span<const Setting> route_settings();

// What a supported kind brings along where the file says nothing.
struct KindTraits {
    ProviderKind kind;
    std::string_view base_url{};  // empty: the file must give one
    bool needs_credentials = false;
    // Set: the kind's own contract, not a setting.
    bool has_idempotency_header = false;
    std::string_view idempotency_header{};
    Millis idempotency_lifetime{};
};
// Null for a kind this release does not support.
const KindTraits* kind_traits(ProviderKind kind);
// The word of a kind in the file, and whether a word is a kind this release supports.
std::string_view kind_word(ProviderKind kind);
bool is_supported_kind(std::string_view word);

}  // namespace postlane::config
