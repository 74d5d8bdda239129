// One CURLM, driven by epoll. libcurl gets dearer with the transfers of a handle, so an I/O thread
// has as many of these as keep each small.
#pragma once

#include <curl/curl.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace postlane::http {

class Multi;

// The sockets of all CURLMs of one I/O thread. libcurl lets go of a socket after each request and
// takes it up again with the next: it stays registered in between, which saves the system calls.
class Poller {
public:
    Poller();
    ~Poller();
    Poller(const Poller&) = delete;
    Poller& operator=(const Poller&) = delete;

    // Any thread: ends a wait().
    void wake() noexcept;
    // Drives every socket with something to do, waiting at most so long for the first.
    void wait(std::chrono::milliseconds at_most);

    // What libcurl wants to know of this socket; CURL_POLL_REMOVE: nothing.
    void watch(Multi& multi, curl_socket_t socket, int what);

    // libcurl's socket callbacks; the last argument is the Poller.
    static curl_socket_t open_socket(void* self, curlsocktype purpose,
                                     curl_sockaddr* address) noexcept;
    static int close_socket(void* self, curl_socket_t socket) noexcept;

private:
    struct Watched {
        Multi* multi = nullptr;     // null: nobody asks now
        std::uint32_t events = 0;   // as registered; 0: not registered
        bool opened_by_us = false;  // so we hear when it closes, and may leave it registered
    };
    Watched& watched(int socket);
    void forget(int socket, Watched& state);
    void on_event(int socket, std::uint32_t events);

    const int epoll_;
    const int wake_;
    std::vector<Watched> sockets_;  // by file descriptor
};

class Multi {
public:
    using Time = std::chrono::steady_clock::time_point;

    // Keeps up to `connections_max` idle connections.
    Multi(Poller& poller, std::size_t connections_max);
    // Every handle must have been removed.
    ~Multi();
    Multi(const Multi&) = delete;
    Multi& operator=(const Multi&) = delete;

    // False: libcurl would not take it.
    [[nodiscard]] bool add(CURL* easy);
    void remove(CURL* easy);

    // When libcurl wants to be called even if no socket stirs.
    [[nodiscard]] std::optional<Time> timer() const noexcept { return timer_; }
    void run_timer(Time now);
    void run_socket(curl_socket_t socket, int what);

    struct Done {
        CURL* easy;
        CURLcode code;
    };
    // A transfer that ended since; remove() it.
    [[nodiscard]] std::optional<Done> next_done();

    std::size_t transfers = 0;  // that belong here, on the wire or not; the I/O thread's count

private:
    static int on_socket(CURL* easy, curl_socket_t socket, int what, void* self, void*) noexcept;
    static int on_timer(CURLM* handle, long timeout_ms, void* self) noexcept;

    Poller& poller_;
    CURLM* const handle_;
    std::optional<Time> timer_;
    bool maybe_done_ = false;  // libcurl ran since the last look
};

}  // namespace postlane::http
