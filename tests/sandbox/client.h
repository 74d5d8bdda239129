// Speaks HTTP to a sandbox through libcurl, and reads its record.
#pragma once

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fmt/format.h>
#include <netinet/in.h>
#include <simdjson.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "sandbox/sandbox.h"

namespace postlane::sandbox::test {

struct Reply {
    CURLcode result = CURLE_OK;
    long status = 0;
    std::string headers;
    std::string body;
    long new_connections = 0;
    std::chrono::milliseconds took{0};

    [[nodiscard]] bool has_header(std::string_view line) const {
        return headers.find(line) != std::string::npos;
    }
};

using Headers = std::vector<std::string>;

// One kept-alive connection.
class Client {
public:
    explicit Client(std::string url) : url_(std::move(url)), curl_(curl_easy_init()) {}
    ~Client() { curl_easy_cleanup(curl_); }
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    Reply post(const std::string& path, const std::string& body, const Headers& headers = {},
               long timeout_ms = 10'000) {
        curl_easy_reset(curl_);
        curl_easy_setopt(curl_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
        curl_easy_setopt(curl_, CURLOPT_POSTFIELDS, body.data());
        return perform(path, headers, timeout_ms);
    }

    Reply get(const std::string& path) {
        curl_easy_reset(curl_);
        return perform(path, {}, 10'000);
    }

    // A refused POST is not tried again by libcurl, but a closed kept-alive connection is; a fresh
    // connection shows the fault as it is.
    Reply post_fresh(const std::string& path, const std::string& body, const Headers& headers = {},
                     long timeout_ms = 10'000) {
        Client fresh(url_);
        return fresh.post(path, body, headers, timeout_ms);
    }

private:
    static std::size_t append(char* data, std::size_t size, std::size_t count, void* to) {
        static_cast<std::string*>(to)->append(data, size * count);
        return size * count;
    }

    Reply perform(const std::string& path, const Headers& headers, long timeout_ms) {
        Reply reply;
        curl_slist* list = nullptr;
        bool has_type = false;
        for (const std::string& header : headers) {
            has_type = has_type || header.starts_with("Content-Type");
            list = curl_slist_append(list, header.c_str());
        }
        if (!has_type) {
            list = curl_slist_append(list, "Content-Type: application/json");
        }
        const std::string target = url_ + path;
        curl_easy_setopt(curl_, CURLOPT_URL, target.c_str());
        curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, list);
        curl_easy_setopt(curl_, CURLOPT_TIMEOUT_MS, timeout_ms);
        curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &Client::append);
        curl_easy_setopt(curl_, CURLOPT_WRITEDATA, &reply.body);
        curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, &Client::append);
        curl_easy_setopt(curl_, CURLOPT_HEADERDATA, &reply.headers);
        const auto start = std::chrono::steady_clock::now();
        reply.result = curl_easy_perform(curl_);
        reply.took = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - start);
        curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &reply.status);
        curl_easy_getinfo(curl_, CURLINFO_NUM_CONNECTS, &reply.new_connections);
        curl_slist_free_all(list);
        return reply;
    }

    std::string url_;
    CURL* curl_;
};

// Sends `bytes` as they are and returns everything until the peer closes or says nothing for a
// while.
inline std::string talk_raw(std::uint16_t port, std::string_view bytes, bool half_close = true,
                            std::chrono::seconds patience = std::chrono::seconds(3)) {
    const int peer = ::socket(AF_INET, SOCK_STREAM, 0);
    const timeval timeout{.tv_sec = patience.count(), .tv_usec = 0};
    ::setsockopt(peer, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string answer;
    if (::connect(peer, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 &&
        ::send(peer, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
            static_cast<ssize_t>(bytes.size())) {
        if (half_close) {
            ::shutdown(peer, SHUT_WR);
        }
        char chunk[4096];
        for (ssize_t n = 0; (n = ::recv(peer, chunk, sizeof chunk, 0)) > 0;) {
            answer.append(chunk, static_cast<std::size_t>(n));
        }
    }
    ::close(peer);
    return answer;
}

// A sandbox with a record file in a folder of its own.
class Stand {
public:
    explicit Stand(Options options = {})
        : folder_(make_folder()), sandbox_(prepare(std::move(options), record_path())),
          client(sandbox_.url()) {}
    ~Stand() { std::filesystem::remove_all(folder_); }
    Stand(const Stand&) = delete;
    Stand& operator=(const Stand&) = delete;

    [[nodiscard]] std::string record_path() const { return folder_ + "/record.ndjson"; }
    [[nodiscard]] std::uint16_t port() const { return sandbox_.port(); }
    [[nodiscard]] std::string url() const { return sandbox_.url(); }

    [[nodiscard]] std::vector<std::string> lines() const {
        std::ifstream file(record_path());
        std::vector<std::string> lines;
        for (std::string line; std::getline(file, line);) {
            lines.push_back(line);
        }
        return lines;
    }

    // The last line's member as JSON text.
    [[nodiscard]] std::string last(std::string_view name) const {
        const auto all = lines();
        return all.empty() ? std::string{} : member(all.back(), name);
    }

    static std::string member(const std::string& json, std::string_view name) {
        simdjson::dom::parser parser;
        simdjson::dom::element root;
        simdjson::dom::element value;
        if (parser.parse(json).get(root) != simdjson::SUCCESS ||
            root[name].get(value) != simdjson::SUCCESS) {
            return "(absent)";
        }
        return simdjson::minify(value);
    }

    void faults(const std::string& json) {
        const Reply reply = client.post("/_sandbox/faults", json);
        if (reply.status != 200) {
            throw std::runtime_error(reply.body);
        }
    }

private:
    static std::string make_folder() {
        std::string pattern =
            (std::filesystem::temp_directory_path() / "postlane-sandbox-XXXXXX").string();
        if (::mkdtemp(pattern.data()) == nullptr) {
            throw std::runtime_error("no temporary folder");
        }
        return pattern;
    }
    static Options prepare(Options options, const std::string& record_path) {
        options.listen = "127.0.0.1:0";
        options.record_path = record_path;
        return options;
    }

    std::string folder_;
    Sandbox sandbox_;

public:
    Client client;
};

inline const std::string kEvent =
    R"({"message_id":"m-1","recipient_id":"user-1","to":{"email":"ann@example.com"},)"
    R"("sequence":{"id":"onboarding","step":2},"content":{"subject":"Hi","text":"x"},)"
    R"("metadata":{"tag":"t-1"}})";
inline const std::string kResendMail =
    R"({"from":"Shop <hi@shop.example>","to":["Ann <ann@example.com>"],"subject":"Hi",)"
    R"("text":"x","tags":[{"name":"tag","value":"t-2"},{"name":"postlane_id","value":"p-2"}]})";
inline const std::string kSendGridMail =
    R"({"personalizations":[{"to":[{"email":"ann@example.com"}],)"
    R"("custom_args":{"postlane_id":"p-3","tag":"t-3"}}],"from":{"email":"hi@shop.example"},)"
    R"("subject":"Hi","content":[{"type":"text/plain","value":"x"}]})";
inline const std::string kBearer = "Authorization: Bearer key";

}  // namespace postlane::sandbox::test
