// How postlane reports failures that a caller can act on.
#pragma once

#include <cstdint>
#include <string>
#include <tl/expected.hpp>
#include <utility>

namespace postlane {

// One code per thing a caller can do, not per thing that can go wrong.
enum class ErrorCode : std::uint8_t {
    Malformed,       // the input is wrong: refuse it, say why
    Unavailable,     // a peer does not answer: try again later
    Rejected,        // a peer refused: trying again changes nothing
    OutcomeUnknown,  // may or may not have happened: find out before doing anything else
    Fenced,          // another producer owns this partition now, or our epoch expired
    Corrupt,         // stored bytes make no sense: set aside, rebuild
    NoStorage,  // the local disk refuses to write or read: stop before anything is sent, exit 74
    Misconfigured,  // topics or settings contradict what is stored: exit 78, a person must act
    Denied,         // a permission is missing: exit 77, a person must act
};

// Nothing gets better by trying again.
[[nodiscard]] constexpr bool is_for_a_person(ErrorCode code) noexcept {
    return code == ErrorCode::Misconfigured || code == ErrorCode::Denied;
}

// `detail` is for people, never parsed, and never contains an address or a credential.
struct Error {
    ErrorCode code;
    std::string detail;
};

// A value or an Error. A subclass, because [[nodiscard]] on an alias warns on nothing.
template <class T>
class [[nodiscard]] Result : public tl::expected<T, Error> {
public:
    using tl::expected<T, Error>::expected;
    // What and_then and map give back.
    Result(tl::expected<T, Error> other) : tl::expected<T, Error>(std::move(other)) {}  // NOLINT
};

inline tl::unexpected<Error> fail(ErrorCode code, std::string detail) {
    return tl::unexpected<Error>(Error{code, std::move(detail)});
}

}  // namespace postlane
