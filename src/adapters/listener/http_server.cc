// The only file that knows Boost.Beast.
//
// One strand per connection, so a session needs no lock. Everything a peer can make us hold is
// bounded: header, body, connections, time.
#include "adapters/listener/http_server.h"

#include <fmt/format.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <array>
#include <atomic>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>
#include <charconv>
#include <exception>
#include <thread>

namespace postlane {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

struct Digest {
    std::array<unsigned char, SHA256_DIGEST_LENGTH> bytes{};
    explicit Digest(std::string_view text) {
        // Digests have one length, so comparing them tells nothing about the token's.
        SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), bytes.data());
    }
    [[nodiscard]] bool equals(const Digest& other) const {
        return CRYPTO_memcmp(bytes.data(), other.bytes.data(), bytes.size()) == 0;
    }
};

struct Shared {
    HttpServerOptions options;
    Router router;
    std::optional<Digest> token;
    bool only_local_names = false;
    std::string own_host;
    std::atomic<std::size_t> connections{0};
};

std::string_view view(beast::string_view text) {
    return {text.data(), text.size()};
}

std::string host_of(std::string_view host_header) {
    if (host_header.starts_with('[')) {
        return std::string(host_header.substr(0, host_header.find(']') + 1));
    }
    return std::string(host_header.substr(0, host_header.find(':')));
}

bool is_local_name(const std::string& host, const std::string& own_host) {
    return host == "localhost" || host == "127.0.0.1" || host == "[::1]" || host == own_host;
}

using Request = http::request<http::string_body>;

std::optional<HttpReply> refuse(const Shared& shared, const Request& request) {
    if (shared.only_local_names &&
        !is_local_name(host_of(view(request[http::field::host])), shared.own_host)) {
        return problem(403, "host_not_allowed",
                       "this listener answers only to a name of its own machine, e.g. 127.0.0.1");
    }
    if (!shared.token) {
        return std::nullopt;
    }
    constexpr std::string_view kScheme = "Bearer ";
    const std::string_view given = view(request[http::field::authorization]);
    const bool has_scheme =
        given.size() > kScheme.size() &&
        beast::iequals(beast::string_view(given.data(), kScheme.size()), "Bearer ");
    if (has_scheme && Digest(given.substr(kScheme.size())).equals(*shared.token)) {
        return std::nullopt;
    }
    HttpReply reply = problem(401, "token_required",
                              "send the content of admin.token_file as Authorization: Bearer");
    reply.headers.emplace_back("WWW-Authenticate", "Bearer");
    return reply;
}

HttpReply respond(const Shared& shared, Request& request) {
    if (auto refusal = refuse(shared, request)) {
        return std::move(*refusal);
    }
    const auto target = boost::urls::parse_origin_form(request.target());
    if (!target) {
        return problem(400, "bad_target", "the request target is no absolute path");
    }
    HttpCall call;
    call.method = view(request.method_string());
    call.path = view(target->encoded_path());
    std::vector<std::string> segments;
    for (const auto& segment : target->segments()) {
        segments.emplace_back(segment);
    }
    for (const auto& parameter : target->params()) {
        call.query.emplace(parameter.key, parameter.value);
    }
    for (const auto& field : request) {
        call.headers.emplace_back(view(field.name_string()), view(field.value()));
    }
    call.body = std::move(request.body());
    try {
        return shared.router.answer(std::move(call), segments);
    } catch (const std::exception& error) {
        if (shared.options.on_failure) {
            shared.options.on_failure(error.what());
        }
        return problem(500, "internal", "the request failed; the log has the cause");
    }
}

class Session : public std::enable_shared_from_this<Session> {
public:
    Session(std::shared_ptr<Shared> shared, tcp::socket socket)
        : shared_(std::move(shared)), stream_(std::move(socket)),
          buffer_(shared_->options.max_header_bytes + shared_->options.max_body_bytes) {}
    ~Session() { --shared_->connections; }
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    void read() {
        parser_.emplace();
        parser_->header_limit(static_cast<std::uint32_t>(shared_->options.max_header_bytes));
        parser_->body_limit(shared_->options.max_body_bytes);
        stream_.expires_after(shared_->options.deadline);
        http::async_read(stream_, buffer_, *parser_,
                         [self = shared_from_this()](const error_code& error, std::size_t) {
                             self->on_read(error);
                         });
    }

