// A server that does exactly what a test tells it, down to the bytes and the closing.
#pragma once

#include <openssl/ssl.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace postlane::testing {

// One accepted connection, used by its own thread.
class Connection {
public:
    Connection(int socket, SSL_CTX* tls);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    // A whole request: head and body. Nothing if the peer closed first.
    [[nodiscard]] std::optional<std::string> read_request();
    void send(std::string_view bytes);
    // Blocks until the peer closes or the server stops.
    void wait_for_close();
    // Ends with a reset instead of an orderly close.
    void reset_on_close();
    void shut_down() noexcept;  // any thread

private:
    [[nodiscard]] long receive(char* into, std::size_t size);

    const int socket_;
    SSL* tls_ = nullptr;
    bool tls_failed_ = false;
    std::string buffer_;
};

class RawServer {
public:
    // What to do with connection number `index` (from 0); it is closed when this returns.
    using Script = std::function<void(Connection& connection, std::size_t index)>;

    explicit RawServer(Script script, SSL_CTX* tls = nullptr);
    ~RawServer();
    RawServer(const RawServer&) = delete;
    RawServer& operator=(const RawServer&) = delete;

    [[nodiscard]] std::string url(std::string_view path = "/send") const;
    [[nodiscard]] std::size_t connections() const { return accepted_.load(); }

private:
    void accept_all();

    const Script script_;
    SSL_CTX* const tls_;
    int listener_ = -1;
    std::uint16_t port_ = 0;
    std::atomic<std::size_t> accepted_{0};
    std::mutex mutex_;
    std::list<Connection*> open_;  // under mutex_
    bool stopping_ = false;        // under mutex_
    std::vector<std::thread> threads_;
    std::thread acceptor_;
};

// A port on which nobody listens.
[[nodiscard]] std::uint16_t closed_port();

// "HTTP/1.1 200 OK" with this body, keeping the connection.
[[nodiscard]] std::string answer(int status, std::string_view body,
                                 std::string_view extra_headers = {});

}  // namespace postlane::testing
