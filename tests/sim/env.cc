#include "sim/env.h"

#include <cstdio>

namespace postlane::sim {

// FNV-1a.
void Trace::hash_in(std::string_view text) {
    for (const char byte : text) {
        hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    }
}

void Trace::add(std::string_view who, std::string_view whom) {
    const Time now = scheduler_.now();
    hash_in({reinterpret_cast<const char*>(&now), sizeof now});
    hash_in(who);
    hash_in(whom);
    hash_in(what_);
    lines_ += 1;
    print(who, whom, what_);
}

void Trace::print(std::string_view who, std::string_view whom, std::string_view what) const {
    const bool meant =
        options_.recipient.empty() || whom.empty() || whom.starts_with(options_.recipient);
    if (options_.print && meant) {
        fmt::print(stdout, "{:>12.6f}  {:<8} {:<5} {}\n",
                   static_cast<double>(scheduler_.now()) / kSecond, who, whom, what);
    }
}

void Env::crash_point(const std::shared_ptr<Process>& process, const char* where) {
    if (!process->alive()) {
        throw Killed{};
    }
    if (!dice(faults.crash_point)) {
        return;
    }
    trace(process->name(), "", "kill -9 at: {}", where);
    sometimes("killed_at_crash_point");
    kill(process);
    throw Killed{};
}

}  // namespace postlane::sim
