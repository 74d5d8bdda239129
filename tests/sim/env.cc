#include "sim/env.h"

#include <cstdio>

namespace postlane::sim {

std::string_view to_string(Mutant mutant) {
    switch (mutant) {
        case Mutant::None:
            return "None";
        case Mutant::LastCheckNeverRefuses:
            return "LastCheckNeverRefuses";
        case Mutant::LastCheckReadsOldClock:
            return "LastCheckReadsOldClock";
        case Mutant::EndOffsetsOld:
            return "EndOffsetsOld";
        case Mutant::EndOffsetsStable:
            return "EndOffsetsStable";
        case Mutant::EndSeenAtHighWatermark:
            return "EndSeenAtHighWatermark";
        case Mutant::NoFence:
            return "NoFence";
        case Mutant::RestoreBeforeFence:
            return "RestoreBeforeFence";
        case Mutant::ReadsUncommitted:
            return "ReadsUncommitted";
        case Mutant::StoreBeforeCommit:
            return "StoreBeforeCommit";
        case Mutant::SharedProcessId:
            return "SharedProcessId";
        case Mutant::RegistryForgets:
            return "RegistryForgets";
        case Mutant::TransportRepeats:
            return "TransportRepeats";
        case Mutant::AddressViewAlwaysFresh:
            return "AddressViewAlwaysFresh";
        case Mutant::LedgerDeletes:
            return "LedgerDeletes";
        case Mutant::EspForgetsKeys:
            return "EspForgetsKeys";
        case Mutant::AcksInputsEarly:
            return "AcksInputsEarly";
    }
    return "unknown";
}

void Trace::add(const std::string& line) {
    // FNV-1a, eight bytes at a time would be faster; lines are short.
    for (const char byte : line) {
        hash_ = (hash_ ^ static_cast<unsigned char>(byte)) * 0x100000001b3U;
    }
    lines_ += 1;
    if (print_) {
        std::fwrite(line.data(), 1, line.size(), stdout);
    }
}

void Env::crash_point(const std::shared_ptr<Process>& process, const char* where) {
    if (!process->alive()) {
        throw Killed{};
    }
    if (!dice(faults.crash_point)) {
        return;
    }
    trace(scheduler, "{} kill -9 at: {}", process->name(), where);
    sometimes("killed_at_crash_point");
    kill(process);
    throw Killed{};
}

}  // namespace postlane::sim