    void refuse_connection() {
        write(problem(503, "too_many_connections", "too many connections; close some"), false,
              false, 11);
    }

private:
    void on_read(const error_code& error) {
        if (!error) {
            Request request = parser_->release();
            const bool keep = request.keep_alive();
            const bool head = request.method() == http::verb::head;
            const unsigned version = request.version();
            write(respond(*shared_, request), head, keep, version);
        } else if (error == http::error::body_limit) {
            write(
                problem(413, "body_too_large",
                        fmt::format("the body may have {} bytes", shared_->options.max_body_bytes)),
                false, false, 11);
        } else if (error == http::error::header_limit || error == http::error::buffer_overflow) {
            write(problem(431, "headers_too_large",
                          fmt::format("the header may have {} bytes",
                                      shared_->options.max_header_bytes)),
                  false, false, 11);
        } else if (error.category() == http::make_error_code(http::error::bad_version).category() &&
                   error != http::error::end_of_stream && error != http::error::partial_message) {
            write(problem(400, "bad_request", "this is no HTTP/1.1 request"), false, false, 11);
        }
        // Otherwise the peer is gone or too slow: dropping the last reference closes the socket.
    }

    void write(HttpReply reply, bool head, bool keep, unsigned version) {
        response_ = {};
        response_.version(version);
        response_.result(static_cast<unsigned>(reply.status));
        response_.set(http::field::content_type, reply.content_type);
        response_.set(http::field::cache_control, "no-store");
        response_.set("X-Content-Type-Options", "nosniff");
        for (const auto& [name, value] : reply.headers) {
            response_.set(name, value);
        }
        response_.keep_alive(keep);
        response_.body() = std::move(reply.body);
        response_.prepare_payload();
        stream_.expires_after(shared_->options.deadline);
        const auto done = [self = shared_from_this(), keep](const error_code& error, std::size_t) {
            self->on_written(error, keep);
        };
        if (head) {
            header_.emplace(response_);
            http::async_write_header(stream_, *header_, done);
        } else {
            http::async_write(stream_, response_, done);
        }
    }

    void on_written(const error_code& error, bool keep) {
        if (error) {
            return;
        }
        if (keep) {
            read();
            return;
        }
        error_code ignored;
        stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
        stream_.expires_after(std::min(shared_->options.deadline, kLinger));
        drain();
    }

    // Closing with unread bytes would reset the connection and could take the answer with it.
    void drain() {
        stream_.async_read_some(asio::buffer(discarded_),
                                [self = shared_from_this()](const error_code& error, std::size_t) {
                                    if (!error) {
                                        self->drain();
                                    }
                                });
    }

    static constexpr std::chrono::milliseconds kLinger{1000};

    std::shared_ptr<Shared> shared_;
    beast::tcp_stream stream_;
    beast::flat_buffer buffer_;
    std::optional<http::request_parser<http::string_body>> parser_;
    http::response<http::string_body> response_;
    std::optional<http::response_serializer<http::string_body>> header_;
    std::array<char, 4096> discarded_{};
};

std::optional<tcp::endpoint> resolve(const std::string& listen, std::string& host) {
    const auto colon = listen.rfind(':');
    if (colon == std::string::npos) {
        return std::nullopt;
    }
    host = listen.substr(0, colon);
    std::string address = host;
    if (address.size() > 2 && address.front() == '[' && address.back() == ']') {
        address = address.substr(1, address.size() - 2);
    }
    error_code error;
    const auto parsed =
        asio::ip::make_address(address == "localhost" ? "127.0.0.1" : address, error);
    std::uint16_t port = 0;
    const char* const end = listen.data() + listen.size();
    const auto number = std::from_chars(listen.data() + colon + 1, end, port);
    if (error || number.ec != std::errc{} || number.ptr != end) {
        return std::nullopt;
    }
    return tcp::endpoint(parsed, port);
}

}  // namespace

