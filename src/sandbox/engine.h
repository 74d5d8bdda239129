// Decides what happens to a request: the sandbox's rules, without sockets.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/faults.h"
#include "sandbox/idempotency.h"
#include "sandbox/journal.h"
#include "sandbox/sandbox.h"
#include "sandbox/stats.h"
#include "sandbox/wire.h"

namespace postlane::sandbox {

std::int64_t wall_us();

struct Request {
    Provider provider = Provider::Http;
    std::string_view authorization;
    std::string_view content_type;
    std::optional<std::string_view> idempotency_key;
    std::optional<std::string_view> postlane_id;  // header X-Postlane-Id
    std::string* body = nullptr;                  // its capacity may grow
    std::int64_t t_rx_us = 0;
};

enum class Action : std::uint8_t { Reply, Close, Hang };

struct Verdict {
    Action action = Action::Reply;
    Answer answer;                 // for Reply
    std::uint64_t latency_us = 0;  // from t_rx_us to the answer or the closing
    bool close_idle = false;       // close the connection after the answer …
    std::uint32_t close_idle_ms = 0;
};

// What one thread needs to decide; not shared.
class Desk {
public:
    Desk();
    ~Desk();
    Desk(const Desk&) = delete;
    Desk& operator=(const Desk&) = delete;

    [[nodiscard]] Digest sha256(std::string_view bytes);
    BodyReader reader;

private:
    struct Hasher;
    std::unique_ptr<Hasher> hasher_;
};

// Thread-safe. The parsing and hashing happen outside the lock.
class Engine {
public:
    explicit Engine(const Options& options);  // throws std::runtime_error on bad faults_json

    // Appends the request's record to `lines`; it must be in the record file before the answer
    // leaves.
    Verdict decide(const Request& request, Desk& desk, std::string& lines);

    void count_answer(std::uint64_t after_us);

    [[nodiscard]] std::string faults_json() const;
    std::optional<std::string> change_faults(std::string_view json);
    void reset();  // faults as at the start; records, counters and keys gone; n goes on
    [[nodiscard]] std::string records_json(std::optional<std::uint64_t> since, std::size_t limit,
                                           bool executed_only) const;
    [[nodiscard]] std::string stats_json(std::uint64_t connections_open,
                                         std::uint64_t connections_total) const;

private:
    struct Case;  // one request while it is decided
    void judge(Case& it);
    bool refuse_before_reading(Case& it);
    bool check_idempotency(Case& it);
    void execute(Case& it);
    [[nodiscard]] bool token_is_good(const Request& request) const;
    std::string make_id(Provider provider, std::uint64_t n) const;

    const Options options_;
    const std::uint64_t run_id_;  // ids of two runs never collide
    Faults initial_faults_;

    mutable std::mutex mutex_;
    // Guarded by mutex_ from here on.
    Faults faults_;
    std::uint64_t rolled_ = 0;  // requests since the seed was set
    std::uint64_t n_ = 0;
    IdempotencyStore keys_;
    RecentRecords recent_;
    Stats stats_;
};

}  // namespace postlane::sandbox
