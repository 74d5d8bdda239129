#include "adapters/http/transfer.h"

#include <algorithm>
#include <new>

#include "codec/render.h"
#include "postlane/crash_point.h"

namespace postlane::http {
namespace {

constexpr long kBufferBytes = 4096;        // answers are small
constexpr long kConnectionLifeMaxS = 300;  // so that a change in the DNS is noticed
constexpr std::size_t kAnswerHeadersMax = 8;
constexpr const char* kUserAgent = "postlane";

template <class Value>
void set(CURL* easy, CURLoption option, Value value) {
    // Fails only for want of memory, or for an option this libcurl does not know: both are fatal.
    if (curl_easy_setopt(easy, option, value) != CURLE_OK) {
        throw std::bad_alloc{};
    }
}

char lower(char letter) {
    return letter >= 'A' && letter <= 'Z' ? static_cast<char>(letter - 'A' + 'a') : letter;
}

bool is_wanted(std::string_view name) {
    static constexpr std::array<std::string_view, 5> kWanted{
        "x-message-id", "retry-after", "date", "x-ratelimit-reset", "ratelimit-reset"};
    return std::any_of(kWanted.begin(), kWanted.end(), [&](std::string_view wanted) {
        return std::equal(name.begin(), name.end(), wanted.begin(), wanted.end(),
                          [](char one, char other) { return lower(one) == other; });
    });
}

// "HTTP/1.1 202 Accepted" -> 202; 0 if there is none.
int status_in(std::string_view line) {
    const auto space = line.find(' ');
    int status = 0;
    for (std::size_t at = space + 1; space != std::string_view::npos && at < space + 4; ++at) {
        if (at >= line.size() || line[at] < '0' || line[at] > '9') {
            return 0;
        }
        status = status * 10 + (line[at] - '0');
    }
    return status;
}

}  // namespace

Transfer::Transfer(const Surroundings& around, Lane& lane, std::size_t provider, Multi& multi,
                   curl_opensocket_callback open_socket, curl_closesocket_callback close_socket,
                   void* sockets)
    : around_(around), lane_(lane), provider_(provider), multi_(multi), easy_(curl_easy_init()) {
    if (easy_ == nullptr) {
        throw std::bad_alloc{};
    }
    set_up(open_socket, close_socket, sockets);
}

Transfer::~Transfer() {
    curl_easy_cleanup(easy_);
}

void Transfer::set_up(curl_opensocket_callback open_socket, curl_closesocket_callback close_socket,
                      void* sockets) {
    const CurlOptions& options = around_.options;
    set(easy_, CURLOPT_PRIVATE, static_cast<void*>(this));
    set(easy_, CURLOPT_ERRORBUFFER, error_text_.data());
    set(easy_, CURLOPT_NOSIGNAL, 1L);
    // A name server that hangs must not hang the thread with it.
    set(easy_, CURLOPT_QUICK_EXIT, 1L);

    set(easy_, CURLOPT_PROTOCOLS_STR, "http,https");
    set(easy_, CURLOPT_FOLLOWLOCATION, 0L);
    set(easy_, CURLOPT_PROXY, "");  // not the environment's
    set(easy_, CURLOPT_NETRC, long{CURL_NETRC_IGNORED});
    set(easy_, CURLOPT_SSL_VERIFYPEER, 1L);
    set(easy_, CURLOPT_SSL_VERIFYHOST, 2L);
    set(easy_, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    if (!options.ca_file.empty()) {
        set(easy_, CURLOPT_CAINFO, options.ca_file.c_str());
    }
    // One request per connection at a time: a connection that breaks puts one message in doubt.
    set(easy_, CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));

    set(easy_, CURLOPT_CONNECTTIMEOUT_MS, long{options.connect_timeout.count()});
    const auto idle = std::chrono::ceil<std::chrono::seconds>(options.idle_connection_max);
    set(easy_, CURLOPT_MAXAGE_CONN, long{idle.count()});
    set(easy_, CURLOPT_MAXLIFETIME_CONN, kConnectionLifeMaxS);
    set(easy_, CURLOPT_BUFFERSIZE, kBufferBytes);

    set(easy_, CURLOPT_POST, 1L);
    set(easy_, CURLOPT_USERAGENT, kUserAgent);
    set(easy_, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    set(easy_, CURLOPT_OPENSOCKETDATA, sockets);
    set(easy_, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    set(easy_, CURLOPT_CLOSESOCKETDATA, sockets);
    set(easy_, CURLOPT_PREREQFUNCTION, &Transfer::before_request);
    set(easy_, CURLOPT_PREREQDATA, static_cast<void*>(this));
    set(easy_, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    set(easy_, CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(easy_, CURLOPT_WRITEFUNCTION, &Transfer::on_body);
    set(easy_, CURLOPT_WRITEDATA, static_cast<void*>(this));
}

void Transfer::load(DispatchRequest request) {
    request_ = std::move(request);
    const HttpRequest& http = request_.request;
    if (url_ != http.url) {
        url_ = http.url;
        set(easy_, CURLOPT_URL, url_.c_str());
    }
    // libcurl reads the body and the list where they are, until the transfer ends.
    set(easy_, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(http.body.size()));
    set(easy_, CURLOPT_POSTFIELDS, http.body.data());

    header_lines_.resize(http.headers.size() + 1);
    std::size_t used = 0;
    for (const auto& [name, value] : http.headers) {
        header_lines_[used++].assign(name).append(": ").append(value);
    }
    header_lines_[used++].assign("Expect:");  // never ask first: it costs a round trip
    header_list_.clear();
    header_list_.reserve(used + 1);
    for (std::string& line : header_lines_) {
        header_list_.push_back(curl_slist{.data = line.data(), .next = nullptr});
    }
    if (!lane_.authorization.empty()) {
        header_list_.push_back(curl_slist{.data = lane_.authorization.data(), .next = nullptr});
    }
    for (std::size_t at = 0; at + 1 < header_list_.size(); ++at) {
        header_list_[at].next = &header_list_[at + 1];
    }
    set(easy_, CURLOPT_HTTPHEADER, header_list_.data());
}

BootInstant Transfer::deadline() const {
    return handed_over_at_.value() + lane_.provider->timeout;
}

// The table of what each way to end means: whether the hook let the request pass is what decides,
// since no count of bytes can tell "processed" from "unread".
AttemptResult Transfer::conclude(CURLcode code) {
    AttemptResult result;
    result.ended_at = around_.clock.boot_now();
    if (code != CURLE_OK) {
        result.transport_error =
            error_text_.front() != '\0' ? error_text_.data() : curl_easy_strerror(code);
    }
    if (!handed_over_at_) {
        result.kind = AttemptResult::Kind::NotHandedOver;
        result.why_not = refused_.value_or(NotHandedOver::ConnectFailed);
        return result;
    }
    result.handed_over_at = *handed_over_at_;
    if (sent_again_) {
        result.kind = AttemptResult::Kind::NoAnswer;
        result.transport_error = "the connection closed without an answer";
        return result;
    }
    // A body that breaks off, or is too long, takes nothing away from a complete status.
    if (!headers_complete_) {
        result.kind = AttemptResult::Kind::NoAnswer;
        return result;
    }
    result.kind = AttemptResult::Kind::Answered;
    crash_point(CrashPoint::AfterResponse);
    result.answer = parse_answer(lane_.provider->kind, status_, answer_headers_, body_);
    return result;
}

DispatchRequest Transfer::unload() {
    unlink();
    refused_.reset();
    handed_over_at_.reset();
    sent_again_ = false;
    status_ = 0;
    headers_complete_ = false;
    answer_headers_.clear();
    body_.clear();
    error_text_.front() = '\0';
    return std::exchange(request_, DispatchRequest{});
}

int Transfer::before_request(void* self, char* /*remote*/, char* /*local*/, int /*remote_port*/,
                             int /*local_port*/) noexcept {
    return static_cast<Transfer*>(self)->let_pass() ? CURL_PREREQFUNC_OK : CURL_PREREQFUNC_ABORT;
}

bool Transfer::let_pass() {
    if (handed_over_at_) {
        sent_again_ = true;
        return false;
    }
    const BootInstant now = around_.clock.boot_now();
    refused_ = request_.last_check->refuses(now);
    if (refused_) {
        return false;
    }
    handed_over_at_ = now;
    link();
    around_.sink.handed_over(request_.attempt);
    crash_point(CrashPoint::BeforeFirstByte);
    return true;
}

std::size_t Transfer::on_header(char* data, std::size_t size, std::size_t count,
                                void* self) noexcept {
    static_cast<Transfer*>(self)->take_header({data, size * count});
    return size * count;
}

void Transfer::take_header(std::string_view line) {
    while (line.ends_with('\n') || line.ends_with('\r')) {
        line.remove_suffix(1);
    }
    if (headers_complete_) {
        return;  // trailers
    }
    if (line.starts_with("HTTP/")) {
        status_ = status_in(line);
        answer_headers_.clear();
        return;
    }
    if (line.empty()) {
        constexpr int kFirstFinal = 200;
        headers_complete_ = status_ >= kFirstFinal;
        return;
    }
    const auto colon = line.find(':');
    if (colon != std::string_view::npos && answer_headers_.size() < kAnswerHeadersMax &&
        is_wanted(line.substr(0, colon))) {
        answer_headers_.emplace_back(line.substr(0, colon), line.substr(colon + 1));
    }
}

std::size_t Transfer::on_body(char* data, std::size_t size, std::size_t count,
                              void* self) noexcept {
    return static_cast<Transfer*>(self)->take_body({data, size * count}) ? size * count : 0;
}

bool Transfer::take_body(std::string_view part) {
    const std::size_t room = kBodyMax - body_.size();
    body_.append(part.substr(0, room));
    return part.size() <= room;
}

void Transfer::link() {
    previous_ = lane_.newest;
    next_ = nullptr;
    (lane_.newest != nullptr ? lane_.newest->next_ : lane_.oldest) = this;
    lane_.newest = this;
}

void Transfer::unlink() {
    if (!handed_over_at_) {
        return;
    }
    (previous_ != nullptr ? previous_->next_ : lane_.oldest) = next_;
    (next_ != nullptr ? next_->previous_ : lane_.newest) = previous_;
    previous_ = nullptr;
    next_ = nullptr;
}

}  // namespace postlane::http
