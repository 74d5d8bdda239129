// A local email service provider for development, demos, tests and benchmarks.
//
// Speaks the wire formats of SendGrid, Resend and the generic http provider, takes latency and
// faults while it runs, honours idempotency keys as Resend does, and writes a record of every
// request before it answers, so that a judge can tell what really was executed. It shares no code
// with the dispatch path that it judges. docs: GET /_sandbox/ on the running sandbox.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

namespace CLI {
class App;
}

namespace postlane::sandbox {

struct Options {
    std::string listen = "127.0.0.1:8025";  // port 0: a free one
    std::string record_path;                // NDJSON, appended to; empty: no file
    std::uint32_t latency_ms = 0;
    std::uint32_t threads = 1;
    std::string require_token;  // empty: any non-empty bearer token
    bool http_idempotency = true;
    std::string faults_json;  // faults in force from the start, as POST /_sandbox/faults takes them
    // Bounds of memory: the latest records, and idempotency keys with their answers (oldest out).
    std::size_t keep_records = 100'000;
    std::size_t keep_idempotency_keys = 1'000'000;
};

void add_options(CLI::App& app, Options& options);

// Serves until SIGTERM or SIGINT, then returns 0. The first line on stdout is
// "listening on http://ADDRESS:PORT". Returns 64 (options), 69 (cannot listen) or 74 (record file
// cannot be written) with a message on stderr.
int run(const Options& options);

// The same in-process. The constructor listens and starts the threads, and throws
// std::runtime_error if it cannot; the destructor stops and joins them.
class Sandbox {
public:
    explicit Sandbox(const Options& options);
    ~Sandbox();
    Sandbox(const Sandbox&) = delete;
    Sandbox& operator=(const Sandbox&) = delete;

    [[nodiscard]] std::uint16_t port() const;
    [[nodiscard]] std::string url() const;  // http://ADDRESS:PORT

    class Impl;

private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace postlane::sandbox
