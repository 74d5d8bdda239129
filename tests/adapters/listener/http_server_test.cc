#include "adapters/listener/http_server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace postlane {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// A blocking connection that says exactly what it is told.
class Connection {
public:
    explicit Connection(std::uint16_t port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        const timeval patience{.tv_sec = 5, .tv_usec = 0};
        setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
            throw std::runtime_error("connect failed");
        }
    }
    ~Connection() { close(socket_); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void say(const std::string& text) const {
        static_cast<void>(send(socket_, text.data(), text.size(), MSG_NOSIGNAL));
    }
    // Until the server closes.
    [[nodiscard]] std::string hear() const {
        std::string heard;
        char buffer[4096];
        for (;;) {
            const ssize_t n = recv(socket_, buffer, sizeof buffer, 0);
            if (n <= 0) {
                return heard;
            }
            heard.append(buffer, static_cast<std::size_t>(n));
        }
    }
    [[nodiscard]] std::string hear_some() const {
        char buffer[4096];
        const ssize_t n = recv(socket_, buffer, sizeof buffer, 0);
        return {buffer, n > 0 ? static_cast<std::size_t>(n) : 0};
    }

private:
    int socket_;
};

Router echo_router() {
    Router router;
    router.add("GET", "/items/{id}/parts", [](const HttpCall& call) {
        return json_reply(fmt::format("{}|{}", call.parameters.at("id"),
                                      call.query_value("message").value_or("-")));
    });
    router.add("POST", "/things:check", [](const HttpCall& call) { return json_reply(call.body); });
    router.add("GET", "/throws",
               [](const HttpCall&) -> HttpReply { throw std::runtime_error("secret detail"); });
    return router;
}

class HttpServerTest : public testing::Test {
protected:
    std::unique_ptr<HttpServer> start(HttpServerOptions options = {}) {
        options.listen = "127.0.0.1:0";
        auto server = HttpServer::start(std::move(options), echo_router());
        EXPECT_TRUE(server) << server.error().detail;
        return std::move(*server);
    }
    static std::string ask(const HttpServer& server, const std::string& request_line,
                           const std::string& headers = "", const std::string& body = "") {
        const Connection connection(server.port());
        connection.say(
            fmt::format("{} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                        "Content-Length: {}\r\n{}\r\n{}",
                        request_line, body.size(), headers, body));
        return connection.hear();
    }
};

TEST_F(HttpServerTest, DecodesPathAndQuery) {
    const auto server = start();
    const std::string reply = ask(*server, "GET /items/a%2Fb%20c/parts?message=x%26y");
    EXPECT_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(reply, HasSubstr("Cache-Control: no-store\r\n"));
    EXPECT_THAT(reply, HasSubstr("Content-Type: application/json\r\n"));
    EXPECT_THAT(reply, testing::EndsWith("\r\n\r\na/b c|x&y"));
}

TEST_F(HttpServerTest, TakesABody) {
    const auto server = start();
    EXPECT_THAT(ask(*server, "POST /things:check", "", "{\"a\":1}"),
                HasSubstr("\r\n\r\n{\"a\":1}"));
}

TEST_F(HttpServerTest, AnswersHeadWithoutABody) {
    const auto server = start();
    const std::string reply = ask(*server, "HEAD /items/x/parts");
    EXPECT_THAT(reply, HasSubstr("Content-Length: 3\r\n"));
    EXPECT_THAT(reply, testing::EndsWith("\r\n\r\n"));
}

