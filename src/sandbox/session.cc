#include "sandbox/session.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <iterator>
#include <utility>

namespace postlane::sandbox {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using boost::beast::error_code;
using boost::beast::string_view;

namespace {

constexpr std::uint64_t kMaxBodyBytes = 20 * 1024 * 1024;
constexpr std::uint32_t kMaxHeaderBytes = 64 * 1024;
constexpr std::size_t kReadBytes = 8 * 1024;

std::string_view view(string_view text) {
    return {text.data(), text.size()};
}

template <class Fields>
std::optional<std::string_view> header(const Fields& fields, string_view name) {
    const auto field = fields.find(name);
    if (field == fields.end()) {
        return std::nullopt;
    }
    return view(field->value());
}

}  // namespace

// Shard ------------------------------------------------------------------------------------------

void Shard::record(std::shared_ptr<Session> session) {
    unrecorded_.push_back(std::move(session));
    if (!flush_posted_) {
        flush_posted_ = true;
        asio::post(loop_, [this] { flush(); });
    }
}

void Shard::flush() {
    flush_posted_ = false;
    if (auto problem = shared_.file.append(lines_)) {
        if (!shared_.failed.exchange(true)) {
            shared_.on_failure(std::move(*problem));
        }
    }
    lines_.clear();
    recorded_.swap(unrecorded_);
    for (const auto& session : recorded_) {
        if (!shared_.failed) {
            session->on_recorded();
        }
    }
    recorded_.clear();
}

void Shard::call_at(Clock::time_point at, std::shared_ptr<Session> session, std::uint64_t ticket) {
    due_.push({.at = at, .ticket = ticket, .session = std::move(session)});
    arm();
}

void Shard::arm() {
    if (due_.empty() || (armed_for_ && *armed_for_ <= due_.top().at)) {
        return;
    }
    armed_for_ = due_.top().at;
    timer_.expires_at(*armed_for_);
    timer_.async_wait([this](const error_code& error) {
        if (!error) {
            on_timer();
        }
    });
}

void Shard::on_timer() {
    armed_for_.reset();
    const auto now = Clock::now();
    while (!due_.empty() && due_.top().at <= now) {
        const Due due = due_.top();
        due_.pop();
        due.session->on_due(due.ticket);
    }
    arm();
}

// Session ----------------------------------------------------------------------------------------

Session::Session(Shard& shard, asio::ip::tcp::socket socket)
    : shard_(shard), socket_(std::move(socket)) {
    ++shard_.shared().connections_open;
    ++shard_.shared().connections_total;
}

Session::~Session() {
    --shard_.shared().connections_open;
}

void Session::start() {
    error_code ignored;
    socket_.set_option(asio::ip::tcp::no_delay(true), ignored);
    socket_.non_blocking(true, ignored);
    next_request();
}

void Session::next_request() {
    state_ = State::Reading;
    continue_sent_ = false;
    parser_.emplace();
    parser_->eager(true);
    parser_->body_limit(kMaxBodyBytes);
    parser_->header_limit(kMaxHeaderBytes);
    if (buffer_.size() > 0) {
        // A pipelined request. Not at once: a long pipeline must not grow the stack.
        asio::post(socket_.get_executor(), [self = shared_from_this()] { self->parse(); });
        return;
    }
    read_more();
}

void Session::read_more() {
    socket_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this()](const error_code& error, std::size_t n) {
                                if (error || self->state_ == State::Closed) {
                                    self->close();
                                    return;
                                }
                                self->buffer_.commit(n);
                                self->parse();
                            });
}

void Session::parse() {
    ++ticket_;  // no longer idle
    while (state_ == State::Reading && !parser_->is_done()) {
        error_code error;
        const std::size_t used = parser_->put(buffer_.data(), error);
        buffer_.consume(used);
        if (error == http::error::need_more) {
            break;
        }
        if (error) {
            on_unparsable(error);
            return;
        }
        if (used == 0) {
            break;
        }
    }
    if (state_ != State::Reading) {
        return;
    }
    if (parser_->is_done()) {
        handle();
        return;
    }
    if (parser_->is_header_done() && !continue_sent_ &&
        parser_->get()[http::field::expect] == "100-continue") {
        send_continue();
        return;
    }
    read_more();
}

void Session::send_continue() {
    continue_sent_ = true;
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(socket_, asio::buffer(kContinue),
                      [self = shared_from_this()](const error_code& error, std::size_t) {
                          if (error) {
                              self->close();
                          } else {
                              self->read_more();
                          }
                      });
}

void Session::on_unparsable(error_code error) {
    keep_alive_ = false;
    is_head_ = false;
    if (error == http::error::body_limit) {
        reply(plain_error(413, "the body is larger than 20 MiB"));
    } else if (error == http::error::header_limit) {
        reply(plain_error(431, "the header fields are larger than 64 KiB"));
    } else {
        reply(plain_error(400, "this is not HTTP/1.1: " + error.message()));
    }
}

