#include "sim/swarm.h"

#include "sim/checkers.h"

namespace postlane::sim {
namespace {

constexpr Time kQuietWithin = 400 * kSecond;

}  // namespace

Verdict judge(const Options& options) {
    World world(options);
    Verdict verdict;
    world.run();
    verdict.trouble = report(world, false);
    if (verdict.trouble.empty()) {
        world.heal();
        if (!world.run_until_quiet(kQuietWithin)) {
            verdict.trouble = "not everything ended: " + world.still_busy() + "\n";
        }
        verdict.trouble += report(world, true);
    }
    for (const World::Exit& exit : world.exits()) {
        if (exit.code == 78) {
            verdict.trouble += exit.name + " refused to run: " + exit.why + "\n";
        }
    }
    verdict.trace_hash = world.env().trace.hash();
    verdict.executions = world.esp().executions().size();
    verdict.events = world.env().scheduler.events();
    verdict.probes = world.env().probes;
    return verdict;
}

}  // namespace postlane::sim
