// Against a server that misbehaves to the byte: what was delivered, how often, and what is said
// about it.
#include "adapters/http/curl_dispatcher.h"

#include <curl/curl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>

#include "adapters/http/raw_server.h"
#include "adapters/system/clock.h"

namespace postlane {
namespace {

using testing::answer;
using testing::Connection;
using testing::RawServer;
using Kind = AttemptResult::Kind;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr std::chrono::seconds kPatience{20};

class Results final : public AttemptSink {
public:
    void handed_over(const AttemptId& attempt) override {
        const std::lock_guard lock{mutex_};
        ++handed_over_[attempt.number];
        changed_.notify_all();
    }
    void finished(const AttemptId& attempt, PartitionId, AttemptResult result) override {
        const std::lock_guard lock{mutex_};
        results_[attempt.number].push_back(std::move(result));
        ++finished_;
        changed_.notify_all();
    }

    // The one result of this attempt, awaited.
    AttemptResult of(std::uint64_t attempt) {
        std::unique_lock lock{mutex_};
        const bool came =
            changed_.wait_for(lock, kPatience, [&] { return !results_[attempt].empty(); });
        EXPECT_TRUE(came) << "no result for attempt " << attempt;
        return came ? results_[attempt].front() : AttemptResult{};
    }
    bool wait_for_finished(std::size_t count) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, kPatience, [&] { return finished_ >= count; });
    }
    bool wait_for_handed_over(std::uint64_t attempt) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, kPatience, [&] { return handed_over_[attempt] > 0; });
    }
    std::size_t times_finished(std::uint64_t attempt) {
        const std::lock_guard lock{mutex_};
        return results_[attempt].size();
    }
    int times_handed_over(std::uint64_t attempt) {
        const std::lock_guard lock{mutex_};
        return handed_over_[attempt];
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<std::uint64_t, std::vector<AttemptResult>> results_;
    std::map<std::uint64_t, int> handed_over_;
    std::size_t finished_ = 0;
};

// Lets the first `passes` askings pass, then refuses.
class Check final : public LastCheck {
public:
    explicit Check(int passes = 1'000'000, NotHandedOver why = NotHandedOver::ViewStale)
        : passes_(passes), why_(why) {}
    std::optional<NotHandedOver> refuses(BootInstant) const noexcept override {
        ++asked_;
        return passes_.fetch_sub(1) > 0 ? std::nullopt : std::optional{why_};
    }
    int asked() const { return asked_.load(); }

private:
    mutable std::atomic<int> passes_;
    mutable std::atomic<int> asked_{0};
    NotHandedOver why_;
};

