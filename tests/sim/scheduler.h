// Simulated time, and everything that happens in it, one thing after the other on one OS thread.
//
// What would be a thread in the real program is a fiber here: it runs until it waits, and the wait is an event.
// A process groups what a kill -9 ends and a SIGSTOP pauses. Nothing reads a real clock or sleeps.
#pragma once

#include <ucontext.h>
#include <csetjmp>

#include <cstdint>
#include <functional>
#include <memory>
#include <queue>
#include <string>
#include <vector>

namespace postlane::sim {

using Time = std::int64_t;  // microseconds since the world began
inline constexpr Time kMillisecond = 1'000;
inline constexpr Time kSecond = 1'000'000;
inline constexpr Time kForever = INT64_MAX / 4;

// Thrown out of a fiber's wait, or out of a crash point, to unwind the stack of a process that is no more.
struct Killed {};

class Scheduler;
class Fiber;

// One simulated operating-system process. Owned by whoever made it; events keep it alive until they are over.
class Process {
public:
    explicit Process(std::string name) : name_(std::move(name)) {}

    [[nodiscard]] const std::string& name() const noexcept { return name_; }
    [[nodiscard]] bool alive() const noexcept { return alive_; }
    [[nodiscard]] bool paused() const noexcept { return paused_; }
    // Runs after every event of this process; rings that nobody heard are looked for here.
    std::function<void()> after_event;

private:
    friend class Scheduler;
    friend class Fiber;
    std::string name_;
    bool alive_ = true;
    bool paused_ = false;
    std::vector<std::function<void()>> deferred_;  // fell due while paused
    std::vector<std::shared_ptr<Fiber>> fibers_;
};

// A stack to switch to.
struct StackContext {
    ucontext_t machine{};
    jmp_buf jump{};
    bool entered = false;
};

class Fiber {
public:
    ~Fiber();
    Fiber(const Fiber&) = delete;
    Fiber& operator=(const Fiber&) = delete;

    // Ends the current wait; not before `when`.
    void wake(Time when);
    [[nodiscard]] bool finished() const noexcept { return finished_; }
    [[nodiscard]] bool waiting() const noexcept { return wakeable_ && !finished_; }

private:
    friend class Scheduler;
    Fiber(Scheduler& scheduler, std::shared_ptr<Process> process, std::function<void()> body);
    static void enter(unsigned high, unsigned low);
    void run();
    void resume();
    void leave();

    Scheduler& scheduler_;
    std::shared_ptr<Process> process_;
    std::function<void()> body_;
    std::unique_ptr<char[]> stack_;
    StackContext context_;
    std::uint64_t wait_serial_ = 0;
    Time wakes_at_ = kForever;
    bool wakeable_ = false;
    bool started_ = false;
    bool finished_ = false;
    bool unwinding_ = false;
    void* fake_stack_ = nullptr;  // AddressSanitizer's
};

class Scheduler {
public:
    Scheduler() = default;
    ~Scheduler();
    Scheduler(const Scheduler&) = delete;
    Scheduler& operator=(const Scheduler&) = delete;

    [[nodiscard]] Time now() const noexcept { return now_; }
    void at(Time when, std::function<void()> event);
    // Not if the process is dead by then; later if it is paused then.
    void at(Time when, const std::shared_ptr<Process>& process, std::function<void()> event);
    std::shared_ptr<Fiber> spawn(const std::shared_ptr<Process>& process,
                                 std::function<void()> body);

    // Inside a fiber. Throws Killed if its process died meanwhile.
    void sleep(Time duration);
    void wait_until(Time when);  // or until woken
    [[nodiscard]] bool in_fiber() const noexcept { return current_ != nullptr; }

    void pause(const std::shared_ptr<Process>& process);
    void resume(const std::shared_ptr<Process>& process);
    // kill -9. `buried` runs once no stack of the process is left. From inside one of its own fibers, throw Killed
    // right after it.
    void kill(const std::shared_ptr<Process>& process, std::function<void()> buried);

    // Runs the next event. False if there is none before `until`; then it is `until`.
    bool step(Time until);
    [[nodiscard]] std::uint64_t events() const noexcept { return serial_; }
    // Nothing happens in between: everybody was switched off.
    void skip(Time duration);

private:
    friend class Fiber;
    struct Event {
        Time when;
        std::uint64_t serial;
        std::shared_ptr<Process> process;
        std::function<void()> run;
    };
    struct Later {
        bool operator()(const Event& left, const Event& right) const {
            return left.when != right.when ? left.when > right.when : left.serial > right.serial;
        }
    };
    void suspend(Time until, bool wakeable);

    Time now_ = 0;
    std::uint64_t serial_ = 0;
    std::priority_queue<Event, std::vector<Event>, Later> events_;
    Fiber* current_ = nullptr;
    StackContext main_;
    const void* main_stack_ = nullptr;  // for AddressSanitizer
    std::size_t main_stack_size_ = 0;
};

}  // namespace postlane::sim
