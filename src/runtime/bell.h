// Wakes one thread. Rings may come from any thread, also before the sleeper sleeps; none is lost.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace postlane {

class Bell {
public:
    void ring() {
        bool wake = false;
        {
            const std::lock_guard lock(mutex_);
            rung_ = true;
            wake = !quiet_;
        }
        if (wake) {
            changed_.notify_one();
        }
    }
    // Also ends a quiet time.
    void ring_urgently() {
        {
            const std::lock_guard lock(mutex_);
            rung_ = true;
            urgent_ = true;
        }
        changed_.notify_one();
    }
    // Until rung, or `at_most` has passed; but not before `quiet` has, unless rung urgently: who is woken for every
    // trifle gets nothing done.
    void wait(std::chrono::microseconds at_most,
              std::chrono::microseconds quiet = std::chrono::microseconds{0}) {
        std::unique_lock lock(mutex_);
        if (quiet.count() > 0) {
            quiet_ = true;
            changed_.wait_for(lock, quiet, [this] { return urgent_; });
            quiet_ = false;
            at_most -= quiet;
        }
        if (at_most.count() > 0) {  // a wait for no time at all would still go through the kernel
            changed_.wait_for(lock, at_most, [this] { return rung_; });
        }
        rung_ = false;
        urgent_ = false;
    }
    // Whether it was rung since the last wait or take. Never blocks.
    [[nodiscard]] bool take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(rung_, false);
    }

private:
    std::mutex mutex_;
    std::condition_variable changed_;
    bool rung_ = false;
    bool urgent_ = false;
    bool quiet_ = false;
};

}  // namespace postlane
