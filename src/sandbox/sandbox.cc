#include "sandbox/sandbox.h"

#include <fmt/format.h>
#include <sysexits.h>

#include <CLI/CLI.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include "sandbox/engine.h"
#include "sandbox/journal.h"
#include "sandbox/server.h"

namespace postlane::sandbox {

class Sandbox::Impl {
public:
    Impl(const Options& options, std::function<void(std::string)> on_failure)
        : engine(options), file(options.record_path),
          server(options, engine, file, std::move(on_failure)) {
        server.start();
    }

    Engine engine;
    RecordFile file;
    Server server;
};

Sandbox::Sandbox(const Options& options)
    : impl_(std::make_unique<Impl>(options, [](const std::string& problem) {
          fmt::print(stderr, "sandbox: {}\n", problem);
      })) {}

Sandbox::~Sandbox() = default;

std::uint16_t Sandbox::port() const {
    return impl_->server.port();
}

std::string Sandbox::url() const {
    return "http://" + impl_->server.address();
}

void add_options(CLI::App& app, Options& options) {
    app.add_option("--listen", options.listen, "ADDRESS:PORT; port 0: a free one is chosen")
        ->capture_default_str();
    app.add_option("--record", options.record_path,
                   "append a line of JSON per request to this file, before its answer");
    app.add_option("--latency-ms", options.latency_ms, "time from request to answer")
        ->capture_default_str();
    app.add_option("--threads", options.threads, "event loops")
        ->capture_default_str()
        ->check(CLI::Range(1, 64));
    app.add_option("--require-token", options.require_token,
                   "401 to requests without \"Authorization: Bearer\" and this token");
    app.add_flag("--http-idempotency,!--no-http-idempotency", options.http_idempotency,
                 "honour Idempotency-Key on the generic http endpoint (default: yes)");
    app.add_option("--faults", options.faults_json,
                   "faults from the start, as POST /_sandbox/faults takes them, e.g. "
                   "'{\"throttle\":0.1}'");
    app.add_option("--keep-records", options.keep_records, "latest records kept in memory")
        ->capture_default_str();
    app.add_option("--keep-keys", options.keep_idempotency_keys,
                   "idempotency keys kept in memory; the oldest is forgotten first")
        ->capture_default_str();
}

int run(const Options& options) {
    boost::asio::io_context loop;
    boost::asio::signal_set signals(loop, SIGTERM, SIGINT);
    int exit_code = EX_OK;
    signals.async_wait([&loop](const boost::system::error_code&, int) { loop.stop(); });
    // Called by the server's threads.
    const auto on_failure = [&](const std::string& problem) {
        boost::asio::post(loop, [&loop, &exit_code, problem] {
            fmt::print(stderr, "sandbox: {}\n", problem);
            exit_code = EX_IOERR;
            loop.stop();
        });
    };
    try {
        const Sandbox::Impl sandbox(options, on_failure);
        fmt::print("listening on http://{}\n", sandbox.server.address());
        std::fflush(stdout);
        loop.run();
    } catch (const std::exception& error) {
        fmt::print(stderr, "sandbox: {}\n", error.what());
        const std::string_view what = error.what();
        if (what.starts_with("cannot open the record file")) {
            return EX_IOERR;
        }
        return what.starts_with("cannot listen on") ? EX_UNAVAILABLE : EX_USAGE;
    }
    return exit_code;
}

}  // namespace postlane::sandbox
