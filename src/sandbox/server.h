// The HTTP/1.1 server: one event loop per thread, records before answers.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "sandbox/engine.h"
#include "sandbox/journal.h"

namespace postlane::sandbox {

class Server {
public:
    // Listens at once; throws std::runtime_error if it cannot. `on_failure` is called, from any of
    // the threads, when the record file cannot be written: nothing is answered from then on.
    Server(const Options& options, Engine& engine, RecordFile& file,
           std::function<void(std::string)> on_failure);
    ~Server();  // stops
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    void start();
    // Closes every connection, then writes what was decided but not answered. Idempotent.
    void stop();

    [[nodiscard]] std::string address() const;
    [[nodiscard]] std::uint16_t port() const;

    class Impl;

private:
    std::unique_ptr<Impl> impl_;
};

}  // namespace postlane::sandbox
