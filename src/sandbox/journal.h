// The record of what was asked and what was executed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

#include "sandbox/faults.h"
#include "sandbox/idempotency.h"
#include "sandbox/wire.h"

namespace postlane::sandbox {

struct Record {
    std::uint64_t n = 0;       // 1, 2, 3 … in the order of decision
    std::int64_t t_rx_us = 0;  // wall clock when the request's last byte was read
    std::optional<std::int64_t> t_reply_us = {};  // when the answer is due; null: there is none
    Provider provider = Provider::Http;
    int status = 0;  // 0: no answer
    bool executed = false;
    bool replayed = false;  // answered from an idempotency key
    Fault fault = Fault::None;
    Envelope envelope = {};
    std::optional<std::string_view> idempotency_key = {};
    Digest body_sha256{};
};

// One NDJSON line, ended by a newline.
void append_line(std::string& out, const Record& record);

// The record file. append() writes with one write(2) to a file opened with O_APPEND, so lines of
// several threads never mix; thread-safe.
class RecordFile {
public:
    explicit RecordFile(const std::string& path);  // empty: no file; throws std::runtime_error
    ~RecordFile();
    RecordFile(const RecordFile&) = delete;
    RecordFile& operator=(const RecordFile&) = delete;

    // Returns what went wrong. Then no answer to these requests may leave.
    [[nodiscard]] std::optional<std::string> append(std::string_view lines) const;

private:
    int file_ = -1;
};

// The latest records in memory. Not thread-safe.
class RecentRecords {
public:
    explicit RecentRecords(std::size_t capacity) : capacity_(capacity) {}

    void push(std::uint64_t n, bool executed, std::string_view line);
    void clear() { rows_.clear(); }

    // {"executions":[…],"next":N,"oldest":N}: up to `limit` with n > since, oldest first, or the
    // latest `limit` if `since` is absent. Ask again with since = next.
    [[nodiscard]] std::string to_json(std::optional<std::uint64_t> since, std::size_t limit,
                                      bool executed_only) const;

private:
    struct Row {
        std::uint64_t n;
        bool executed;
        std::string line;  // without the newline
    };
    std::size_t capacity_;
    std::deque<Row> rows_;
};

}  // namespace postlane::sandbox
