#include "adapters/http/io_thread.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "postlane/crash_point.h"

namespace postlane::http {
namespace {

// Each transfer costs libcurl more, the more its handle has: two to three times as much beyond 256, and still a tenth
// of the whole program between 64 and 256. The price of small ones: a handle that a quiet hour leaves without transfers
// keeps the connections which the provider has closed since, until it is used again; at most as many as its peak had.
constexpr std::size_t kTransfersPerMulti = 64;
// How long a queued request whose time has passed may go unnoticed, and how long the loop sleeps at
// most when nothing is due.
constexpr std::chrono::milliseconds kQueueScan{20};
constexpr std::chrono::milliseconds kSleepMax{1'000};

std::string authorization_of(const config::Provider& provider) {
    return provider.credentials.empty() ? std::string{}
                                        : "Authorization: Bearer " + provider.credentials.reveal();
}

// OpenSSL writes to sockets without MSG_NOSIGNAL.
void block_sigpipe() {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &set, nullptr);
}

}  // namespace

IoThread::IoThread(const Config& config, CurlOptions options, const Clock& clock, AttemptSink& sink,
                   std::vector<std::size_t> limits)
    : options_(std::move(options)), clock_(clock), sink_(sink),
      around_{.clock = clock, .sink = sink, .options = options_} {
    for (std::size_t at = 0; at < config.providers.size(); ++at) {
        auto desk = std::make_unique<Desk>();
        desk->lane.provider = &config.providers[at];
        desk->lane.authorization = authorization_of(config.providers[at]);
        desk->limit = limits.at(at);
        desks_.push_back(std::move(desk));
    }
}

IoThread::~IoThread() {
    join();
}

void IoThread::start() {
    thread_ = std::thread([this] {
        pthread_setname_np(pthread_self(), "http");  // for top -H and perf
        run();
    });
}

bool IoThread::submit(DispatchRequest& request) {
    bool wake = false;
    {
        const std::lock_guard lock{mutex_};
        if (stop_by_) {
            return false;
        }
        desks_.at(request.provider)->outstanding.fetch_add(1, std::memory_order_relaxed);
        inbox_.push_back(std::move(request));
        wake = std::exchange(asleep_, false);
    }
    if (wake) {
        poller_.wake();
    }
    return true;
}

void IoThread::ask_to_stop(BootInstant deadline) {
    {
        const std::lock_guard lock{mutex_};
        stop_by_ = stop_by_ ? std::min(*stop_by_, deadline) : deadline;
        asleep_ = false;
    }
    poller_.wake();
}

void IoThread::join() {
    if (thread_.joinable()) {
        thread_.join();
    }
}

void IoThread::run() {
    block_sigpipe();
    while (true) {
        take_inbox(false);
        if (stopping_by_) {
            withdraw_what_waits();
            if (active_ > 0 && clock_.boot_now() >= *stopping_by_) {
                abandon_what_is_left();
            }
            if (active_ == 0) {
                break;
            }
        }
        admit();
        run_timers();
        reap();
        expire();
        take_inbox(true);
        poller_.wait(patience());
        reap();
    }
    close_connections();
}

// Here, where SIGPIPE is blocked: saying goodbye to a TLS peer that has gone raises it.
void IoThread::close_connections() {
    for (const auto& desk : desks_) {
        desk->idle.clear();
    }
    transfers_.clear();
    multis_.clear();
}

void IoThread::take_inbox(bool may_sleep) {
    {
        const std::lock_guard lock{mutex_};
        std::swap(taken_, inbox_);
        stopping_by_ = stop_by_;
        asleep_ = may_sleep;
    }
    for (DispatchRequest& request : taken_) {
        desks_[request.provider]->queue.push_back(std::move(request));
    }
    taken_.clear();
}

void IoThread::admit() {
    for (const auto& desk : desks_) {
        while (!desk->queue.empty() && desk->on_wire < desk->limit) {
            DispatchRequest request = std::move(desk->queue.front());
            desk->queue.pop_front();
            put_on_wire(*desk, std::move(request));
        }
        refuse_stale(*desk);
    }
}

// The queue is in order of age, so what has become pointless is at its head.
void IoThread::refuse_stale(Desk& desk) {
    while (!desk.queue.empty()) {
        const auto why = desk.queue.front().last_check->refuses(clock_.boot_now());
        if (!why) {
            return;
        }
        const DispatchRequest request = std::move(desk.queue.front());
        desk.queue.pop_front();
        report_not_handed_over(desk, request, *why);
    }
}

void IoThread::put_on_wire(Desk& desk, DispatchRequest request) {
    if (const auto why = request.last_check->refuses(clock_.boot_now())) {
        report_not_handed_over(desk, request, *why);
        return;
    }
    const std::size_t provider = request.provider;
    Transfer& transfer = idle_transfer(desk, provider);
    transfer.load(std::move(request));
    if (!transfer.multi().add(transfer.easy())) {
        const DispatchRequest refused = transfer.unload();
        desk.idle.push_back(&transfer);
        report_not_handed_over(desk, refused, NotHandedOver::ConnectFailed);
        return;
    }
    transfer.active = true;
    ++desk.on_wire;
    ++active_;
}

Transfer& IoThread::idle_transfer(Desk& desk, std::size_t provider) {
    if (desk.idle.empty()) {
        Multi& multi = roomy_multi();
        transfers_.push_back(std::make_unique<Transfer>(around_, desk.lane, provider, multi,
                                                        &Poller::open_socket, &Poller::close_socket,
                                                        &poller_));
        ++multi.transfers;
        return *transfers_.back();
    }
    Transfer& transfer = *desk.idle.back();
    desk.idle.pop_back();
    return transfer;
}

Multi& IoThread::roomy_multi() {
    if (multis_.empty() || multis_.back()->transfers >= kTransfersPerMulti) {
        multis_.push_back(std::make_unique<Multi>(poller_, kTransfersPerMulti));
    }
    return *multis_.back();
}

void IoThread::run_timers() {
    const auto now = std::chrono::steady_clock::now();
    for (const auto& multi : multis_) {
        multi->run_timer(now);
    }
}

void IoThread::reap() {
    for (const auto& multi : multis_) {
        while (const auto done = multi->next_done()) {
            void* found = nullptr;
            curl_easy_getinfo(done->easy, CURLINFO_PRIVATE, &found);
            end(*static_cast<Transfer*>(found), done->code);
        }
    }
}

void IoThread::expire() {
    const BootInstant now = clock_.boot_now();
    for (const auto& desk : desks_) {
        if (desk->lane.oldest != nullptr) {
            crash_point(CrashPoint::MidRequest);
        }
        while (desk->lane.oldest != nullptr && desk->lane.oldest->deadline() <= now) {
            end(*desk->lane.oldest, CURLE_OPERATION_TIMEDOUT, "no answer within the time-out");
        }
    }
}

void IoThread::withdraw_what_waits() {
    for (const auto& desk : desks_) {
        for (const DispatchRequest& request : std::exchange(desk->queue, {})) {
            report_not_handed_over(*desk, request, NotHandedOver::Withdrawn);
        }
    }
    for (const auto& transfer : transfers_) {
        if (transfer->active && !transfer->handed_over()) {
            transfer->withdraw();
            end(*transfer, CURLE_ABORTED_BY_CALLBACK, "postlane is stopping");
        }
    }
}

void IoThread::abandon_what_is_left() {
    for (const auto& transfer : transfers_) {
        if (transfer->active) {
            end(*transfer, CURLE_ABORTED_BY_CALLBACK, "postlane stopped before the answer came");
        }
    }
}

// Also takes it off its CURLM, which closes the connection unless the answer was complete.
void IoThread::end(Transfer& transfer, CURLcode code, std::optional<std::string> why) {
    transfer.multi().remove(transfer.easy());
    AttemptResult result = transfer.conclude(code);
    if (why && result.kind != AttemptResult::Kind::Answered) {
        result.transport_error = std::move(*why);
    }
    Desk& desk = *desks_[transfer.provider()];
    const DispatchRequest request = transfer.unload();
    transfer.active = false;
    --desk.on_wire;
    --active_;
    desk.idle.push_back(&transfer);
    report(desk, request, std::move(result));
}

void IoThread::report(Desk& desk, const DispatchRequest& request, AttemptResult result) {
    desk.outstanding.fetch_sub(1, std::memory_order_relaxed);
    sink_.finished(request.attempt, request.partition, std::move(result));
}

void IoThread::report_not_handed_over(Desk& desk, const DispatchRequest& request,
                                      NotHandedOver why) {
    AttemptResult result;
    result.kind = AttemptResult::Kind::NotHandedOver;
    result.why_not = why;
    result.ended_at = clock_.boot_now();
    report(desk, request, std::move(result));
}

// How long the loop may sleep: until libcurl's next timer, the next time-out, the next look at the
// queues.
std::chrono::milliseconds IoThread::patience() const {
    auto patience = std::chrono::duration_cast<std::chrono::microseconds>(kSleepMax);
    const auto now = std::chrono::steady_clock::now();
    for (const auto& multi : multis_) {
        if (const auto timer = multi->timer()) {
            patience =
                std::min(patience, std::chrono::ceil<std::chrono::microseconds>(*timer - now));
        }
    }
    const BootInstant boot_now = clock_.boot_now();
    for (const auto& desk : desks_) {
        if (!desk->queue.empty()) {
            const bool room = desk->on_wire < desk->limit;
            patience = std::min<std::chrono::microseconds>(
                patience, room ? std::chrono::milliseconds{0} : kQueueScan);
        }
        if (desk->lane.oldest != nullptr) {
            patience = std::min(patience, desk->lane.oldest->deadline() - boot_now);
        }
    }
    if (stopping_by_) {
        patience = std::min(patience, *stopping_by_ - boot_now);
    }
    return std::max(std::chrono::milliseconds{0},
                    std::chrono::ceil<std::chrono::milliseconds>(patience));
}

}  // namespace postlane::http