class HttpServer::Impl {
public:
    Impl(HttpServerOptions options, Router router)
        : shared_(std::make_shared<Shared>()), loop_(static_cast<int>(options.threads)),
          acceptor_(asio::make_strand(loop_)), retry_(acceptor_.get_executor()) {
        if (!options.token.empty()) {
            shared_->token.emplace(options.token.reveal());
        }
        shared_->options = std::move(options);
        shared_->router = std::move(router);
    }

    ~Impl() {
        loop_.stop();
        for (std::thread& thread : threads_) {
            thread.join();
        }
    }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    [[nodiscard]] Result<void> open() {
        const std::string& listen = shared_->options.listen;
        const auto endpoint = resolve(listen, shared_->own_host);
        if (!endpoint) {
            return fail(ErrorCode::Misconfigured,
                        fmt::format("cannot listen on \"{}\": give ADDRESS:PORT", listen));
        }
        error_code error;
        acceptor_.open(endpoint->protocol(), error);
        if (!error) {
            acceptor_.set_option(asio::socket_base::reuse_address(true), error);
            acceptor_.bind(*endpoint, error);
        }
        if (!error) {
            acceptor_.listen(128, error);
        }
        if (error) {
            return fail(ErrorCode::Unavailable,
                        fmt::format("cannot listen on {}: {}", listen, error.message()));
        }
        endpoint_ = acceptor_.local_endpoint();
        shared_->only_local_names =
            shared_->options.check_host && endpoint_.address().is_loopback();
        return {};
    }

    void run() {
        accept();
        for (std::size_t i = 0; i < shared_->options.threads; ++i) {
            threads_.emplace_back([this] { loop_.run(); });
        }
    }

    [[nodiscard]] const tcp::endpoint& endpoint() const noexcept { return endpoint_; }

private:
    void accept() {
        acceptor_.async_accept(asio::make_strand(loop_),
                               [this](const error_code& error, tcp::socket socket) {
                                   on_accept(error, std::move(socket));
                               });
    }

    void on_accept(const error_code& error, tcp::socket socket) {
        if (error == asio::error::operation_aborted) {
            return;
        }
        if (error) {
            // Out of file descriptors: trying again at once would spin.
            retry_.expires_after(std::chrono::milliseconds(50));
            retry_.async_wait([this](const error_code& stopped) {
                if (!stopped) {
                    accept();
                }
            });
            return;
        }
        const std::size_t before = shared_->connections++;
        const bool full = before >= shared_->options.max_connections;
        const auto executor = socket.get_executor();
        auto session = std::make_shared<Session>(shared_, std::move(socket));
        // Refusals are answered too, but not without bound.
        if (before < 2 * shared_->options.max_connections) {
            asio::dispatch(executor, [session = std::move(session), full] {
                if (full) {
                    session->refuse_connection();
                } else {
                    session->read();
                }
            });
        }
        accept();
    }

    std::shared_ptr<Shared> shared_;
    asio::io_context loop_;
    tcp::acceptor acceptor_;
    asio::steady_timer retry_;
    tcp::endpoint endpoint_;
    std::vector<std::thread> threads_;
};

HttpServer::HttpServer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

HttpServer::~HttpServer() = default;

Result<std::unique_ptr<HttpServer>> HttpServer::start(HttpServerOptions options, Router router) {
    auto impl = std::make_unique<Impl>(std::move(options), std::move(router));
    if (auto opened = impl->open(); !opened) {
        return tl::unexpected(opened.error());
    }
    impl->run();
    return std::unique_ptr<HttpServer>(new HttpServer(std::move(impl)));
}

std::uint16_t HttpServer::port() const noexcept {
    return impl_->endpoint().port();
}

std::string HttpServer::address() const {
    const tcp::endpoint& endpoint = impl_->endpoint();
    const std::string host = endpoint.address().to_string();
    return endpoint.address().is_v6() ? fmt::format("[{}]:{}", host, endpoint.port())
                                      : fmt::format("{}:{}", host, endpoint.port());
}

}  // namespace postlane
