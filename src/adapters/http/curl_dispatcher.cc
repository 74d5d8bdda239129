#include "adapters/http/curl_dispatcher.h"

#include <curl/curl.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "adapters/http/io_thread.h"

namespace postlane {
namespace {

void initialise_curl_once() {
    // Never cleaned up: another part of the process may use libcurl until the very end.
    static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
    if (done != CURLE_OK) {
        throw std::runtime_error(std::string{"libcurl does not start: "} +
                                 curl_easy_strerror(done));
    }
}

// Thread `index`'s part of a limit; the parts add up to it.
std::size_t part_of(std::size_t limit, std::size_t index, std::size_t threads) {
    return limit / threads + (index < limit % threads ? 1U : 0U);
}

void withdraw(AttemptSink& sink, const Clock& clock, const DispatchRequest& request) {
    AttemptResult result;
    result.kind = AttemptResult::Kind::NotHandedOver;
    result.why_not = NotHandedOver::Withdrawn;
    result.ended_at = clock.boot_now();
    sink.finished(request.attempt, request.partition, std::move(result));
}

}  // namespace

CurlDispatcher::CurlDispatcher(const Config& config, const Clock& clock, AttemptSink& sink,
                               const CurlOptions& options)
    : clock_(clock), sink_(sink) {
    initialise_curl_once();
    const std::size_t count = std::max<std::size_t>(config.dispatch.io_threads, 1);
    for (std::size_t index = 0; index < count; ++index) {
        std::vector<std::size_t> limits;
        limits.reserve(config.providers.size());
        for (const config::Provider& provider : config.providers) {
            limits.push_back(
                part_of(std::max<std::size_t>(provider.max_in_flight, 1), index, count));
        }
        threads_.push_back(
            std::make_unique<http::IoThread>(config, options, clock, sink, std::move(limits)));
    }
    for (const auto& thread : threads_) {
        thread->start();
    }
}

CurlDispatcher::~CurlDispatcher() {
    stop(clock_.boot_now());
}

void CurlDispatcher::submit(DispatchRequest request) {
    // The thread whose share of this provider is used least; one without a share never is.
    const std::size_t provider = request.provider;
    http::IoThread* chosen = nullptr;
    double least = 0.0;
    for (const auto& thread : threads_) {
        const std::size_t limit = thread->limit(provider);
        if (limit == 0) {
            continue;
        }
        const double load =
            static_cast<double>(thread->outstanding(provider)) / static_cast<double>(limit);
        if (chosen == nullptr || load < least) {
            chosen = thread.get();
            least = load;
        }
    }
    if (chosen == nullptr || stopping_.load() || !chosen->submit(request)) {
        withdraw(sink_, clock_, request);
    }
}

void CurlDispatcher::stop(BootInstant deadline) {
    const std::lock_guard lock{stop_mutex_};
    stopping_.store(true);
    for (const auto& thread : threads_) {
        thread->ask_to_stop(deadline);
    }
    for (const auto& thread : threads_) {
        thread->join();
    }
}

std::size_t CurlDispatcher::outstanding(std::size_t provider) const {
    std::size_t sum = 0;
    for (const auto& thread : threads_) {
        sum += thread->outstanding(provider);
    }
    return sum;
}

}  // namespace postlane
