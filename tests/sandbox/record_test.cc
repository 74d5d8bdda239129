#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <cstdio>
#include <set>
#include <thread>

#include "sandbox/client.h"

namespace postlane::sandbox::test {
namespace {

TEST(Record, IsInTheFileBeforeTheAnswerArrives) {
    Stand stand;
    for (std::size_t i = 1; i <= 200; ++i) {
        ASSERT_EQ(stand.client.post("/send", kEvent).status, 200);
        ASSERT_EQ(stand.lines().size(), i);
        ASSERT_EQ(stand.last("n"), std::to_string(i));
    }
}

TEST(Record, TimesAreWallClockMicrosecondsOfTheReception) {
    Stand stand;
    const auto now_us = [] {
        return std::chrono::duration_cast<std::chrono::microseconds>(
                   std::chrono::system_clock::now().time_since_epoch())
            .count();
    };
    const auto before = now_us();
    stand.client.post("/send", kEvent);
    const auto after = now_us();
    const long long received = std::stoll(stand.last("t_rx_us"));
    EXPECT_GE(received, before);
    EXPECT_LE(received, after);
}

TEST(Record, HasEveryRequestOnceWithSeveralThreads) {
    Options options;
    options.threads = 3;
    Stand stand(options);
    constexpr int kClients = 6;
    constexpr int kEach = 150;
    std::vector<std::thread> clients;
    for (int i = 0; i < kClients; ++i) {
        clients.emplace_back([&stand, i] {
            Client client(stand.url());
            for (int j = 0; j < kEach; ++j) {
                const std::string body = fmt::format(
                    R"({{"to":{{"email":"a@b.c"}},"metadata":{{"tag":"{}-{}"}}}})", i, j);
                ASSERT_EQ(client.post("/send", body).status, 200);
            }
        });
    }
    for (std::thread& client : clients) {
        client.join();
    }
    std::set<std::string> tags;
    std::set<std::string> numbers;
    for (const std::string& line : stand.lines()) {
        tags.insert(Stand::member(line, "tag"));
        numbers.insert(Stand::member(line, "n"));
    }
    EXPECT_EQ(stand.lines().size(), std::size_t{kClients * kEach});
    EXPECT_EQ(tags.size(), std::size_t{kClients * kEach});
    EXPECT_EQ(numbers.size(), std::size_t{kClients * kEach});
}

TEST(Record, IsAppendedToByTheNextRun) {
    Stand first;
    first.client.post("/send", kEvent);
    Options options;
    options.listen = "127.0.0.1:0";
    options.record_path = first.record_path();
    const Sandbox second(options);
    Client client(second.url());
    client.post("/send", kEvent);
    EXPECT_EQ(first.lines().size(), 2U);
}

TEST(Record, WithoutItNobodyGetsAnAnswer) {
    // /dev/full accepts the opening and refuses every byte, as a full disk does.
    Options options;
    options.listen = "127.0.0.1:0";
    options.record_path = "/dev/full";
    const Sandbox sandbox(options);
    Client client(sandbox.url());
    const Reply reply = client.post("/send", kEvent);
    EXPECT_NE(reply.result, CURLE_OK);
    EXPECT_EQ(reply.status, 0);
}

// Runs the whole program in a child and returns its exit code; `meanwhile` gets the first line of
// its output and its process.
template <class Meanwhile>
int run_child(const Options& options, const Meanwhile& meanwhile) {
    int pipe_ends[2];
    if (::pipe(pipe_ends) != 0) {
        throw std::runtime_error("no pipe");
    }
    (void)std::fflush(stdout);  // or the child says it again
    const pid_t child = ::fork();
    if (child == 0) {
        ::dup2(pipe_ends[1], STDOUT_FILENO);
        ::close(pipe_ends[0]);
        ::close(pipe_ends[1]);
        ::_exit(run(options));
    }
    ::close(pipe_ends[1]);
    std::string line;
    for (char byte = 0; ::read(pipe_ends[0], &byte, 1) == 1 && byte != '\n';) {
        line += byte;
    }
    meanwhile(line, child);
    int status = 0;
    ::waitpid(child, &status, 0);
    ::close(pipe_ends[0]);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(Run, SaysWhereItListensAndStopsOnSignals) {
    Options options;
    options.listen = "127.0.0.1:0";
    for (const int signal : {SIGTERM, SIGINT}) {
        const int code = run_child(options, [&](const std::string& line, pid_t child) {
            ASSERT_TRUE(line.starts_with("listening on http://127.0.0.1:")) << line;
            Client client(line.substr(line.find("http")));
            EXPECT_EQ(client.post("/send", kEvent).status, 200);
            ::kill(child, signal);
        });
        EXPECT_EQ(code, 0);
    }
}

TEST(Run, EndsWhenTheRecordCannotBeWritten) {
    Options options;
    options.listen = "127.0.0.1:0";
    options.record_path = "/dev/full";
    const int code = run_child(options, [&](const std::string& line, pid_t) {
        Client client(line.substr(line.find("http")));
        EXPECT_NE(client.post("/send", kEvent).result, CURLE_OK);
    });
    EXPECT_EQ(code, 74);
}

TEST(Run, RefusesWhatItCannotDoWithTheDocumentedCodes) {
    const auto nothing = [](const std::string&, pid_t) {};
    Options options;
    for (const char* listen :
         {"", "nowhere", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:65536", ":80"}) {
        options.listen = listen;
        EXPECT_EQ(run_child(options, nothing), 64) << listen;
    }
    Stand taken;
    options.listen = fmt::format("127.0.0.1:{}", taken.port());
    EXPECT_EQ(run_child(options, nothing), 69);
    options.listen = "127.0.0.1:0";
    options.faults_json = R"({"rejct":1})";
    EXPECT_EQ(run_child(options, nothing), 64);
    options.faults_json.clear();
    options.record_path = "/nonexistent/folder/record";
    EXPECT_EQ(run_child(options, nothing), 74);
}

}  // namespace
}  // namespace postlane::sandbox::test
