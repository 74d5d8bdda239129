#include "sandbox/stats.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>

namespace postlane::sandbox {

std::size_t Histogram::bucket_of(std::uint64_t microseconds) {
    if (microseconds < 8) {
        return microseconds;
    }
    const std::size_t power = static_cast<unsigned>(std::bit_width(microseconds)) - 1U;  // >= 3
    return (power - 2) * 8 + ((microseconds >> (power - 3)) & 7U);
}

std::uint64_t Histogram::upper_bound(std::size_t bucket) {
    if (bucket < 8) {
        return bucket;
    }
    const std::size_t power = bucket / 8 + 2;
    return (std::uint64_t{8} + bucket % 8 + 1) << (power - 3);
}

void Histogram::add(std::uint64_t microseconds) {
    ++counts_.at(bucket_of(microseconds));
    ++total_;
}

std::uint64_t Histogram::quantile_us(double quantile) const {
    const auto wanted =
        static_cast<std::uint64_t>(std::ceil(quantile * static_cast<double>(total_)));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < kBuckets && wanted > 0; ++bucket) {
        seen += counts_.at(bucket);
        if (seen >= wanted) {
            return upper_bound(bucket);
        }
    }
    return 0;
}

void Stats::count(const Record& record) {
    ++requests_;
    executed_ += record.executed ? 1 : 0;
    replayed_ += record.replayed ? 1 : 0;
    ++by_status_[record.status];
    ++by_fault_.at(static_cast<std::size_t>(record.fault));
    ++by_provider_.at(static_cast<std::size_t>(record.provider));

    const std::int64_t now_s = record.t_rx_us / 1'000'000;
    Second& second = seconds_.at(static_cast<std::size_t>(now_s) % kSeconds);
    if (second.second != now_s) {
        second = {.second = now_s};
    }
    ++second.requests;
    second.executed += record.executed ? 1 : 0;
}

std::string Stats::to_json(std::int64_t now_us, std::uint64_t connections_open,
                           std::uint64_t connections_total, std::uint64_t idempotency_keys) const {
    std::string out;
    const auto put = [&out]<class... Args>(fmt::format_string<Args...> format, Args&&... args) {
        fmt::format_to(std::back_inserter(out), format, std::forward<Args>(args)...);
    };
    put(R"({{"uptime_ms":{},"requests":{},"executed":{},"replayed":{},"by_status":{{)",
        (now_us - started_us_) / 1000, requests_, executed_, replayed_);
    for (auto status = by_status_.begin(); status != by_status_.end(); ++status) {
        put(R"({}"{}":{})", status == by_status_.begin() ? "" : ",", status->first, status->second);
    }
    out += R"(},"by_fault":{)";
    for (std::size_t i = 0; i < kFaultCount; ++i) {
        put(R"({}"{}":{})", i == 0 ? "" : ",", name_of(static_cast<Fault>(i)), by_fault_.at(i));
    }
    out += R"(},"by_provider":{)";
    for (std::size_t i = 0; i < kProviderCount; ++i) {
        put(R"({}"{}":{})", i == 0 ? "" : ",", name_of(static_cast<Provider>(i)),
            by_provider_.at(i));
    }
    put(R"(}},"connections":{{"open":{},"total":{}}},"idempotency_keys":{},)", connections_open,
        connections_total, idempotency_keys);
    put(R"("answer_us":{{"p50":{},"p99":{}}},"per_second":[)", answer_.quantile_us(0.5),
        answer_.quantile_us(0.99));
    // The last 60 finished seconds, oldest first.
    const std::int64_t now_s = now_us / 1'000'000;
    for (std::int64_t at = now_s - 60; at < now_s; ++at) {
        const Second& second = seconds_.at(static_cast<std::size_t>(at) % kSeconds);
        const bool current = second.second == at;
        put(R"({}{{"requests":{},"executed":{}}})", at == now_s - 60 ? "" : ",",
            current ? second.requests : 0, current ? second.executed : 0);
    }
    out += "]}";
    return out;
}

}  // namespace postlane::sandbox
