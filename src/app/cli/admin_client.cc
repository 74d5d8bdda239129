#include "app/cli/admin_client.h"

#include <curl/curl.h>
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>

#include "app/cli/console.h"
#include "app/cli/exit_code.h"
#include "config/text.h"

namespace postlane::cli {
namespace {

struct CurlFree {
    void operator()(CURL* handle) const { curl_easy_cleanup(handle); }
    void operator()(curl_slist* list) const { curl_slist_free_all(list); }
    void operator()(char* text) const { curl_free(text); }
};
using Handle = std::unique_ptr<CURL, CurlFree>;

constexpr std::size_t kMaxReply = 64U << 20U;

std::size_t append(char* bytes, std::size_t size, std::size_t count, void* body) {
    auto& text = *static_cast<std::string*>(body);
    const std::size_t length = size * count;
    if (text.size() + length > kMaxReply) {
        return 0;  // ends the transfer
    }
    text.append(bytes, length);
    return length;
}

std::string from_environment(const char* name) {
    const char* const value = std::getenv(name);
    return value == nullptr ? "" : value;
}

// Where a client finds a listener bound to this address.
std::string endpoint_of(const std::string& listen) {
    const auto parts = config::split_host_port(listen);
    if (!parts) {
        return "http://" + listen;
    }
    std::string host = parts->host;
    if (host == "0.0.0.0" || host == "::") {
        host = "127.0.0.1";
    }
    return host.find(':') == std::string::npos ? fmt::format("http://{}:{}", host, parts->port)
                                               : fmt::format("http://[{}]:{}", host, parts->port);
}

// As the configuration resolves it: relative to the configuration file.
std::filesystem::path resolved(const std::string& file, const std::string& config_file) {
    const std::filesystem::path path(file);
    return path.is_absolute() ? path : std::filesystem::path(config_file).parent_path() / path;
}

std::optional<Secret> read_token(const std::filesystem::path& path) {
    std::ifstream file(path);
    if (!file) {
        return std::nullopt;
    }
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    return Secret(std::string(config::trimmed(text)));
}

}  // namespace

void add_admin_options(CLI::App& command, AdminOptions& options, bool config_is_required) {
    add_config_options(command, options.config, config_is_required);
    command
        .add_option("--endpoint", options.endpoint,
                    "admin listener to ask (default: admin.listen of the configuration, or "
                    "POSTLANE_ENDPOINT)")
        ->type_name("URL");
    command
        .add_option("--token-file", options.token_file,
                    "file with the admin token (default: admin.token_file)")
        ->type_name("FILE");
}

std::optional<AdminClient> AdminClient::make(const AdminOptions& options, int& exit_code) {
    AdminClient client;
    client.endpoint_ =
        options.endpoint.empty() ? from_environment("POSTLANE_ENDPOINT") : options.endpoint;
    std::filesystem::path token_file = options.token_file;
    if (!options.config.file.empty()) {
        // Other secrets than the token are none of this command's business.
        const auto loaded =
            load_config(options.config, {.needs_routes = false, .read_files = false});
        if (!loaded) {
            exit_code = exit_code::kConfig;
            return std::nullopt;
        }
        const config::Admin& admin = loaded->config.admin;
        if (client.endpoint_.empty()) {
            client.endpoint_ = endpoint_of(admin.listen);
        }
        if (token_file.empty() && !admin.token_file.empty()) {
            token_file = resolved(admin.token_file, options.config.file);
        }
    }
    if (client.endpoint_.empty()) {
        complain("whom to ask? give -c FILE, --endpoint URL or POSTLANE_ENDPOINT");
        exit_code = exit_code::kUsage;
        return std::nullopt;
    }
    if (client.endpoint_.ends_with('/')) {
        client.endpoint_.pop_back();
    }
    if (!token_file.empty()) {
        auto token = read_token(token_file);
        if (!token) {
            complain("the token file {} cannot be read; use --token-file or ask its owner",
                     printable(token_file.string()));
            exit_code = exit_code::kDenied;
            return std::nullopt;
        }
        client.token_ = std::move(*token);
    }
    return client;
}

Result<AdminReply> AdminClient::get(const std::string& path) const {
    return ask(path, nullptr);
}

Result<AdminReply> AdminClient::post(const std::string& path, const std::string& body) const {
    return ask(path, &body);
}

Result<AdminReply> AdminClient::ask(const std::string& path, const std::string* body) const {
    const Handle handle(curl_easy_init());
    if (!handle) {
        return fail(ErrorCode::Unavailable, "curl cannot start");
    }
    AdminReply reply;
    const std::string url = endpoint_ + path;
    const std::unique_ptr<curl_slist, CurlFree> headers(
        curl_slist_append(nullptr, "Content-Type: application/json"));
    if (!token_.empty()) {
        // curl_slist_append copies; the list keeps its first element.
        curl_slist_append(headers.get(), ("Authorization: Bearer " + token_.reveal()).c_str());
    }
    curl_easy_setopt(handle.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(handle.get(), CURLOPT_PATH_AS_IS, 1L);  // an id may be ".."
    curl_easy_setopt(handle.get(), CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(handle.get(), CURLOPT_HTTPHEADER, headers.get());
    curl_easy_setopt(handle.get(), CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(handle.get(), CURLOPT_CONNECTTIMEOUT_MS, 5000L);
    curl_easy_setopt(handle.get(), CURLOPT_TIMEOUT_MS, body == nullptr ? 15'000L : 600'000L);
    curl_easy_setopt(handle.get(), CURLOPT_WRITEFUNCTION, append);
    curl_easy_setopt(handle.get(), CURLOPT_WRITEDATA, &reply.body);
    if (body != nullptr) {
        curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDSIZE, static_cast<long>(body->size()));
        curl_easy_setopt(handle.get(), CURLOPT_POSTFIELDS, body->c_str());
    }
    const CURLcode result = curl_easy_perform(handle.get());
    if (result != CURLE_OK) {
        return fail(ErrorCode::Unavailable,
                    fmt::format("{} does not answer: {}; is postlane running there?", endpoint_,
                                curl_easy_strerror(result)));
    }
    long status = 0;
    curl_easy_getinfo(handle.get(), CURLINFO_RESPONSE_CODE, &status);
    reply.status = static_cast<int>(status);
    return reply;
}

std::string encoded(const std::string& text) {
    const std::unique_ptr<char, CurlFree> escaped(
        curl_easy_escape(nullptr, text.data(), static_cast<int>(text.size())));
    return escaped ? escaped.get() : "";
}

int report_problem(const AdminReply& reply) {
    simdjson::dom::parser parser;
    simdjson::dom::element document;
    std::string_view code;
    std::string_view detail;
    if (parser.parse(reply.body).get(document) != simdjson::SUCCESS ||
        document["code"].get(code) != simdjson::SUCCESS ||
        document["detail"].get(detail) != simdjson::SUCCESS) {
        complain("the answer ({}) is not of a postlane admin listener", reply.status);
        return exit_code::kUnavailable;
    }
    complain("{}: {}", printable(code), printable(detail));
    if (reply.status == 401 || reply.status == 403) {
        return exit_code::kDenied;
    }
    if (code == "restoring" || code == "busy") {
        return exit_code::kTryAgain;
    }
    return reply.status == 400 ? exit_code::kBadInput : exit_code::kUnavailable;
}

}  // namespace postlane::cli
