// The HTTP side: hands requests to providers, at most once each, and reports what became of them.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "postlane/answer.h"
#include "postlane/types.h"

namespace postlane {

struct HttpRequest {
    std::string url;
    std::vector<std::pair<std::string, std::string>> headers;  // without credentials
    std::string body;
};

// The check in the last instant before bytes leave. Implemented by runtime/dispatch_guard.h; called
// by an I/O thread from libcurl's pre-request hook, so it must not block or allocate.
class LastCheck {
public:
    virtual ~LastCheck() = default;
    // Empty: go. Once it has let an attempt pass, the attempt counts.
    [[nodiscard]] virtual std::optional<NotHandedOver> refuses(BootInstant now) const noexcept = 0;
};

struct DispatchRequest {
    AttemptId attempt;
    PartitionId partition = 0;
    std::size_t provider = 0;  // index into Config::providers
    HttpRequest request;
    std::shared_ptr<const LastCheck> last_check;
};

// Told by I/O threads; must not block. For every accepted request exactly one finished().
class AttemptSink {
public:
    virtual ~AttemptSink() = default;
    // The last check passed; bytes may leave from now on.
    virtual void handed_over(const AttemptId& attempt) = 0;
    virtual void finished(const AttemptId& attempt, PartitionId partition,
                          AttemptResult result) = 0;
};

// Thread-safe. Credentials are added inside, at the last moment, and never logged.
class Dispatcher {
public:
    virtual ~Dispatcher() = default;
    // Queues the request; the provider's wire limit (max_in_flight) is kept inside.
    virtual void submit(DispatchRequest request) = 0;
};

}  // namespace postlane
