#include "adapters/http/multi.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <new>
#include <system_error>

namespace postlane::http {
namespace {

constexpr std::size_t kEventsAtOnce = 256;

int checked(int descriptor, const char* what) {
    if (descriptor < 0) {
        throw std::system_error(errno, std::generic_category(), what);
    }
    return descriptor;
}

std::uint32_t events_for(int what) {
    std::uint32_t events = 0;
    events |= (what & CURL_POLL_IN) != 0 ? EPOLLIN : 0U;
    events |= (what & CURL_POLL_OUT) != 0 ? EPOLLOUT : 0U;
    return events;
}

int action_for(std::uint32_t events) {
    int action = 0;
    action |= (events & (EPOLLIN | EPOLLHUP)) != 0 ? CURL_CSELECT_IN : 0;
    action |= (events & EPOLLOUT) != 0 ? CURL_CSELECT_OUT : 0;
    action |= (events & EPOLLERR) != 0 ? CURL_CSELECT_ERR : 0;
    return action;
}

}  // namespace

Poller::Poller()
    : epoll_(checked(epoll_create1(EPOLL_CLOEXEC), "epoll")),
      wake_(checked(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = wake_;
    checked(epoll_ctl(epoll_, EPOLL_CTL_ADD, wake_, &event), "epoll");
}

Poller::~Poller() {
    close(wake_);
    close(epoll_);
}

void Poller::wake() noexcept {
    const std::uint64_t one = 1;
    // Fails only when the counter is full, and then the wait ends anyway.
    [[maybe_unused]] const auto written = write(wake_, &one, sizeof(one));
}

void Poller::wait(std::chrono::milliseconds at_most) {
    std::array<epoll_event, kEventsAtOnce> events;
    const int count = epoll_wait(epoll_, events.data(), static_cast<int>(events.size()),
                                 static_cast<int>(at_most.count()));
    for (int at = 0; at < count; ++at) {
        const epoll_event& event = events[static_cast<std::size_t>(at)];
        if (event.data.fd == wake_) {
            std::uint64_t wakes = 0;
            [[maybe_unused]] const auto got = read(wake_, &wakes, sizeof(wakes));
        } else {
            on_event(event.data.fd, event.events);
        }
    }
}

Poller::Watched& Poller::watched(int socket) {
    const auto at = static_cast<std::size_t>(socket);
    if (at >= sockets_.size()) {
        sockets_.resize(at + 1);
    }
    return sockets_[at];
}

void Poller::forget(int socket, Watched& state) {
    epoll_ctl(epoll_, EPOLL_CTL_DEL, socket, nullptr);
    state.events = 0;
}

void Poller::on_event(int socket, std::uint32_t events) {
    Watched& state = watched(socket);
    if (state.multi != nullptr) {
        state.multi->run_socket(socket, action_for(events));
    } else if (state.events != 0) {
        // An idle connection that the server closed. libcurl finds out when it wants to use it.
        forget(socket, state);
    }
}

void Poller::watch(Multi& multi, curl_socket_t socket, int what) {
    Watched& state = watched(socket);
    if (what == CURL_POLL_REMOVE) {
        state.multi = nullptr;
        if (!state.opened_by_us) {
            forget(socket, state);
        }
        return;
    }
    state.multi = &multi;
    epoll_event event{};
    event.events = events_for(what);
    event.data.fd = socket;
    if (event.events == state.events) {
        return;
    }
    const int operation = state.events == 0 ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
    state.events = event.events;
    if (epoll_ctl(epoll_, operation, socket, &event) != 0) {
        // A socket we did not open may have been replaced by another of the same number.
        epoll_ctl(epoll_, errno == EEXIST ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, socket, &event);
    }
}

curl_socket_t Poller::open_socket(void* self, curlsocktype /*purpose*/,
                                  curl_sockaddr* address) noexcept {
    const int opened = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (opened >= 0) {
        static_cast<Poller*>(self)->watched(opened) = Watched{.opened_by_us = true};
    }
    return opened < 0 ? CURL_SOCKET_BAD : opened;
}

int Poller::close_socket(void* self, curl_socket_t socket) noexcept {
    // Closing it also ends its registration.
    static_cast<Poller*>(self)->watched(socket) = Watched{};
    return close(socket);
}

Multi::Multi(Poller& poller, std::size_t connections_max)
    : poller_(poller), handle_(curl_multi_init()) {
    if (handle_ == nullptr) {
        throw std::bad_alloc{};
    }
    curl_multi_setopt(handle_, CURLMOPT_SOCKETFUNCTION, &Multi::on_socket);
    curl_multi_setopt(handle_, CURLMOPT_SOCKETDATA, this);
    curl_multi_setopt(handle_, CURLMOPT_TIMERFUNCTION, &Multi::on_timer);
    curl_multi_setopt(handle_, CURLMOPT_TIMERDATA, this);
    curl_multi_setopt(handle_, CURLMOPT_MAXCONNECTS, static_cast<long>(connections_max));
    curl_multi_setopt(handle_, CURLMOPT_PIPELINING, CURLPIPE_NOTHING);
}

Multi::~Multi() {
    curl_multi_cleanup(handle_);
}

bool Multi::add(CURL* easy) {
    return curl_multi_add_handle(handle_, easy) == CURLM_OK;
}

void Multi::remove(CURL* easy) {
    curl_multi_remove_handle(handle_, easy);
}

void Multi::run_timer(Time now) {
    if (!timer_ || *timer_ > now) {
        return;
    }
    timer_.reset();
    run_socket(CURL_SOCKET_TIMEOUT, 0);
}

void Multi::run_socket(curl_socket_t socket, int what) {
    int running = 0;
    maybe_done_ = true;
    curl_multi_socket_action(handle_, socket, what, &running);
}

std::optional<Multi::Done> Multi::next_done() {
    while (maybe_done_) {
        int left = 0;
        const CURLMsg* message = curl_multi_info_read(handle_, &left);
        if (message == nullptr) {
            maybe_done_ = false;
        } else if (message->msg == CURLMSG_DONE) {
            return Done{.easy = message->easy_handle, .code = message->data.result};
        }
    }
    return std::nullopt;
}

int Multi::on_socket(CURL* /*easy*/, curl_socket_t socket, int what, void* self,
                     void* /*unused*/) noexcept {
    auto& multi = *static_cast<Multi*>(self);
    multi.poller_.watch(multi, socket, what);
    return 0;
}

int Multi::on_timer(CURLM* /*handle*/, long timeout_ms, void* self) noexcept {
    auto& multi = *static_cast<Multi*>(self);
    if (timeout_ms < 0) {
        multi.timer_.reset();
    } else {
        multi.timer_ = std::chrono::steady_clock::now() + std::chrono::milliseconds{timeout_ms};
    }
    return 0;
}

}  // namespace postlane::http
