// Requests to providers, at most once each, by libcurl.
//
// libcurl by itself resends a POST when a pooled connection dies under it, and reports one clean
// answer for two deliveries. Its pre-request hook runs before each of those sends: it makes the
// last check the first time and aborts the second time, so that one attempt is one delivery or
// none, and what is not certain is said to be in doubt.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "postlane/config.h"
#include "postlane/ports/clock.h"
#include "postlane/ports/dispatcher.h"

namespace postlane {

namespace http {
class IoThread;
}

struct CurlOptions {
    std::string ca_file;                 // PEM bundle instead of the system's; empty: the system's
    Millis connect_timeout{5'000};       // DNS, TCP and TLS; nothing has been sent by then
    Millis idle_connection_max{15'000};  // below the keep-alive of the servers we know
};

// Owns dispatch.io_threads threads. `config`, `clock` and `sink` must outlive it. The sink is
// called by those threads; by the caller's own thread only for what is submitted after stop()
// began.
class CurlDispatcher final : public Dispatcher {
public:
    CurlDispatcher(const Config& config, const Clock& clock, AttemptSink& sink,
                   const CurlOptions& options = {});
    // As stop(now).
    ~CurlDispatcher() override;
    CurlDispatcher(const CurlDispatcher&) = delete;
    CurlDispatcher& operator=(const CurlDispatcher&) = delete;

    // Any thread, also from within finished().
    void submit(DispatchRequest request) override;

    // What waits in a queue or has not been handed over is withdrawn at once; what is on the wire
    // may finish until `deadline`, and is NoAnswer then. Returns when every request is finished and
    // the threads have ended. Not from within the sink.
    void stop(BootInstant deadline);

    // Submitted and not yet finished. Any thread.
    [[nodiscard]] std::size_t outstanding(std::size_t provider) const;

private:
    const Clock& clock_;
    AttemptSink& sink_;
    std::atomic<bool> stopping_{false};
    std::mutex stop_mutex_;  // serialises stop()
    std::vector<std::unique_ptr<http::IoThread>> threads_;
};

}  // namespace postlane
