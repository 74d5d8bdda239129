#include "sim/scheduler.h"

#include <algorithm>
#include <utility>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace postlane::sim {
namespace {

constexpr std::size_t kStackBytes = std::size_t{256} << 10U;

// Of fibers that are over, in any world: fresh memory costs page faults.
thread_local std::vector<std::unique_ptr<char[]>> free_stacks;

// swapcontext saves the signal mask, which costs two system calls; only entering a stack needs it.
void switch_stacks(StackContext& from, StackContext& to) {
#if defined(__SANITIZE_ADDRESS__)
    swapcontext(&from.machine, &to.machine);
#else
    if (_setjmp(from.jump) == 0) {
        if (to.entered) {
            _longjmp(to.jump, 1);
        }
        to.entered = true;
        setcontext(&to.machine);
    }
#endif
}

// AddressSanitizer has to be told about every change of stacks.
void about_to_switch([[maybe_unused]] void** saved, [[maybe_unused]] const void* bottom,
                     [[maybe_unused]] std::size_t size) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(saved, bottom, size);
#endif
}
void have_switched([[maybe_unused]] void* saved, [[maybe_unused]] const void** bottom,
                   [[maybe_unused]] std::size_t* size) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(saved, bottom, size);
#endif
}

}  // namespace

Fiber::Fiber(Scheduler& scheduler, std::shared_ptr<Process> process, std::function<void()> body)
    : scheduler_(scheduler), process_(std::move(process)), body_(std::move(body)) {
    if (free_stacks.empty()) {
        stack_ = std::make_unique_for_overwrite<char[]>(kStackBytes);
    } else {
        stack_ = std::move(free_stacks.back());
        free_stacks.pop_back();
    }
    getcontext(&context_.machine);
    context_.machine.uc_stack.ss_sp = stack_.get();
    context_.machine.uc_stack.ss_size = kStackBytes;
    context_.machine.uc_link = nullptr;
    const auto self = reinterpret_cast<std::uintptr_t>(this);
    makecontext(&context_.machine, reinterpret_cast<void (*)()>(&Fiber::enter), 2,
                static_cast<unsigned>(self >> 32U), static_cast<unsigned>(self));
}

Fiber::~Fiber() {
    if (stack_) {
        free_stacks.push_back(std::move(stack_));
    }
}

void Fiber::enter(unsigned high, unsigned low) {
    const auto self = (std::uintptr_t{high} << 32U) | low;
    auto* fiber = reinterpret_cast<Fiber*>(self);
    have_switched(nullptr, &fiber->scheduler_.main_stack_, &fiber->scheduler_.main_stack_size_);
    fiber->run();
}

void Fiber::run() {
    try {
        if (!unwinding_) {
            body_();
        }
    } catch (const Killed&) {
        // Its process is gone; the stack is empty now.
    }
    finished_ = true;
    about_to_switch(nullptr, scheduler_.main_stack_, scheduler_.main_stack_size_);
    switch_stacks(context_, scheduler_.main_);
}

// From the main stack into the fiber, until it waits or ends.
void Fiber::resume() {
    wakes_at_ = kForever;
    wakeable_ = false;
    wait_serial_ += 1;
    started_ = true;
    Fiber* const before = std::exchange(scheduler_.current_, this);
    scheduler_.main_.entered = true;
    void* saved = nullptr;
    about_to_switch(&saved, stack_.get(), kStackBytes);
    switch_stacks(scheduler_.main_, context_);
    have_switched(saved, nullptr, nullptr);
    scheduler_.current_ = before;
}

// Back to the main stack.
void Fiber::leave() {
    about_to_switch(&fake_stack_, scheduler_.main_stack_, scheduler_.main_stack_size_);
    switch_stacks(context_, scheduler_.main_);
    have_switched(fake_stack_, &scheduler_.main_stack_, &scheduler_.main_stack_size_);
    if (unwinding_) {
        throw Killed{};
    }
}

void Fiber::wake(Time when) {
    when = std::max(when, scheduler_.now());
    if (finished_ || (started_ && !wakeable_) || when >= wakes_at_) {
        return;
    }
    wakes_at_ = when;
    const auto self = std::find_if(process_->fibers_.begin(), process_->fibers_.end(),
                                   [&](const auto& fiber) { return fiber.get() == this; });
    if (self == process_->fibers_.end()) {
        return;
    }
    scheduler_.at(when, process_, [fiber = *self, serial = wait_serial_] {
        if (!fiber->finished_ && fiber->wait_serial_ == serial) {
            fiber->resume();
        }
    });
}

Scheduler::~Scheduler() = default;

void Scheduler::at(Time when, std::function<void()> event) {
    events_.push(Event{std::max(when, now_), ++serial_, nullptr, std::move(event)});
}

void Scheduler::at(Time when, const std::shared_ptr<Process>& process,
                   std::function<void()> event) {
    events_.push(Event{std::max(when, now_), ++serial_, process, std::move(event)});
}

std::shared_ptr<Fiber> Scheduler::spawn(const std::shared_ptr<Process>& process,
                                        std::function<void()> body) {
    std::erase_if(process->fibers_, [](const auto& fiber) { return fiber->finished(); });
    std::shared_ptr<Fiber> fiber(new Fiber(*this, process, std::move(body)));
    process->fibers_.push_back(fiber);
    fiber->wake(now_);
    return fiber;
}

void Scheduler::suspend(Time until, bool wakeable) {
    Fiber& fiber = *current_;
    if (!fiber.process_->alive_) {
        throw Killed{};
    }
    fiber.wakeable_ = true;
    fiber.wakes_at_ = kForever;
    fiber.wake(until);
    fiber.wakeable_ = wakeable;
    fiber.leave();
}

void Scheduler::sleep(Time duration) {
    suspend(now_ + duration, false);
}

void Scheduler::wait_until(Time when) {
    suspend(when, true);
}

void Scheduler::pause(const std::shared_ptr<Process>& process) {
    process->paused_ = true;
}

void Scheduler::resume(const std::shared_ptr<Process>& process) {
    process->paused_ = false;
    for (auto& event : std::exchange(process->deferred_, {})) {
        at(now_, process, std::move(event));
    }
}

void Scheduler::kill(const std::shared_ptr<Process>& process, std::function<void()> buried) {
    if (!process->alive_) {
        return;
    }
    process->alive_ = false;
    process->deferred_.clear();
    at(now_, [process, done = std::move(buried)] {
        for (const auto& fiber : process->fibers_) {
            if (!fiber->finished_ && fiber->started_) {
                fiber->unwinding_ = true;
                fiber->resume();
            }
        }
        process->fibers_.clear();
        process->after_event = nullptr;
        done();
    });
}

bool Scheduler::step(Time until) {
    if (events_.empty() || events_.top().when > until) {
        now_ = std::max(now_, until);
        return false;
    }
    Event event = std::move(const_cast<Event&>(events_.top()));
    events_.pop();
    now_ = std::max(now_, event.when);  // after a skip, what was due meanwhile is late
    if (event.process == nullptr) {
        event.run();
        return true;
    }
    if (!event.process->alive_) {
        return true;
    }
    if (event.process->paused_) {
        event.process->deferred_.push_back(std::move(event.run));
        return true;
    }
    event.run();
    if (event.process->alive_ && event.process->after_event) {
        event.process->after_event();
    }
    return true;
}

void Scheduler::skip(Time duration) {
    now_ += duration;
}

}  // namespace postlane::sim
