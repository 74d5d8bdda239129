#include "sim/campaign.h"

#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <new>
#include <sstream>
#include <stdexcept>

#include "sim/shrink.h"

namespace postlane::sim {
namespace {

constexpr std::size_t kJobsMax = 64;
constexpr int kPollMs = 200;
constexpr char kLineBreak = '\x1f';  // of a text inside one line

// What workers share: the next seed to take, and the one each is at.
struct Board {
    std::atomic<std::uint64_t> next{0};
    std::array<std::atomic<std::uint64_t>, kJobsMax> at{};
};

class SharedBoard {
public:
    SharedBoard() {
        void* memory =
            mmap(nullptr, sizeof(Board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            throw std::runtime_error("no memory to share with the workers");
        }
        board_ = new (memory) Board;
    }
    ~SharedBoard() { munmap(board_, sizeof(Board)); }
    SharedBoard(const SharedBoard&) = delete;
    SharedBoard& operator=(const SharedBoard&) = delete;
    Board* operator->() const { return board_; }

private:
    Board* board_;
};

// A child process and the end of a pipe that it writes into.
struct Child {
    pid_t pid = -1;
    int pipe = -1;
    std::string unread;
};

Child start_child(const std::function<void(std::FILE*)>& work) {
    std::array<int, 2> ends{};
    if (pipe(ends.data()) != 0) {
        throw std::runtime_error("no pipe to a worker");
    }
    std::fflush(stdout);
    const pid_t pid = fork();
    if (pid < 0) {
        throw std::runtime_error("no process for a worker");
    }
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);  // not longer than whoever waits for it
        close(ends[0]);
        std::FILE* out = fdopen(ends[1], "w");
        work(out);
        std::fclose(out);
        _exit(0);
    }
    close(ends[1]);
    return Child{pid, ends[0], {}};
}

// False once nothing more will come.
bool read_more(Child& child) {
    std::array<char, 65'536>
        buffer;  // NOLINT(cppcoreguidelines-pro-type-member-init): read() fills it
    const ssize_t got = read(child.pipe, buffer.data(), buffer.size());
    if (got > 0) {
        child.unread.append(buffer.data(), static_cast<std::size_t>(got));
    }
    return got > 0 || (got < 0 && errno == EINTR);
}

// How it ended; empty: well.
std::string bury(Child& child) {
    close(child.pipe);
    int status = 0;
    while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFSIGNALED(status)) {
        return fmt::format("aborted: the process was ended by signal {} ({})", WTERMSIG(status),
                           strsignal(WTERMSIG(status)));
    }
    return WEXITSTATUS(status) == 0
               ? ""
               : fmt::format("aborted: the process ended with {}", WEXITSTATUS(status));
}

std::string one_line(std::string text) {
    std::replace(text.begin(), text.end(), '\n', kLineBreak);
    return text;
}

std::string with_breaks(std::string text) {
    std::replace(text.begin(), text.end(), kLineBreak, '\n');
    return text;
}

void work_through(Board& board, std::size_t worker, std::uint64_t end, std::FILE* out) {
    Probes probes;
    for (;;) {
        const std::uint64_t seed = board.next.fetch_add(1);
        if (seed >= end) {
            break;
        }
        board.at[worker] = seed;
        const Verdict verdict = judge_twice_sometimes(swarm_options(seed));
        for (const auto& [probe, times] : verdict.probes) {
            probes[probe] += times;
        }
        fmt::print(out, "S {} {} {} {}\n", seed, verdict.executions, verdict.events,
                   verdict.run_twice ? 1 : 0);
        if (!verdict.trouble.empty()) {
            fmt::print(out, "V {} {}\n", seed, one_line(verdict.trouble));
        }
        std::fflush(out);
    }
    for (const auto& [probe, times] : probes) {
        fmt::print(out, "P {} {}\n", times, probe);
    }
}

class Campaign {
public:
    explicit Campaign(const CampaignOptions& options) : options_(options) {}

    CampaignResult run() {
        board_->next = options_.first;
        const std::size_t jobs =
            std::clamp<std::size_t>(static_cast<std::size_t>(options_.jobs), 1, kJobsMax);
        workers_.resize(jobs);
        for (std::size_t worker = 0; worker < jobs; ++worker) {
            start(worker);
        }
        while (std::any_of(workers_.begin(), workers_.end(),
                           [](const Child& worker) { return worker.pid > 0; })) {
            listen();
        }
        return std::move(result_);
    }

private:
    [[nodiscard]] std::uint64_t end() const { return options_.first + options_.count; }

