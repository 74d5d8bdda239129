// One connection and the event loop it lives on. Private to the server.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <queue>
#include <string>
#include <vector>

#include "sandbox/control.h"
#include "sandbox/engine.h"
#include "sandbox/journal.h"

namespace postlane::sandbox {

class Session;

struct Shared {
    Engine& engine;
    RecordFile& file;
    std::function<void(std::string)> on_failure;
    std::atomic<std::uint64_t> connections_open = 0;
    std::atomic<std::uint64_t> connections_total = 0;
    std::atomic<bool> failed = false;  // the record file: answer nothing any more
};

// An event loop with its sessions; everything but stop() runs on its own thread.
class Shard {
public:
    using Clock = std::chrono::steady_clock;

    explicit Shard(Shared& shared) : shared_(shared), timer_(loop_) {}

    boost::asio::io_context& loop() { return loop_; }
    Shared& shared() { return shared_; }
    Desk& desk() { return desk_; }
    std::string& lines() { return lines_; }

    // After the record of the session's request was appended to lines(): writes it to the file,
    // together with those of all sessions that are ready in this turn of the loop, then calls
    // session->on_recorded().
    void record(std::shared_ptr<Session> session);
    void flush();

    // Calls session->on_due(ticket) at `at`.
    void call_at(Clock::time_point at, std::shared_ptr<Session> session, std::uint64_t ticket);

private:
    struct Due {
        Clock::time_point at;
        std::uint64_t ticket;
        std::shared_ptr<Session> session;
        bool operator<(const Due& other) const { return at > other.at; }  // earliest on top
    };
    void arm();
    void on_timer();

    boost::asio::io_context loop_{1};
    Shared& shared_;
    Desk desk_;
    std::string lines_;
    std::vector<std::shared_ptr<Session>> unrecorded_;
    std::vector<std::shared_ptr<Session>> recorded_;  // scratch of flush()
    bool flush_posted_ = false;
    // One timer for all sessions: an own asio timer each costs a system call per answer.
    boost::asio::steady_timer timer_;
    std::optional<Clock::time_point> armed_for_;
    std::priority_queue<Due> due_;
};

// Reads one request at a time, has it decided, and answers it. Lives as long as an operation, the
// shard's queues or its timer holds it.
class Session : public std::enable_shared_from_this<Session> {
public:
    Session(Shard& shard, boost::asio::ip::tcp::socket socket);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void start();
    void on_recorded();
    void on_due(std::uint64_t ticket);

private:
    using Parser = boost::beast::http::request_parser<boost::beast::http::string_body>;
    enum class State : std::uint8_t { Reading, Waiting, Writing, Hanging, Closed };

    void next_request();
    void read_more();
    void parse();
    void on_unparsable(boost::beast::error_code error);
    void send_continue();
    void handle();
    void handle_send(std::string_view path);
    void reply(const Answer& answer);
    void write();
    void on_written();
    void wait_idle();
    void hang();
    void close();

    Shard& shard_;
    boost::asio::ip::tcp::socket socket_;
    boost::beast::flat_buffer buffer_;
    std::optional<Parser> parser_;
    State state_ = State::Reading;
    bool keep_alive_ = true;
    bool is_head_ = false;
    bool continue_sent_ = false;
    Verdict verdict_;
    Shard::Clock::time_point received_at_;
    bool counts_ = false;       // the answer is a provider's, not the control's
    std::uint64_t ticket_ = 0;  // of the only timer call that is still meant
    std::string out_;
    std::size_t written_ = 0;
};

}  // namespace postlane::sandbox
