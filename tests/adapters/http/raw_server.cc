#include "adapters/http/raw_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace postlane::testing {
namespace {

struct Bound {
    int socket;
    std::uint16_t port;
};

Bound bind_to_free_port() {
    const int bound = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (bound < 0 || bind(bound, generic, size) != 0 || getsockname(bound, generic, &size) != 0) {
        throw std::system_error(errno, std::generic_category(), "no free port");
    }
    return {bound, ntohs(address.sin_port)};
}

// OpenSSL writes to sockets without MSG_NOSIGNAL.
void block_sigpipe() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

std::size_t content_length(std::string_view head) {
    constexpr std::string_view kName = "Content-Length: ";
    const auto at = head.find(kName);
    return at == std::string_view::npos ? 0
                                        : std::stoul(std::string{head.substr(at + kName.size())});
}

}  // namespace

Connection::Connection(int socket, SSL_CTX* tls) : socket_(socket) {
    if (tls != nullptr) {
        tls_ = SSL_new(tls);
        SSL_set_fd(tls_, socket_);
        tls_failed_ = SSL_accept(tls_) != 1;
    }
}

Connection::~Connection() {
    SSL_free(tls_);
    close(socket_);
}

long Connection::receive(char* into, std::size_t size) {
    if (tls_failed_) {
        return -1;
    }
    return tls_ != nullptr ? SSL_read(tls_, into, static_cast<int>(size))
                           : recv(socket_, into, size, 0);
}

std::optional<std::string> Connection::read_request() {
    std::array<char, 16384> part{};
    while (true) {
        const auto end = buffer_.find("\r\n\r\n");
        if (end != std::string::npos) {
            const std::size_t size = end + 4 + content_length(buffer_.substr(0, end));
            if (buffer_.size() >= size) {
                std::string request = buffer_.substr(0, size);
                buffer_.erase(0, size);
                return request;
            }
        }
        const long got = receive(part.data(), part.size());
        if (got <= 0) {
            return std::nullopt;
        }
        buffer_.append(part.data(), static_cast<std::size_t>(got));
    }
}

void Connection::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const long sent = tls_ != nullptr
                              ? SSL_write(tls_, bytes.data(), static_cast<int>(bytes.size()))
                              : ::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
}

void Connection::wait_for_close() {
    std::array<char, 1024> ignored{};
    while (receive(ignored.data(), ignored.size()) > 0) {
    }
}

void Connection::reset_on_close() {
    const linger at_once{.l_onoff = 1, .l_linger = 0};
    setsockopt(socket_, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
}

void Connection::shut_down() noexcept {
    shutdown(socket_, SHUT_RDWR);
}

RawServer::RawServer(Script script, SSL_CTX* tls) : script_(std::move(script)), tls_(tls) {
    const Bound bound = bind_to_free_port();
    listener_ = bound.socket;
    port_ = bound.port;
    if (listen(listener_, 512) != 0) {
        throw std::system_error(errno, std::generic_category(), "listen");
    }
    acceptor_ = std::thread([this] { accept_all(); });
}

RawServer::~RawServer() {
    shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    close(listener_);
    {
        const std::lock_guard lock{mutex_};
        stopping_ = true;
        for (Connection* connection : open_) {
            connection->shut_down();
        }
    }
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

std::string RawServer::url(std::string_view path) const {
    return (tls_ != nullptr ? "https://localhost:" : "http://127.0.0.1:") + std::to_string(port_) +
           std::string{path};
}

void RawServer::accept_all() {
    while (true) {
        const int accepted = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (accepted < 0) {
            return;
        }
        const std::size_t index = accepted_.fetch_add(1);
        threads_.emplace_back([this, accepted, index] {
            block_sigpipe();
            Connection connection{accepted, tls_};
            {
                const std::lock_guard lock{mutex_};
                open_.push_back(&connection);
                if (stopping_) {
                    connection.shut_down();
                }
            }
            script_(connection, index);
            const std::lock_guard lock{mutex_};
            open_.remove(&connection);
        });
    }
}

std::uint16_t closed_port() {
    const Bound bound = bind_to_free_port();
    close(bound.socket);
    return bound.port;
}

std::string answer(int status, std::string_view body, std::string_view extra_headers) {
    std::string text = "HTTP/1.1 " + std::to_string(status) + " Whatever\r\n";
    text.append(extra_headers);
    text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n\r\n");
    text.append(body);
    return text;
}

}  // namespace postlane::testing