    void start(std::size_t worker) {
        workers_[worker] = start_child([this, worker](std::FILE* out) {
            work_through(*board_.operator->(), worker, end(), out);
        });
    }

    void listen() {
        std::vector<pollfd> waiting;
        std::vector<std::size_t> who;
        for (std::size_t worker = 0; worker < workers_.size(); ++worker) {
            if (workers_[worker].pid > 0) {
                waiting.push_back({workers_[worker].pipe, POLLIN, 0});
                who.push_back(worker);
            }
        }
        (void)poll(waiting.data(), waiting.size(), kPollMs);
        for (std::size_t at = 0; at < waiting.size(); ++at) {
            if (waiting[at].revents == 0) {
                continue;
            }
            Child& child = workers_[who[at]];
            const bool more = read_more(child);
            take_lines(child);
            if (!more) {
                ended(who[at]);
            }
        }
        if (options_.on_progress) {
            options_.on_progress(result_.total);
        }
    }

    void ended(std::size_t worker) {
        const std::string how = bury(workers_[worker]);
        workers_[worker].pid = -1;
        if (!how.empty()) {
            found(board_->at[worker], how);
            start(worker);  // the others' seeds do not wait for it
        }
    }

    void take_lines(Child& child) {
        std::size_t begin = 0;
        for (std::size_t at = 0; (at = child.unread.find('\n', begin)) != std::string::npos;
             begin = at + 1) {
            take_line(child.unread.substr(begin, at - begin));
        }
        child.unread.erase(0, begin);
    }

    void take_line(const std::string& line) {
        std::istringstream words(line.substr(1));
        if (line.front() == 'S') {
            std::uint64_t seed = 0;
            std::uint64_t executions = 0;
            std::uint64_t events = 0;
            std::uint64_t twice = 0;
            words >> seed >> executions >> events >> twice;
            result_.total.seeds += 1;
            result_.total.run_twice += twice;
            result_.total.executions += executions;
            result_.total.events += events;
        } else if (line.front() == 'V') {
            std::uint64_t seed = 0;
            words >> seed >> std::ws;
            std::string trouble;
            std::getline(words, trouble);
            found(seed, with_breaks(trouble));
        } else {
            std::uint64_t times = 0;
            std::string probe;
            words >> times >> std::ws;
            std::getline(words, probe);
            result_.probes[probe] += times;
        }
    }

    void found(std::uint64_t seed, const std::string& trouble) {
        result_.total.violations += 1;
        Violation violation;
        violation.seed = seed;
        violation.trouble = trouble;
        Case failing;
        failing.seed = seed;
        const Shrunk shrunk = shrink(failing, trouble, trouble_of);
        violation.smallest = shrunk.smallest;
        violation.small_trouble = shrunk.trouble;
        if (!options_.keep_in.empty()) {
            const auto kept = save_case(options_.keep_in, shrunk.smallest);
            violation.file = kept ? *kept : kept.error().detail;
        }
        if (options_.on_violation) {
            options_.on_violation(violation);
        }
        result_.violations.push_back(std::move(violation));
        if (result_.violations.size() >= options_.violations_max) {
            board_->next = end();
        }
    }

    const CampaignOptions& options_;
    SharedBoard board_;
    std::vector<Child> workers_;
    CampaignResult result_;
};

}  // namespace

Apart run_apart(const std::function<void(std::FILE*)>& work) {
    Child child = start_child([&](std::FILE* out) {
        if (std::freopen("/dev/null", "w", stderr) == nullptr) {
            _exit(1);
        }
        work(out);
    });
    while (read_more(child)) {
    }
    Apart apart;
    apart.output = std::move(child.unread);
    apart.ended_by = bury(child);
    return apart;
}

std::string trouble_of(const Case& one) {
    const Apart apart = run_apart([&](std::FILE* out) {
        const std::string trouble = judge(options_of(one)).trouble;
        std::fwrite(trouble.data(), 1, trouble.size(), out);
    });
    return apart.ended_by.empty() ? apart.output : apart.ended_by;
}

CampaignResult run_campaign(const CampaignOptions& options) {
    return Campaign(options).run();
}

}  // namespace postlane::sim
