// The words of suppression events.
#include <array>
#include <cstddef>

#include "postlane/event.h"

namespace postlane {
namespace {

// In the order of their numbers, which begin at 1.
constexpr std::array<std::string_view, 7> kSuppressionReasons{
    "unsubscribe", "hard_bounce", "soft_bounce", "complaint", "objection", "erasure", "manual",
};
static_assert(kSuppressionReasons.size() == static_cast<std::size_t>(SuppressionReason::Manual));

}  // namespace

std::string_view to_string(SuppressionReason reason) noexcept {
    return kSuppressionReasons[static_cast<std::size_t>(reason) - 1];
}

std::optional<SuppressionReason> suppression_reason_from(std::string_view word) noexcept {
    for (std::size_t i = 0; i < kSuppressionReasons.size(); ++i) {
        if (kSuppressionReasons[i] == word) {
            return static_cast<SuppressionReason>(i + 1);
        }
    }
    return std::nullopt;
}

std::string to_string(const Scope& scope) {
    switch (scope.kind) {
        case Scope::Kind::Everything:
            break;
        case Scope::Kind::Category:
            return "category:" + scope.name;
        case Scope::Kind::Sequence:
            return "sequence:" + scope.name;
    }
    return "everything";
}

}  // namespace postlane
