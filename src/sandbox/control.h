// The sandbox's own endpoints under /_sandbox/: faults, executions, stats, reset and the page.
#pragma once

#include <cstdint>
#include <string_view>

#include "sandbox/engine.h"
#include "sandbox/wire.h"

namespace postlane::sandbox {

struct Connections {
    std::uint64_t open = 0;
    std::uint64_t total = 0;
};

// `target` is the request target, which starts with /_sandbox.
Answer control(Engine& engine, std::string_view method, std::string_view target,
               std::string_view body, const Connections& connections);

Answer plain_error(int status, std::string_view message);

}  // namespace postlane::sandbox
