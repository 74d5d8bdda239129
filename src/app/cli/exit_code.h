// Exit codes of every command. They are part of the contract: scripts and units rely on them.
#pragma once

#include "postlane/error.h"

namespace postlane::exit_code {

inline constexpr int kOk = 0;
inline constexpr int kNegative = 1;      // the answer is no: not sent, not suppressed, not equal
inline constexpr int kUsage = 64;        // the command line makes no sense
inline constexpr int kBadInput = 65;     // the data given makes no sense
inline constexpr int kUnavailable = 69;  // a peer does not answer
inline constexpr int kInternal = 70;
inline constexpr int kInputOutput = 74;
inline constexpr int kTryAgain = 75;  // restoring, or busy with the same question
inline constexpr int kDenied = 77;
inline constexpr int kConfig = 78;  // a person must change the configuration or the topics

[[nodiscard]] constexpr int of(ErrorCode code) noexcept {
    switch (code) {
        case ErrorCode::Malformed:
            return kBadInput;
        case ErrorCode::Unavailable:
            return kUnavailable;
        case ErrorCode::Rejected:
        case ErrorCode::Denied:
            return kDenied;
        case ErrorCode::NoStorage:
            return kInputOutput;
        case ErrorCode::Misconfigured:
            return kConfig;
        case ErrorCode::OutcomeUnknown:
            return kUnavailable;
        case ErrorCode::Fenced:
        case ErrorCode::Corrupt:
            return kInternal;
    }
    return kInternal;
}

}  // namespace postlane::exit_code
