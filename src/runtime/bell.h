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
        {
            const std::lock_guard lock(mutex_);
            rung_ = true;
        }
        changed_.notify_one();
    }
    // Until rung, or `at_most` has passed.
    void wait(std::chrono::microseconds at_most) {
        std::unique_lock lock(mutex_);
        if (at_most.count() > 0) {  // a wait for no time at all would still go through the kernel
            changed_.wait_for(lock, at_most, [this] { return rung_; });
        }
        rung_ = false;
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
};

}  // namespace postlane
