// A message -> the request a provider takes; a provider's bytes -> its answer.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postlane/answer.h"
#include "postlane/config.h"
#include "postlane/error.h"
#include "postlane/event.h"
#include "postlane/ports/dispatcher.h"

namespace postlane {

// Deterministic: the same message, configuration and provider give the same bytes. No credentials inside.
// `key` is the idempotency key; providers without keys get it as metadata `postlane_id`.
[[nodiscard]] Result<HttpRequest> render(const SendEvent& event, const config::Provider& provider,
                                         const config::Route& route, std::string_view key);

// Over URL, headers and body.
[[nodiscard]] Hash128 request_hash(const HttpRequest& request);

// The vendor's answer table entries that need the body: message id, machine-readable error word, "none accepted".
[[nodiscard]] ProviderAnswer parse_answer(
    config::ProviderKind kind, int status,
    const std::vector<std::pair<std::string, std::string>>& headers, std::string_view body);

}  // namespace postlane
