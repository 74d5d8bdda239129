// One easy handle and the request it carries now. Used by one I/O thread; reused for requests to
// the same provider, because setting up a handle costs more than a request.
#pragma once

#include <curl/curl.h>

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/http/curl_dispatcher.h"
#include "postlane/answer.h"
#include "postlane/ports/clock.h"
#include "postlane/ports/dispatcher.h"

namespace postlane::http {

class Multi;
class Transfer;

// What the transfers of one provider in one thread have in common.
struct Lane {
    const config::Provider* provider = nullptr;
    std::string authorization;  // the whole header line; empty: none

    // Handed over, oldest first: all have the same time-out, so the first is the next to be late.
    Transfer* oldest = nullptr;
    Transfer* newest = nullptr;
};

// What a transfer tells or asks while libcurl runs it.
struct Surroundings {
    const Clock& clock;
    AttemptSink& sink;
    const CurlOptions& options;
};

class Transfer {
public:
    static constexpr std::size_t kBodyMax = std::size_t{64} * 1024;

    // `sockets` is what the socket callbacks get. Throws std::bad_alloc if there is no handle.
    Transfer(const Surroundings& around, Lane& lane, std::size_t provider, Multi& multi,
             curl_opensocket_callback open_socket, curl_closesocket_callback close_socket,
             void* sockets);
    ~Transfer();
    Transfer(const Transfer&) = delete;
    Transfer& operator=(const Transfer&) = delete;

    [[nodiscard]] CURL* easy() const noexcept { return easy_; }
    [[nodiscard]] Multi& multi() const noexcept { return multi_; }
    [[nodiscard]] std::size_t provider() const noexcept { return provider_; }
    [[nodiscard]] const DispatchRequest& request() const noexcept { return request_; }
    [[nodiscard]] bool handed_over() const noexcept { return handed_over_at_.has_value(); }
    // When it is late. Only if handed over.
    [[nodiscard]] BootInstant deadline() const;
    [[nodiscard]] Transfer* next_to_be_late() const noexcept { return next_; }

    bool active = false;  // on the wire; the I/O thread's mark

    // Takes the request and readies the handle for it.
    void load(DispatchRequest request);
    // It is taken back before it was handed over.
    void withdraw() { refused_ = NotHandedOver::Withdrawn; }
    // What became of it, `code` being what libcurl says.
    [[nodiscard]] AttemptResult conclude(CURLcode code);
    // Forgets everything but the handle.
    [[nodiscard]] DispatchRequest unload();

private:
    static int before_request(void* self, char*, char*, int, int) noexcept;
    static std::size_t on_header(char* data, std::size_t size, std::size_t count,
                                 void* self) noexcept;
    static std::size_t on_body(char* data, std::size_t size, std::size_t count,
                               void* self) noexcept;

    void set_up(curl_opensocket_callback open_socket, curl_closesocket_callback close_socket,
                void* sockets);
    bool let_pass();
    void take_header(std::string_view line);
    bool take_body(std::string_view part);
    void link();
    void unlink();

    const Surroundings& around_;
    Lane& lane_;
    const std::size_t provider_;
    Multi& multi_;
    CURL* const easy_;

    DispatchRequest request_;
    std::string url_;  // that the handle knows
    std::vector<std::string> header_lines_;
    std::vector<curl_slist> header_list_;  // over header_lines_ and the lane's authorization
    std::array<char, CURL_ERROR_SIZE> error_text_{};

    std::optional<NotHandedOver> refused_;
    std::optional<BootInstant> handed_over_at_;
    bool sent_again_ = false;  // libcurl was about to send a second time
    int status_ = 0;
    bool headers_complete_ = false;  // of a final answer, not of an interim one
    std::vector<std::pair<std::string, std::string>> answer_headers_;
    std::string body_;
    Transfer* previous_ = nullptr;
    Transfer* next_ = nullptr;
};

}  // namespace postlane::http