TEST_F(HttpServerTest, KeepsAConnectionForSeveralRequests) {
    const auto server = start();
    const Connection connection(server->port());
    connection.say("GET /items/1/parts HTTP/1.1\r\nHost: localhost\r\n\r\n");
    EXPECT_THAT(connection.hear_some(), HasSubstr("1|-"));
    connection.say("GET /items/2/parts HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(connection.hear(), HasSubstr("2|-"));
}

struct ProblemRow {
    std::string name;
    std::string request;
    int status;
    std::string code;
};
void PrintTo(const ProblemRow& row, std::ostream* out) {
    *out << row.name;
}

class Problems : public testing::TestWithParam<ProblemRow> {};

TEST_P(Problems, AreToldAsRfc9457) {
    auto server = HttpServer::start({.listen = "127.0.0.1:0",
                                     .token = Secret(),
                                     .max_header_bytes = 1024,
                                     .max_body_bytes = 1000,
                                     .on_failure = {}},
                                    echo_router());
    ASSERT_TRUE(server);
    const Connection connection((*server)->port());
    connection.say(GetParam().request);
    const std::string reply = connection.hear();
    EXPECT_THAT(reply, StartsWith(fmt::format("HTTP/1.1 {} ", GetParam().status)));
    EXPECT_THAT(reply, HasSubstr("Content-Type: application/problem+json\r\n"));
    EXPECT_THAT(reply, HasSubstr(fmt::format("\"code\":\"{}\"", GetParam().code)));
    EXPECT_THAT(reply, Not(HasSubstr("secret detail")));
}

const std::string kClose = " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";

INSTANTIATE_TEST_SUITE_P(
    Table, Problems,
    testing::Values(
        ProblemRow{"UnknownPath", "GET /nowhere" + kClose + "\r\n", 404, "not_found"},
        ProblemRow{"EmptyParameter", "GET /items//parts" + kClose + "\r\n", 404, "not_found"},
        ProblemRow{"OtherMethod", "DELETE /things:check" + kClose + "\r\n", 405,
                   "method_not_allowed"},
        ProblemRow{"BadEscape", "GET /items/%zz/parts" + kClose + "\r\n", 400, "bad_target"},
        ProblemRow{"NoHttp", "hello there\r\n\r\n", 400, "bad_request"},
        ProblemRow{"HandlerThrows", "GET /throws" + kClose + "\r\n", 500, "internal"},
        ProblemRow{"LongHeader", "GET /items/1/parts HTTP/1.1\r\nX: " + std::string(2000, 'a'), 431,
                   "headers_too_large"},
        ProblemRow{
            "LongBody",
            "POST /things:check HTTP/1.1\r\nContent-Length: 1001\r\n\r\n" + std::string(1001, 'a'),
            413, "body_too_large"}),
    [](const auto& row) { return row.param.name; });

TEST_F(HttpServerTest, AsksForTheToken) {
    const auto server = start({.listen = {}, .token = Secret("s3cret"), .on_failure = {}});
    for (const char* const header :
         {"", "Authorization: Bearer wrong\r\n", "Authorization: Bearer s3cre\r\n",
          "Authorization: Bearer s3cret2\r\n", "Authorization: Basic s3cret\r\n",
          "Authorization: Bearer \r\n"}) {
        const std::string reply = ask(*server, "GET /items/1/parts", header);
        EXPECT_THAT(reply, StartsWith("HTTP/1.1 401 ")) << header;
        EXPECT_THAT(reply, HasSubstr("WWW-Authenticate: Bearer\r\n"));
    }
    EXPECT_THAT(ask(*server, "GET /items/1/parts", "Authorization: Bearer s3cret\r\n"),
                StartsWith("HTTP/1.1 200 "));
}

TEST_F(HttpServerTest, OnLoopbackAForeignHostNameIsRefused) {
    const auto server =
        start({.listen = {}, .token = Secret(), .check_host = true, .on_failure = {}});
    const auto status = [&](const std::string& host) {
        const Connection connection(server->port());
        connection.say(fmt::format(
            "GET /items/1/parts HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", host));
        return connection.hear().substr(9, 3);
    };
    EXPECT_EQ(status("127.0.0.1:8081"), "200");
    EXPECT_EQ(status("localhost"), "200");
    EXPECT_EQ(status("[::1]:8081"), "200");
    EXPECT_EQ(status("evil.example"), "403");
    EXPECT_EQ(status("127.0.0.1.evil.example:8081"), "403");
}

TEST_F(HttpServerTest, ASlowRequestIsCutOff) {
    const auto server = start({.listen = {},
                               .token = Secret(),
                               .deadline = std::chrono::milliseconds(100),
                               .on_failure = {}});
    const Connection connection(server->port());
    connection.say("GET /items/1/parts HTT");
    EXPECT_EQ(connection.hear(), "");
}

TEST_F(HttpServerTest, ConnectionsAreBounded) {
    const auto server =
        start({.listen = {}, .token = Secret(), .max_connections = 2, .on_failure = {}});
    auto first = std::make_unique<Connection>(server->port());
    first->say("GET /items/1/parts HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(first->hear_some(), HasSubstr("1|-"));
    const Connection second(server->port());
    second.say("GET /items/2/parts HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THAT(second.hear_some(), HasSubstr("2|-"));

    const Connection third(server->port());
    EXPECT_THAT(third.hear_some(), HasSubstr("too_many_connections"));
}

TEST_F(HttpServerTest, HandlersThatThrowAreReported) {
    std::string told;
    {
        const auto server =
            start({.listen = {}, .token = Secret(), .on_failure = [&told](std::string what) {
                       told = what;
                   }});
        static_cast<void>(ask(*server, "GET /throws"));
    }
    EXPECT_EQ(told, "secret detail");
}

TEST_F(HttpServerTest, SeveralThreadsServeManyConnections) {
    const auto server = start({.listen = {}, .token = Secret(), .threads = 3, .on_failure = {}});
    std::vector<std::thread> clients;
    std::atomic<int> right{0};
    for (int client = 0; client < 8; ++client) {
        clients.emplace_back([&] {
            for (int i = 0; i < 50; ++i) {
                if (ask(*server, fmt::format("GET /items/{}/parts", i))
                        .ends_with(fmt::format("\r\n\r\n{}|-", i))) {
                    ++right;
                }
            }
        });
    }
    for (std::thread& client : clients) {
        client.join();
    }
    EXPECT_EQ(right, 400);
}

TEST(HttpServerStart, SaysWhyItCannotListen) {
    auto first =
        HttpServer::start({.listen = "127.0.0.1:0", .token = Secret(), .on_failure = {}}, {});
    ASSERT_TRUE(first);
    const auto second =
        HttpServer::start({.listen = (*first)->address(), .token = Secret(), .on_failure = {}}, {});
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::Unavailable);
    EXPECT_THAT(second.error().detail, HasSubstr((*first)->address()));
    EXPECT_FALSE(
        HttpServer::start({.listen = "nonsense", .token = Secret(), .on_failure = {}}, {}));
}

}  // namespace
}  // namespace postlane
