#include "sandbox/engine.h"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <chrono>
#include <random>
#include <stdexcept>
#include <utility>

namespace postlane::sandbox {
namespace {

constexpr std::size_t kMaxKeyLength = 256;  // Resend's limit

Problem no_token() {
    return {.status = 401,
            .name = "missing_api_key",
            .field = {},
            .message = "Missing or wrong API key in the authorization header."};
}

Problem server_error(int status) {
    return {.status = status,
            .name = "internal_server_error",
            .field = {},
            .message = "An unexpected error occurred."};
}

Problem outage() {
    return {.status = 503,
            .name = "service_unavailable",
            .field = {},
            .message = "The service is temporarily unavailable."};
}

Problem rejection(Provider provider) {
    return {.status = provider == Provider::SendGrid ? 400 : 422,
            .name = "validation_error",
            .field = "to",
            .message = "The recipient was refused."};
}

Problem bad_key() {
    return {.status = 400,
            .name = "invalid_idempotency_key",
            .field = {},
            .message = "The idempotency key must have from 1 to 256 characters."};
}

Problem key_conflict(KeyState state) {
    if (state == KeyState::InProgress) {
        return {.status = 409,
                .name = "concurrent_idempotent_requests",
                .field = {},
                .message = "A request with this idempotency key is in progress."};
    }
    return {.status = 409,
            .name = "invalid_idempotent_request",
            .field = {},
            .message = "This idempotency key was used with another request body."};
}

bool is_json(std::string_view content_type) {
    return content_type.starts_with("application/json");
}

std::uint64_t random_bits() {
    std::random_device device;
    return (std::uint64_t{device()} << 32U) | device();
}

}  // namespace

std::int64_t wall_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::system_clock::now().time_since_epoch())
        .count();
}

struct Desk::Hasher {
    // Fetched once: an implicit fetch per hash costs more than hashing a mail.
    EVP_MD* algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
};

Desk::Desk() : hasher_(std::make_unique<Hasher>()) {}

Desk::~Desk() {
    EVP_MD_CTX_free(hasher_->context);
    EVP_MD_free(hasher_->algorithm);
}

Digest Desk::sha256(std::string_view bytes) {
    Digest digest{};
    const bool done = EVP_DigestInit_ex2(hasher_->context, hasher_->algorithm, nullptr) == 1 &&
                      EVP_DigestUpdate(hasher_->context, bytes.data(), bytes.size()) == 1 &&
                      EVP_DigestFinal_ex(hasher_->context, digest.data(), nullptr) == 1;
    if (!done) {
        throw std::runtime_error("SHA-256 is not available");
    }
    return digest;
}

struct Engine::Case {
    const Request& request;
    const std::optional<Problem>& problem;  // of the body
    Record record;
    Verdict verdict;
    Dice dice;
    Fault fault = Fault::None;  // what luck has in store; counts only once it strikes
    std::string key = {};       // idempotency key with its scope; empty: none

    void answer(Answer given) { verdict.answer = std::move(given); }
    void strike(Fault struck) { record.fault = struck; }
};

Engine::Engine(const Options& options)
    : options_(options), run_id_(random_bits()), keys_(options.keep_idempotency_keys),
      recent_(options.keep_records), stats_(wall_us()) {
    initial_faults_.latency_ms = options.latency_ms;
    initial_faults_.http_idempotency = options.http_idempotency;
    if (!options.faults_json.empty()) {
        if (const auto problem = patch(initial_faults_, options.faults_json)) {
            throw std::runtime_error("faults: " + *problem);
        }
    }
    faults_ = initial_faults_;
}

bool Engine::token_is_good(const Request& request) const {
    static constexpr std::string_view kBearer = "Bearer ";
    const std::string_view given = request.authorization.starts_with(kBearer)
                                       ? request.authorization.substr(kBearer.size())
                                       : std::string_view{};
    if (!options_.require_token.empty()) {
        return given == options_.require_token;
    }
    return request.provider == Provider::Http || !given.empty();
}

std::string Engine::make_id(Provider provider, std::uint64_t n) const {
    if (provider == Provider::SendGrid) {
        return fmt::format("{:012x}{:010x}", run_id_ >> 16U, n);
    }
    return fmt::format("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", run_id_ >> 32U,
                       (run_id_ >> 16U) & 0xFFFFU, (run_id_ >> 4U) & 0xFFFU, run_id_ & 0xFU, n);
}

// Everything that strikes before a provider looks at the message. True: decided.
bool Engine::refuse_before_reading(Case& it) {
    const Provider provider = it.request.provider;
    if (faults_.outage) {
        it.strike(Fault::Outage);
        switch (faults_.outage_mode) {
            case OutageMode::Answer503:
                it.answer(refused(provider, outage()));
                break;
            case OutageMode::Hang:
                it.verdict.action = Action::Hang;
                break;
            case OutageMode::Close:
                it.verdict.action = Action::Close;
                break;
        }
        return true;
    }
    if (it.fault == Fault::DropBefore) {
        it.strike(it.fault);
        it.verdict.action = Action::Close;
        return true;
    }
    if (faults_.unauthorized || !token_is_good(it.request)) {
        it.strike(faults_.unauthorized ? Fault::Unauthorized : Fault::None);
        it.answer(refused(provider, no_token()));
        return true;
    }
    if (it.fault == Fault::Error5xx && !faults_.error_5xx_executes) {
        it.strike(it.fault);
        it.answer(refused(provider, server_error(static_cast<int>(faults_.error_5xx_status))));
        return true;
    }
    if (it.fault == Fault::Throttle) {
        it.strike(it.fault);
        it.answer(throttled(provider, faults_.retry_after_s));
        return true;
    }
    return false;
}

