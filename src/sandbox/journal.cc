#include "sandbox/journal.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <iterator>
#include <stdexcept>
#include <system_error>

#include "sandbox/json.h"

namespace postlane::sandbox {
namespace {

void append_hex(std::string& out, const Digest& digest) {
    static constexpr std::string_view kHex = "0123456789abcdef";
    for (const unsigned char byte : digest) {
        out += kHex[byte >> 4U];
        out += kHex[byte & 0xFU];
    }
}

void append_member(std::string& out, std::string_view name,
                   const std::optional<std::string_view>& text) {
    out += ",\"";
    out += name;
    out += "\":";
    append_json_string(out, text);
}

void append_sequence(std::string& out, const Envelope& envelope) {
    out += ",\"sequence\":";
    if (!envelope.sequence_id) {
        out += "null";
        return;
    }
    out += "{\"id\":";
    append_json_string(out, *envelope.sequence_id);
    out += ",\"step\":";
    if (envelope.sequence_step) {
        fmt::format_to(std::back_inserter(out), "{}", *envelope.sequence_step);
    } else {
        out += "null";
    }
    out += '}';
}

std::string text_of(int error_number) {
    return std::generic_category().message(error_number);
}

}  // namespace

void append_line(std::string& out, const Record& record) {
    const Envelope& envelope = record.envelope;
    fmt::format_to(std::back_inserter(out), R"({{"n":{},"t_rx_us":{},"t_reply_us":)", record.n,
                   record.t_rx_us);
    if (record.t_reply_us) {
        fmt::format_to(std::back_inserter(out), "{}", *record.t_reply_us);
    } else {
        out += "null";
    }
    fmt::format_to(
        std::back_inserter(out),
        R"(,"provider":"{}","status":{},"executed":{},"replayed":{},"fault":"{}","recipients":{})",
        name_of(record.provider), record.status, record.executed, record.replayed,
        name_of(record.fault), envelope.recipients);
    append_member(out, "to", envelope.to);
    append_member(out, "recipient_id", envelope.recipient_id);
    append_member(out, "message_id", envelope.message_id);
    append_member(out, "postlane_id", envelope.postlane_id);
    append_member(out, "idempotency_key", record.idempotency_key);
    append_member(out, "tag", envelope.tag);
    append_member(out, "subject", envelope.subject);
    append_sequence(out, envelope);
    out += ",\"body_sha256\":\"";
    append_hex(out, record.body_sha256);
    out += "\"}\n";
}

RecordFile::RecordFile(const std::string& path) {
    if (path.empty()) {
        return;
    }
    file_ = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (file_ < 0) {
        throw std::runtime_error(
            fmt::format("cannot open the record file {}: {}", path, text_of(errno)));
    }
}

RecordFile::~RecordFile() {
    if (file_ >= 0) {
        ::close(file_);
    }
}

std::optional<std::string> RecordFile::append(std::string_view lines) const {
    while (file_ >= 0 && !lines.empty()) {
        const ssize_t written = ::write(file_, lines.data(), lines.size());
        if (written < 0 && errno != EINTR) {
            return fmt::format("cannot write the record file: {}", text_of(errno));
        }
        lines.remove_prefix(static_cast<std::size_t>(std::max<ssize_t>(written, 0)));
    }
    return std::nullopt;
}

void RecentRecords::push(std::uint64_t n, bool executed, std::string_view line) {
    rows_.push_back({.n = n, .executed = executed, .line = std::string{line}});
    if (rows_.size() > capacity_) {
        rows_.pop_front();
    }
}

std::string RecentRecords::to_json(std::optional<std::uint64_t> since, std::size_t limit,
                                   bool executed_only) const {
    auto row = rows_.begin();
    if (since) {
        row = std::upper_bound(rows_.begin(), rows_.end(), *since,
                               [](std::uint64_t n, const Row& other) { return n < other.n; });
    } else {
        std::size_t wanted = limit;
        for (row = rows_.end(); row != rows_.begin() && wanted > 0;) {
            --row;
            wanted -= (!executed_only || row->executed) ? 1U : 0U;
        }
    }
    std::string out = "{\"executions\":[";
    std::uint64_t next = since.value_or(0);
    for (std::size_t count = 0; row != rows_.end() && count < limit; ++row) {
        next = row->n;
        if (executed_only && !row->executed) {
            continue;
        }
        out += count == 0 ? "" : ",";
        out += row->line;
        ++count;
    }
    fmt::format_to(std::back_inserter(out), R"(],"next":{},"oldest":{}}})", next,
                   rows_.empty() ? 0 : rows_.front().n);
    return out;
}

}  // namespace postlane::sandbox
