#include "sandbox/server.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <charconv>
#include <chrono>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include "sandbox/session.h"

namespace postlane::sandbox {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

namespace {

tcp::endpoint parse_endpoint(const std::string& listen) {
    const auto colon = listen.rfind(':');
    std::string host = listen.substr(0, colon == std::string::npos ? 0 : colon);
    if (host.size() > 1 && host.front() == '[' && host.back() == ']') {
        host = host.substr(1, host.size() - 2);
    }
    error_code bad_address;
    const auto address =
        asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, bad_address);
    unsigned port = 0;
    const char* const end = listen.data() + listen.size();
    const auto parsed = std::from_chars(end - (listen.size() - colon - 1), end, port);
    if (bad_address || parsed.ec != std::errc{} || parsed.ptr != end || port > 0xFFFF) {
        throw std::runtime_error(fmt::format(
            "--listen \"{}\" is no ADDRESS:PORT, e.g. 127.0.0.1:8025 (port 0: a free one)",
            listen));
    }
    return {address, static_cast<std::uint16_t>(port)};
}

tcp::acceptor open_acceptor(asio::io_context& loop, const std::string& listen) {
    const tcp::endpoint endpoint = parse_endpoint(listen);
    tcp::acceptor acceptor(loop);
    error_code error;
    acceptor.open(endpoint.protocol(), error);
    if (!error) {
        acceptor.set_option(asio::socket_base::reuse_address(true), error);
        acceptor.bind(endpoint, error);
    }
    if (!error) {
        acceptor.listen(4096, error);
    }
    if (error) {
        throw std::runtime_error(fmt::format("cannot listen on {}: {}; choose another address",
                                             listen, error.message()));
    }
    return acceptor;
}

// Thousands of connections need as many file descriptors.
void raise_descriptor_limit() {
    rlimit limit{};
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

}  // namespace

class Server::Impl {
public:
    Impl(const Options& options, Engine& engine, RecordFile& file,
         std::function<void(std::string)> on_failure)
        : shared_{.engine = engine, .file = file, .on_failure = std::move(on_failure)},
          shards_(make_shards(shared_, options.threads)),
          acceptor_(open_acceptor(shards_.front()->loop(), options.listen)),
          retry_(shards_.front()->loop()), endpoint_(acceptor_.local_endpoint()) {
        raise_descriptor_limit();
    }

    ~Impl() { stop(); }
    Impl(const Impl&) = delete;
    Impl& operator=(const Impl&) = delete;

    void start() {
        accept();
        for (const auto& shard : shards_) {
            threads_.emplace_back([loop = &shard->loop()] {
                const auto work = asio::make_work_guard(*loop);
                loop->run();
            });
        }
    }

    void stop() {
        for (const auto& shard : shards_) {
            shard->loop().stop();
        }
        for (std::thread& thread : threads_) {
            thread.join();
        }
        threads_.clear();
        for (const auto& shard : shards_) {
            // What was executed must be on record, even if nobody hears of it any more.
            if (auto problem = shared_.file.append(std::exchange(shard->lines(), {}))) {
                shared_.on_failure(std::move(*problem));
            }
        }
    }

    [[nodiscard]] const tcp::endpoint& endpoint() const { return endpoint_; }

private:
    static std::vector<std::unique_ptr<Shard>> make_shards(Shared& shared, std::uint32_t threads) {
        std::vector<std::unique_ptr<Shard>> shards;
        for (std::uint32_t i = 0; i < std::max(threads, 1U); ++i) {
            shards.push_back(std::make_unique<Shard>(shared));
        }
        return shards;
    }

    // Runs on the first shard's thread; the connections go round all shards.
    void accept() {
        Shard& shard = *shards_.at(next_shard_++ % shards_.size());
        acceptor_.async_accept(
            shard.loop(), [this, &shard](const error_code& error, tcp::socket socket) {
                if (error == asio::error::operation_aborted) {
                    return;
                }
                if (error) {
                    retry_accept();
                    return;
                }
                auto session = std::make_shared<Session>(shard, std::move(socket));
                asio::post(shard.loop(), [session = std::move(session)] { session->start(); });
                accept();
            });
    }

    // Out of file descriptors: trying again at once would spin.
    void retry_accept() {
        retry_.expires_after(std::chrono::milliseconds(50));
        retry_.async_wait([this](const error_code& error) {
            if (!error) {
                accept();
            }
        });
    }

    Shared shared_;
    // Sessions in the loops' handlers touch shared_ when they are destroyed.
    std::vector<std::unique_ptr<Shard>> shards_;
    tcp::acceptor acceptor_;
    asio::steady_timer retry_;
    tcp::endpoint endpoint_;
    std::size_t next_shard_ = 0;
    std::vector<std::thread> threads_;
};

Server::Server(const Options& options, Engine& engine, RecordFile& file,
               std::function<void(std::string)> on_failure)
    : impl_(std::make_unique<Impl>(options, engine, file, std::move(on_failure))) {}

Server::~Server() = default;

void Server::start() {
    impl_->start();
}

void Server::stop() {
    impl_->stop();
}

std::string Server::address() const {
    const auto& endpoint = impl_->endpoint();
    const std::string host = endpoint.address().to_string();
    return endpoint.address().is_v6() ? fmt::format("[{}]:{}", host, endpoint.port())
                                      : fmt::format("{}:{}", host, endpoint.port());
}

std::uint16_t Server::port() const {
    return impl_->endpoint().port();
}

}  // namespace postlane::sandbox