void Session::handle() {
    auto& message = parser_->get();
    received_at_ = Shard::Clock::now();
    keep_alive_ = parser_->keep_alive();
    is_head_ = message.method() == http::verb::head;
    counts_ = false;
    verdict_ = {};

    const std::string_view target = view(message.target());
    const std::string_view path = target.substr(0, target.find('?'));
    if (path == "/_sandbox" || path.starts_with("/_sandbox/")) {
        const Connections connections{.open = shard_.shared().connections_open,
                                      .total = shard_.shared().connections_total};
        reply(control(shard_.shared().engine, view(message.method_string()), target, message.body(),
                      connections));
    } else if (path == "/" && message.method() == http::verb::get) {
        const Answer answer{.status = 302, .body = {}, .headers = "Location: /_sandbox/\r\n"};
        reply(answer);
    } else if (message.method() != http::verb::post) {
        reply(plain_error(405, "a send is a POST; the sandbox itself is at /_sandbox/"));
    } else {
        handle_send(path);
    }
}

void Session::handle_send(std::string_view path) {
    auto& message = parser_->get();
    const Request request{.provider = provider_of(path),
                          .authorization = view(message[http::field::authorization]),
                          .content_type = view(message[http::field::content_type]),
                          .idempotency_key = header(message, "Idempotency-Key"),
                          .postlane_id = header(message, "X-Postlane-Id"),
                          .body = &message.body(),
                          .t_rx_us = wall_us()};
    state_ = State::Waiting;
    counts_ = true;
    verdict_ = shard_.shared().engine.decide(request, shard_.desk(), shard_.lines());
    shard_.record(shared_from_this());
}

void Session::on_recorded() {
    if (verdict_.action == Action::Hang) {
        hang();
        return;
    }
    const auto due = received_at_ + std::chrono::microseconds(verdict_.latency_us);
    if (verdict_.latency_us > 0 && due > Shard::Clock::now()) {
        shard_.call_at(due, shared_from_this(), ++ticket_);
        return;
    }
    on_due(ticket_);
}

void Session::on_due(std::uint64_t ticket) {
    if (ticket != ticket_ || state_ == State::Closed) {
        return;
    }
    const bool idle_too_long = state_ == State::Reading;
    if (idle_too_long || verdict_.action == Action::Close) {
        close();
    } else {
        reply(verdict_.answer);
    }
}

void Session::reply(const Answer& answer) {
    state_ = State::Writing;
    out_.clear();
    written_ = 0;
    const string_view reason = http::obsolete_reason(static_cast<http::status>(answer.status));
    fmt::format_to(std::back_inserter(out_), "HTTP/1.1 {} {}\r\nContent-Length: {}\r\n{}",
                   answer.status, view(reason), answer.body.size(), answer.headers);
    if (!answer.body.empty()) {
        fmt::format_to(std::back_inserter(out_), "Content-Type: {}\r\n", answer.content_type);
    }
    out_ += keep_alive_ ? "\r\n" : "Connection: close\r\n\r\n";
    if (!is_head_) {
        out_ += answer.body;
    }
    write();
}

void Session::write() {
    error_code error;
    // Nearly every answer fits into the socket's buffer: no trip through the loop for those.
    written_ +=
        socket_.write_some(asio::buffer(out_.data() + written_, out_.size() - written_), error);
    if (!error && written_ == out_.size()) {
        on_written();
        return;
    }
    if (error && error != asio::error::would_block && error != asio::error::try_again) {
        close();
        return;
    }
    socket_.async_wait(asio::ip::tcp::socket::wait_write,
                       [self = shared_from_this()](const error_code& failure) {
                           if (failure) {
                               self->close();
                           } else {
                               self->write();
                           }
                       });
}

void Session::on_written() {
    if (counts_) {
        const auto after = Shard::Clock::now() - received_at_;
        shard_.shared().engine.count_answer(static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(after).count()));
    }
    if (!keep_alive_) {
        error_code ignored;
        socket_.shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
        hang();  // until the peer has read the answer and closes
        return;
    }
    if (counts_ && verdict_.close_idle) {
        wait_idle();
        return;
    }
    next_request();
}

void Session::wait_idle() {
    if (verdict_.close_idle_ms == 0) {
        close();
        return;
    }
    const std::chrono::milliseconds idle{verdict_.close_idle_ms};
    shard_.call_at(Shard::Clock::now() + idle, shared_from_this(), ++ticket_);
    next_request();
}

void Session::hang() {
    state_ = State::Hanging;
    buffer_.clear();
    socket_.async_read_some(buffer_.prepare(kReadBytes),
                            [self = shared_from_this()](const error_code& error, std::size_t) {
                                if (error) {
                                    self->close();
                                } else {
                                    self->hang();
                                }
                            });
}

void Session::close() {
    state_ = State::Closed;
    error_code ignored;
    socket_.close(ignored);
}

}  // namespace postlane::sandbox
