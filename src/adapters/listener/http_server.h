// A small HTTP/1.1 server for the two listeners: a table of routes, strict limits, no sessions.
//
// Handlers run on the server's own threads and may block for a moment; a handler that throws
// answers 500 and is logged by nobody but on_failure. Bodies, paths and tokens are never logged.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "postlane/config.h"
#include "postlane/error.h"

namespace postlane {

struct HttpCall {
    std::string method;
    std::string path;                               // as in the request, still encoded
    std::map<std::string, std::string> parameters;  // {name} of the route, decoded
    std::multimap<std::string, std::string> query;  // decoded
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;

    [[nodiscard]] bool has_query(const std::string& name) const { return query.contains(name); }
    [[nodiscard]] std::optional<std::string> query_value(const std::string& name) const;
};

struct HttpReply {
    int status = 200;
    std::string content_type = "application/json";
    std::string body;
    std::vector<std::pair<std::string, std::string>> headers;
};

[[nodiscard]] HttpReply json_reply(std::string json);
[[nodiscard]] HttpReply text_reply(int status, std::string text);
// RFC 9457. `code` is a stable word for programs, `detail` is for people.
[[nodiscard]] HttpReply problem(int status, std::string_view code, std::string_view detail);

using HttpHandler = std::function<HttpReply(const HttpCall&)>;

// Filled before the server starts, constant from then on.
class Router {
public:
    // `path` such as "/api/v1/recipients/{id}/timeline". GET answers HEAD as well.
    void add(std::string method, const std::string& path, HttpHandler handler);

    struct Route {
        std::string method;
        std::string path;
        std::vector<std::string> segments;
        HttpHandler handler;
    };
    [[nodiscard]] const std::vector<Route>& routes() const noexcept { return routes_; }

    // Answers with 404 or 405 where no route fits. `segments` are the path's, decoded.
    [[nodiscard]] HttpReply answer(HttpCall call, const std::vector<std::string>& segments) const;

private:
    std::vector<Route> routes_;
};

struct HttpServerOptions {
    std::string listen;       // host:port or [host]:port; port 0: a free one
    Secret token;             // empty: none is asked for
    bool check_host = false;  // against DNS rebinding: only names of this machine, or `listen`
    std::size_t threads = 1;
    std::size_t max_connections = 64;
    std::size_t max_header_bytes = 8 * 1024;
    std::size_t max_body_bytes = 64 * 1024;
    std::chrono::milliseconds deadline{10'000};   // to read a request, to write an answer, idle
    std::function<void(std::string)> on_failure;  // a handler threw; any server thread
};

class HttpServer {
public:
    // Listens and starts the threads. Unavailable if the address cannot be bound.
    [[nodiscard]] static Result<std::unique_ptr<HttpServer>> start(HttpServerOptions options,
                                                                   Router router);
    // Stops and joins the threads; open connections are cut.
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    [[nodiscard]] std::uint16_t port() const noexcept;
    [[nodiscard]] std::string address() const;  // "127.0.0.1:8081"

    class Impl;

private:
    explicit HttpServer(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace postlane