config::Provider provider_at(const std::string& url) {
    config::Provider provider;
    provider.name = "main";
    provider.kind = config::ProviderKind::Http;
    provider.base_url = url;
    provider.max_in_flight = 64;
    provider.timeout = Millis{10'000};
    return provider;
}

// A dispatcher with one provider and everything it reports.
struct Bench {
    explicit Bench(config::Provider provider, std::size_t threads = 1, CurlOptions options = {}) {
        config.dispatch.io_threads = threads;
        config.dispatch.max_in_flight = 4096;
        config.providers.push_back(std::move(provider));
        dispatcher = std::make_unique<CurlDispatcher>(config, clock, results, std::move(options));
    }
    void submit(std::uint64_t attempt, const std::shared_ptr<const LastCheck>& check,
                std::string body = "{}") {
        DispatchRequest request;
        request.attempt = {.process = 1, .number = attempt};
        request.request.url = config.providers.front().base_url;
        request.request.headers = {{"Content-Type", "application/json"}};
        request.request.body = std::move(body);
        request.last_check = check;
        dispatcher->submit(std::move(request));
    }
    AttemptResult send(std::uint64_t attempt, std::string body = "{}") {
        submit(attempt, std::make_shared<Check>(), std::move(body));
        return results.of(attempt);
    }

    SystemClock clock;
    Config config;
    Results results;
    std::unique_ptr<CurlDispatcher> dispatcher;
};

void answer_everything(Connection& connection, const std::string& text) {
    while (connection.read_request()) {
        connection.send(text);
    }
}

TEST(CurlDispatcher, DeliversOnceAndReportsTheAnswer) {
    std::mutex mutex;
    std::string seen;
    RawServer server{[&](Connection& connection, std::size_t) {
        while (const auto request = connection.read_request()) {
            const std::lock_guard lock{mutex};
            seen = *request;
            connection.send(answer(202, R"({"id":"m-1"})"));
        }
    }};
    config::Provider provider = provider_at(server.url());
    provider.credentials = Secret{"sesame"};
    Bench bench{std::move(provider)};

    const AttemptResult result = bench.send(1, R"({"a":1})");

    EXPECT_EQ(result.kind, Kind::Answered);
    EXPECT_EQ(result.answer.status, 202);
    EXPECT_EQ(result.answer.provider_message_id, "m-1");
    EXPECT_EQ(result.transport_error, "");
    EXPECT_LE(result.handed_over_at, result.ended_at);
    EXPECT_EQ(bench.results.times_handed_over(1), 1);
    const std::lock_guard lock{mutex};
    EXPECT_THAT(seen, StartsWith("POST /send HTTP/1.1\r\n"));
    EXPECT_THAT(seen, HasSubstr("\r\nContent-Type: application/json\r\n"));
    EXPECT_THAT(seen, HasSubstr("\r\nAuthorization: Bearer sesame\r\n"));
    EXPECT_THAT(seen, Not(HasSubstr("Expect")));
    EXPECT_THAT(seen, ::testing::EndsWith("\r\n\r\n{\"a\":1}"));
}

TEST(CurlDispatcher, ReusesItsConnection) {
    RawServer server{[](Connection& connection, std::size_t) {
        answer_everything(connection, answer(200, ""));
    }};
    Bench bench{provider_at(server.url())};
    for (std::uint64_t attempt = 1; attempt <= 20; ++attempt) {
        EXPECT_EQ(bench.send(attempt, std::string(attempt * 10'000, 'x')).answer.status, 200);
    }
    EXPECT_EQ(server.connections(), 1U);
}

// The trap: answers the first request of the first connection, reads the second one whole, and
// closes without a word. Anything that comes again on another connection is answered politely.
struct Trap {
    std::atomic<std::size_t> delivered{0};
    RawServer server{[this](Connection& connection, std::size_t index) {
        while (connection.read_request()) {
            const std::size_t number = delivered.fetch_add(1);
            if (index == 0 && number == 1) {
                return;
            }
            connection.send(answer(200, R"({"id":"m"})"));
        }
    }};
};

TEST(CurlDispatcher, DeadPooledConnectionIsNotPostedToAgain) {
    Trap trap;
    Bench bench{provider_at(trap.server.url())};
    ASSERT_EQ(bench.send(1).kind, Kind::Answered);

    const AttemptResult result = bench.send(2);

    EXPECT_EQ(result.kind, Kind::NoAnswer);
    EXPECT_NE(result.transport_error, "");
    EXPECT_EQ(trap.delivered.load(), 2U);
    EXPECT_EQ(bench.results.times_handed_over(2), 1);
    EXPECT_EQ(bench.results.times_finished(2), 1U);
    EXPECT_EQ(bench.send(3).kind, Kind::Answered);
}

// The same trap without our hook: libcurl delivers twice and reports one clean answer. As long as
// this holds, the test above proves something.
TEST(CurlDispatcher, WithoutTheHookLibcurlPostsTwice) {
    Trap trap;
    const std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> easy{curl_easy_init(),
                                                                   &curl_easy_cleanup};
    const std::string url = trap.server.url();
    curl_easy_setopt(easy.get(), CURLOPT_URL, url.c_str());
    curl_easy_setopt(easy.get(), CURLOPT_POSTFIELDS, "{}");
    curl_easy_setopt(easy.get(), CURLOPT_NOPROXY, "*");
    curl_easy_setopt(
        easy.get(), CURLOPT_WRITEFUNCTION,
        +[](char*, std::size_t size, std::size_t count, void*) { return size * count; });
    ASSERT_EQ(curl_easy_perform(easy.get()), CURLE_OK);
    EXPECT_EQ(curl_easy_perform(easy.get()), CURLE_OK);
    EXPECT_EQ(trap.delivered.load(), 3U);
}

// How the server ends the one connection after reading the request whole.
struct Ending {
    std::string name;
    std::string bytes;  // sent before closing
    bool reset;
    Kind kind;
    int status;
};
void PrintTo(const Ending& ending, std::ostream* out) {
    *out << ending.name;
}

class EndingTest : public ::testing::TestWithParam<Ending> {};

TEST_P(EndingTest, IsClassified) {
    const Ending& ending = GetParam();
    std::atomic<std::size_t> delivered{0};
    RawServer server{[&](Connection& connection, std::size_t) {
        while (connection.read_request()) {
            ++delivered;
            connection.send(ending.bytes);
            if (ending.reset) {
                connection.reset_on_close();
            }
            return;
        }
    }};
    Bench bench{provider_at(server.url())};
    const AttemptResult result = bench.send(1);
    EXPECT_EQ(result.kind, ending.kind) << result.transport_error;
    EXPECT_EQ(result.answer.status, ending.status);
    EXPECT_EQ(delivered.load(), 1U);
    EXPECT_EQ(bench.results.times_handed_over(1), 1);
}

INSTANTIATE_TEST_SUITE_P(
    Table, EndingTest,
    ::testing::Values(
        Ending{"ClosesUnanswered", "", false, Kind::NoAnswer, 0},
        Ending{"ResetsUnanswered", "", true, Kind::NoAnswer, 0},
        Ending{"PartialStatus", "HTTP/1.1 20", false, Kind::NoAnswer, 0},
        Ending{"PartialHeader", "HTTP/1.1 200 OK\r\nContent-Le", false, Kind::NoAnswer, 0},
        Ending{"OnlyInterim", "HTTP/1.1 103 Early Hints\r\n\r\n", false, Kind::NoAnswer, 0},
        Ending{"InterimThenFinal", "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", false,
               Kind::Answered, 200},
        Ending{"PartialBody", "HTTP/1.1 202 OK\r\nContent-Length: 99\r\n\r\n{\"id\"", false,
               Kind::Answered, 202},
        Ending{"PartialBodyOfRefusal", "HTTP/1.1 422 No\r\nContent-Length: 99\r\n\r\n{", false,
               Kind::Answered, 422},
        Ending{"BodyUntilClose", "HTTP/1.1 200 OK\r\n\r\n{}", false, Kind::Answered, 200},
        Ending{"NotHttp", "220 mail.example ESMTP\r\n", false, Kind::NoAnswer, 0},
        Ending{"ServerError", "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n", false,
               Kind::Answered, 500},
        Ending{"SwitchesProtocols", "HTTP/1.1 101 Switching\r\n\r\n", false, Kind::NoAnswer, 0}),
    [](const auto& ending) { return ending.param.name; });

TEST(CurlDispatcher, RefusedConnectionIsNotHandedOver) {
    Bench bench{provider_at("http://127.0.0.1:" + std::to_string(testing::closed_port()))};
    for (std::uint64_t attempt = 1; attempt <= 3; ++attempt) {
        const AttemptResult result = bench.send(attempt);
        EXPECT_EQ(result.kind, Kind::NotHandedOver);
        EXPECT_EQ(result.why_not, NotHandedOver::ConnectFailed);
        EXPECT_NE(result.transport_error, "");
        EXPECT_EQ(bench.results.times_handed_over(attempt), 0);
    }
}

TEST(CurlDispatcher, UnknownHostIsNotHandedOver) {
    Bench bench{provider_at("http://nowhere.invalid/")};
    const AttemptResult result = bench.send(1);
    EXPECT_EQ(result.kind, Kind::NotHandedOver);
    EXPECT_EQ(result.why_not, NotHandedOver::ConnectFailed);
}

TEST(CurlDispatcher, TimeOutCountsFromTheHandOverAndLeavesItInDoubt) {
    RawServer server{[](Connection& connection, std::size_t) {
        (void)connection.read_request();
        connection.wait_for_close();
    }};
    config::Provider provider = provider_at(server.url());
    provider.timeout = Millis{150};
    Bench bench{std::move(provider)};
    const AttemptResult result = bench.send(1);
    EXPECT_EQ(result.kind, Kind::NoAnswer);
    EXPECT_THAT(result.transport_error, HasSubstr("time-out"));
    EXPECT_GE(result.ended_at - result.handed_over_at, Millis{150});
    EXPECT_LT(result.ended_at - result.handed_over_at, Millis{5'000});
}

TEST(CurlDispatcher, RefusingHookSendsNothing) {
    std::atomic<std::size_t> bytes{0};
    RawServer server{[&](Connection& connection, std::size_t) {
        while (const auto request = connection.read_request()) {
            bytes += request->size();
        }
    }};
    Bench bench{provider_at(server.url())};
    // Asked once before it is put on the wire, and passes; then in the hook, and is refused.
    const auto check = std::make_shared<Check>(1, NotHandedOver::SuppressionArrived);
    bench.submit(1, check);
    const AttemptResult result = bench.results.of(1);
    EXPECT_EQ(result.kind, Kind::NotHandedOver);
    EXPECT_EQ(result.why_not, NotHandedOver::SuppressionArrived);
    EXPECT_EQ(bench.results.times_handed_over(1), 0);
    EXPECT_EQ(check->asked(), 2);
    bench.dispatcher->stop(bench.clock.boot_now());
    EXPECT_EQ(bytes.load(), 0U);
}

TEST(CurlDispatcher, RedirectIsNotFollowed) {
    std::atomic<std::size_t> requests{0};
    RawServer server{[&](Connection& connection, std::size_t) {
        while (connection.read_request()) {
            ++requests;
            connection.send(answer(307, "", "Location: /elsewhere\r\n"));
        }
    }};
    Bench bench{provider_at(server.url())};
    const AttemptResult result = bench.send(1);
    EXPECT_EQ(result.kind, Kind::Answered);
    EXPECT_EQ(result.answer.status, 307);
    EXPECT_EQ(classify(bench.config.providers.front(), result), AnswerClass::Rejected);
    EXPECT_EQ(requests.load(), 1U);
}

TEST(CurlDispatcher, EndlessAnswerIsCutOffAndStillCounts) {
    RawServer server{[](Connection& connection, std::size_t) {
        if (!connection.read_request()) {
            return;
        }
        connection.send(
            "HTTP/1.1 200 OK\r\nX-Message-Id: m-9\r\nContent-Length: 100000000\r\n\r\n");
        const std::string megabyte(1 << 20, ' ');
        for (int sent = 0; sent < 95; ++sent) {
            connection.send(megabyte);  // fails once the peer has had enough
        }
    }};
    Bench bench{provider_at(server.url())};
    const AttemptResult result = bench.send(1);
    EXPECT_EQ(result.kind, Kind::Answered);
    EXPECT_EQ(result.answer.status, 200);
    EXPECT_EQ(result.answer.provider_message_id, "m-9");
}

// Holds every answer back until told.
struct Gate {
    std::mutex mutex;
    std::condition_variable changed;
    bool open = false;
    std::size_t waiting = 0;
    std::size_t most_waiting = 0;

    void pass() {
        std::unique_lock lock{mutex};
        most_waiting = std::max(most_waiting, ++waiting);
        changed.notify_all();
        changed.wait_for(lock, kPatience, [&] { return open; });
        --waiting;
    }
    bool wait_for(std::size_t count) {
        std::unique_lock lock{mutex};
        return changed.wait_for(lock, kPatience, [&] { return waiting >= count; });
    }
    void release() {
        const std::lock_guard lock{mutex};
        open = true;
        changed.notify_all();
    }
};

struct GatedServer {
    Gate gate;
    RawServer server{[this](Connection& connection, std::size_t) {
        while (connection.read_request()) {
            gate.pass();
            connection.send(answer(200, ""));
        }
    }};
    ~GatedServer() { gate.release(); }
};

TEST(CurlDispatcher, KeepsTheWireLimitOverItsThreads) {
    GatedServer gated;
    config::Provider provider = provider_at(gated.server.url());
    provider.max_in_flight = 5;
    Bench bench{std::move(provider), 2};
    constexpr std::uint64_t kCount = 40;
    for (std::uint64_t attempt = 1; attempt <= kCount; ++attempt) {
        bench.submit(attempt, std::make_shared<Check>());
    }
    ASSERT_TRUE(gated.gate.wait_for(5));
    EXPECT_EQ(bench.dispatcher->outstanding(0), kCount);
    gated.gate.release();
    ASSERT_TRUE(bench.results.wait_for_finished(kCount));
    EXPECT_EQ(gated.gate.most_waiting, 5U);
    EXPECT_EQ(bench.dispatcher->outstanding(0), 0U);
    for (std::uint64_t attempt = 1; attempt <= kCount; ++attempt) {
        EXPECT_EQ(bench.results.of(attempt).kind, Kind::Answered);
        EXPECT_EQ(bench.results.times_finished(attempt), 1U);
    }
}

TEST(CurlDispatcher, QueuedRequestThatBecamePointlessEndsAtOnce) {
    GatedServer gated;
    config::Provider provider = provider_at(gated.server.url());
    provider.max_in_flight = 1;
    Bench bench{std::move(provider)};
    bench.submit(1, std::make_shared<Check>());
    ASSERT_TRUE(gated.gate.wait_for(1));
    bench.submit(2, std::make_shared<Check>(0, NotHandedOver::DeadlinePassed));
    const AttemptResult result = bench.results.of(2);
    EXPECT_EQ(result.kind, Kind::NotHandedOver);
    EXPECT_EQ(result.why_not, NotHandedOver::DeadlinePassed);
    EXPECT_EQ(bench.results.times_finished(1), 0U);
}

TEST(CurlDispatcher, StopWithdrawsTheQueueAndLetsTheWireFinish) {
    GatedServer gated;
    config::Provider provider = provider_at(gated.server.url());
    provider.max_in_flight = 1;
    Bench bench{std::move(provider)};
    for (std::uint64_t attempt = 1; attempt <= 3; ++attempt) {
        bench.submit(attempt, std::make_shared<Check>());
    }
    ASSERT_TRUE(gated.gate.wait_for(1));
    std::thread stopper{
        [&] { bench.dispatcher->stop(bench.clock.boot_now() + std::chrono::seconds{30}); }};
    EXPECT_EQ(bench.results.of(2).why_not, NotHandedOver::Withdrawn);
    EXPECT_EQ(bench.results.of(3).why_not, NotHandedOver::Withdrawn);
    EXPECT_EQ(bench.results.times_finished(1), 0U);
    gated.gate.release();
    stopper.join();
    EXPECT_EQ(bench.results.of(1).kind, Kind::Answered);

    const AttemptResult late = bench.send(4);
    EXPECT_EQ(late.kind, Kind::NotHandedOver);
    EXPECT_EQ(late.why_not, NotHandedOver::Withdrawn);
}

TEST(CurlDispatcher, StopLeavesWhatIsNotAnsweredByTheDeadlineInDoubt) {
    GatedServer gated;
    Bench bench{provider_at(gated.server.url())};
    bench.submit(1, std::make_shared<Check>());
    ASSERT_TRUE(bench.results.wait_for_handed_over(1));
    bench.dispatcher->stop(bench.clock.boot_now() + Millis{50});
    EXPECT_EQ(bench.results.times_finished(1), 1U);
    EXPECT_EQ(bench.results.of(1).kind, Kind::NoAnswer);
}

TEST(CurlDispatcher, ManyRequestsAtOnceAllEndOnce) {
    RawServer server{[](Connection& connection, std::size_t) {
        answer_everything(connection, answer(200, ""));
    }};
    config::Provider provider = provider_at(server.url());
    provider.max_in_flight = 300;  // more than one CURLM
    Bench bench{std::move(provider)};
    constexpr std::uint64_t kCount = 3'000;
    for (std::uint64_t attempt = 1; attempt <= kCount; ++attempt) {
        bench.submit(attempt, std::make_shared<Check>());
    }
    ASSERT_TRUE(bench.results.wait_for_finished(kCount));
    for (std::uint64_t attempt = 1; attempt <= kCount; ++attempt) {
        ASSERT_EQ(bench.results.of(attempt).kind, Kind::Answered);
        ASSERT_EQ(bench.results.times_finished(attempt), 1U);
    }
    EXPECT_LE(server.connections(), 300U);
}

// A certificate for localhost that no authority signed, made for this run.
class SelfSigned {
public:
    SelfSigned() {
        const std::string base = ::testing::TempDir() + "postlane-tls-" + std::to_string(getpid());
        certificate = base + ".pem";
        key_ = base + ".key";
        const std::string command =
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 "
            "-subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout " +
            key_ + " -out " + certificate + " 2>/dev/null";
        made = std::system(command.c_str()) == 0;
        context = SSL_CTX_new(TLS_server_method());
        made = made &&
               SSL_CTX_use_certificate_file(context, certificate.c_str(), SSL_FILETYPE_PEM) == 1 &&
               SSL_CTX_use_PrivateKey_file(context, key_.c_str(), SSL_FILETYPE_PEM) == 1;
    }
    ~SelfSigned() {
        SSL_CTX_free(context);
        unlink(certificate.c_str());
        unlink(key_.c_str());
    }

    // The same certificate, but its time was over an hour ago.
    void expire() {
        X509* const x509 = SSL_CTX_get0_certificate(context);
        X509_gmtime_adj(X509_getm_notBefore(x509), -7'200);
        X509_gmtime_adj(X509_getm_notAfter(x509), -3'600);
        made = made && X509_sign(x509, SSL_CTX_get0_privatekey(context), EVP_sha256()) > 0;
        std::FILE* const file = std::fopen(certificate.c_str(), "w");
        made = made && file != nullptr && PEM_write_X509(file, x509) == 1;
        if (file != nullptr) {
            (void)std::fclose(file);
        }
    }

    bool made = false;
    std::string certificate;
    SSL_CTX* context = nullptr;

private:
    std::string key_;
};

TEST(CurlDispatcher, RefusesACertificateItDoesNotTrust) {
    const SelfSigned tls;
    ASSERT_TRUE(tls.made);
    std::atomic<std::size_t> delivered{0};
    RawServer server{[&](Connection& connection, std::size_t) {
                         while (connection.read_request()) {
                             ++delivered;
                             connection.send(answer(200, ""));
                         }
                     },
                     tls.context};
    Bench stranger{provider_at(server.url())};
    const AttemptResult refused = stranger.send(1);
    EXPECT_EQ(refused.kind, Kind::NotHandedOver);
    EXPECT_EQ(refused.why_not, NotHandedOver::ConnectFailed);
    EXPECT_THAT(refused.transport_error, HasSubstr("certificate"));
    EXPECT_EQ(delivered.load(), 0U);

    // The same server is fine for whoever trusts it, but only by the name in the certificate.
    Bench friendly{provider_at(server.url()), 1, CurlOptions{.ca_file = tls.certificate}};
    EXPECT_EQ(friendly.send(1).kind, Kind::Answered);
    std::string by_number = server.url();
    by_number.replace(by_number.find("localhost"), 9, "127.0.0.1");
    Bench misled{provider_at(by_number), 1, CurlOptions{.ca_file = tls.certificate}};
    EXPECT_EQ(misled.send(1).why_not, NotHandedOver::ConnectFailed);
    EXPECT_EQ(delivered.load(), 1U);
}

TEST(CurlDispatcher, RefusesACertificateWhoseTimeIsOver) {
    SelfSigned tls;
    tls.expire();
    ASSERT_TRUE(tls.made);
    std::atomic<std::size_t> delivered{0};
    RawServer server{[&](Connection& connection, std::size_t) {
                         while (connection.read_request()) {
                             ++delivered;
                             connection.send(answer(200, ""));
                         }
                     },
                     tls.context};
    // Trusted and rightly named: its age alone is wrong.
    Bench bench{provider_at(server.url()), 1, CurlOptions{.ca_file = tls.certificate}};
    const AttemptResult refused = bench.send(1);
    EXPECT_EQ(refused.kind, Kind::NotHandedOver);
    EXPECT_EQ(refused.why_not, NotHandedOver::ConnectFailed);
    EXPECT_THAT(refused.transport_error, HasSubstr("certificate"));
    EXPECT_EQ(delivered.load(), 0U);
}

}  // namespace
}  // namespace postlane