// True: decided, without an execution. A replay may still lose its answer afterwards.
bool Engine::check_idempotency(Case& it) {
    const Request& request = it.request;
    const bool honoured = request.provider == Provider::Resend ||
                          (request.provider == Provider::Http && faults_.http_idempotency);
    if (!honoured || !request.idempotency_key) {
        return false;
    }
    if (request.idempotency_key->empty() || request.idempotency_key->size() > kMaxKeyLength) {
        it.answer(refused(request.provider, bad_key()));
        return true;
    }
    // Keys of two accounts are strangers to each other.
    it.key = fmt::format("{}\n{}\n{}", name_of(request.provider), request.authorization,
                         *request.idempotency_key);
    const auto found =
        keys_.find(it.key, it.record.body_sha256, request.t_rx_us, faults_.idempotency_lifetime_ms);
    switch (found.state) {
        case KeyState::New:
            return false;
        case KeyState::Replay:
            it.record.replayed = true;
            it.answer(accepted(request.provider, found.answer_id));
            return true;
        case KeyState::InProgress:
        case KeyState::OtherBody:
            break;
    }
    it.answer(refused(request.provider, key_conflict(found.state)));
    return true;
}

void Engine::execute(Case& it) {
    const Provider provider = it.request.provider;
    it.record.executed = true;
    std::string id = make_id(provider, it.record.n);
    it.answer(accepted(provider, id));
    if (!it.key.empty()) {
        const auto latency_us = static_cast<std::int64_t>(it.verdict.latency_us);
        keys_.store(it.key, it.record.body_sha256, std::move(id), it.request.t_rx_us,
                    it.request.t_rx_us + latency_us);
    }
}

void Engine::judge(Case& it) {
    if (refuse_before_reading(it)) {
        return;
    }
    if (it.problem) {
        it.answer(refused(it.request.provider, *it.problem));
        return;
    }
    if (check_idempotency(it)) {
        if (!it.record.replayed) {
            return;
        }
    } else if (it.fault == Fault::Reject) {
        it.strike(it.fault);
        it.answer(refused(it.request.provider, rejection(it.request.provider)));
        return;
    } else {
        execute(it);
    }
    // The mail is out; what may still happen to its answer.
    if (it.fault == Fault::AcceptThenDrop || it.fault == Fault::AcceptThenHang) {
        it.strike(it.fault);
        it.verdict.action = it.fault == Fault::AcceptThenDrop ? Action::Close : Action::Hang;
    } else if (it.fault == Fault::Error5xx) {
        it.strike(it.fault);
        it.answer(
            refused(it.request.provider, server_error(static_cast<int>(faults_.error_5xx_status))));
    }
}

Verdict Engine::decide(const Request& request, Desk& desk, std::string& lines) {
    Record record{.t_rx_us = request.t_rx_us,
                  .provider = request.provider,
                  .idempotency_key = request.idempotency_key,
                  .body_sha256 = desk.sha256(*request.body)};
    std::optional<Problem> problem =
        desk.reader.read(request.provider, *request.body, record.envelope);
    if (!record.envelope.postlane_id) {
        record.envelope.postlane_id = request.postlane_id;
    }
    if (request.provider == Provider::SendGrid && !is_json(request.content_type)) {
        problem = Problem{.status = 415,
                          .name = {},
                          .field = {},
                          .message = "Content-Type should be application/json."};
    }

    const std::lock_guard lock(mutex_);
    record.n = ++n_;
    Case it{.request = request,
            .problem = problem,
            .record = record,
            .verdict = {},
            .dice = Dice{faults_.seed, rolled_++}};
    it.fault = it.dice.fault(faults_);
    it.verdict.latency_us = it.dice.latency_us(faults_);
    judge(it);

    it.verdict.close_idle = it.dice.closes_idle(faults_);
    it.verdict.close_idle_ms = faults_.close_idle_ms;
    if (it.verdict.action == Action::Reply) {
        it.record.status = it.verdict.answer.status;
        it.record.t_reply_us = request.t_rx_us + static_cast<std::int64_t>(it.verdict.latency_us);
    }
    const std::size_t start = lines.size();
    append_line(lines, it.record);
    recent_.push(it.record.n, it.record.executed,
                 std::string_view{lines}.substr(start, lines.size() - start - 1));
    stats_.count(it.record);
    return std::move(it.verdict);
}

void Engine::count_answer(std::uint64_t after_us) {
    const std::lock_guard lock(mutex_);
    stats_.count_answer(after_us);
}

std::string Engine::faults_json() const {
    const std::lock_guard lock(mutex_);
    return to_json(faults_);
}

std::optional<std::string> Engine::change_faults(std::string_view json) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t old_seed = std::exchange(faults_.seed, 0);
    auto problem = patch(faults_, json);
    // A seed in the text starts the dice anew, also if it is the one in force.
    if (faults_.seed == 0) {
        faults_.seed = old_seed;
    } else {
        rolled_ = 0;
    }
    return problem;
}

void Engine::reset() {
    const std::lock_guard lock(mutex_);
    faults_ = initial_faults_;
    rolled_ = 0;
    keys_.clear();
    recent_.clear();
    stats_ = Stats{wall_us()};
}

std::string Engine::records_json(std::optional<std::uint64_t> since, std::size_t limit,
                                 bool executed_only) const {
    const std::lock_guard lock(mutex_);
    return recent_.to_json(since, limit, executed_only);
}

std::string Engine::stats_json(std::uint64_t connections_open,
                               std::uint64_t connections_total) const {
    const std::lock_guard lock(mutex_);
    return stats_.to_json(wall_us(), connections_open, connections_total, keys_.size());
}

}  // namespace postlane::sandbox
