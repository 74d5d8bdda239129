// One thread of the HTTP side: its queues, its CURLMs, its time-outs.
#pragma once

#include <atomic>
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "adapters/http/curl_dispatcher.h"
#include "adapters/http/multi.h"
#include "adapters/http/transfer.h"

namespace postlane::http {

class IoThread {
public:
    // `limits`: how many requests to each provider this thread may have on the wire.
    IoThread(const Config& config, CurlOptions options, const Clock& clock, AttemptSink& sink,
             std::vector<std::size_t> limits);
    // Waits for the thread, which must have been asked to stop.
    ~IoThread();
    IoThread(const IoThread&) = delete;
    IoThread& operator=(const IoThread&) = delete;

    void start();
    // Any thread. False, and the request untouched, once it was asked to stop.
    [[nodiscard]] bool submit(DispatchRequest& request);
    void ask_to_stop(BootInstant deadline);
    void join();

    [[nodiscard]] std::size_t limit(std::size_t provider) const { return desks_[provider]->limit; }
    [[nodiscard]] std::size_t outstanding(std::size_t provider) const {
        return desks_[provider]->outstanding.load(std::memory_order_relaxed);
    }

private:
    // One provider's requests in this thread.
    struct Desk {
        Lane lane;
        std::size_t limit = 0;
        std::atomic<std::size_t> outstanding{0};
        // Below: the thread's own.
        std::size_t on_wire = 0;
        std::deque<DispatchRequest> queue;
        std::vector<Transfer*> idle;  // the last one used is the first to be used again
    };

    void run();
    void take_inbox(bool may_sleep);
    void admit();
    void refuse_stale(Desk& desk);
    void put_on_wire(Desk& desk, DispatchRequest request);
    Transfer& idle_transfer(Desk& desk, std::size_t provider);
    Multi& roomy_multi();
    void run_timers();
    void reap();
    void expire();
    void withdraw_what_waits();
    void abandon_what_is_left();
    void close_connections();
    void end(Transfer& transfer, CURLcode code, std::optional<std::string> why = std::nullopt);
    void report(Desk& desk, const DispatchRequest& request, AttemptResult result);
    void report_not_handed_over(Desk& desk, const DispatchRequest& request, NotHandedOver why);
    [[nodiscard]] std::chrono::milliseconds patience() const;

    const CurlOptions options_;
    const Clock& clock_;
    AttemptSink& sink_;
    const Surroundings around_;
    std::vector<std::unique_ptr<Desk>> desks_;  // by provider

    std::mutex mutex_;
    // Below: under mutex_.
    std::vector<DispatchRequest> inbox_;
    bool asleep_ = false;  // needs a wake() to look into the inbox
    std::optional<BootInstant> stop_by_;

    // Below: the thread's own.
    Poller poller_;
    std::vector<std::unique_ptr<Multi>> multis_;
    std::vector<std::unique_ptr<Transfer>> transfers_;
    std::vector<DispatchRequest> taken_;
    std::size_t active_ = 0;
    std::optional<BootInstant> stopping_by_;

    std::thread thread_;
};

}  // namespace postlane::http
