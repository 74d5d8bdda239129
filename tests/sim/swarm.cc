#include "sim/swarm.h"

#include <array>

#include "sim/checkers.h"
#include "sim/epilogue.h"

namespace postlane::sim {
namespace {

constexpr Time kQuietWithin = 400 * kSecond;
constexpr std::uint64_t kTwiceEvery = 100;
constexpr int kExitConfig = 78;

constexpr std::array kMustHappen{
    "zombie_woke_after_new_owners_outcome",
    "intent_of_another_resolved_by_replay",
    "stale_view_held_send",
    "late_step_filled_gap",
    "own_restart_kept_attempt_on_wire",
    "offsets_of_old_generation_refused",
    "torn_batch_found",
    "input_rewound",
    "input_deleted",
    "night",
    "exit_74",
    "expired/older_than_ledger",
    "commit_aborted",
    "commit_fenced",
    "commit_unknown_but_committed",
    "commit_unknown_and_late",
    "commit_unknown_and_lost",
    "commit_unknown_resolved_as_committed",
    "commit_unknown_resolved_as_aborted",
    "killed_at_crash_point",
    "partition_restarted",
    "exit_70",
    "graceful_stop",
    "paused_beyond_session",
    "partitions_lost",
    "unsynced_tail_lost",
    "started_without_store",
    "started_with_older_store",
    "store_wiped",
    "store_corrupt",
    "disk_full",
    "ledger_compacted",
    "config_changed",
    "ambiguous/render_changed",
    "dead_lettered/too_large",
    "the ledger loses its tail",
    "the ledger is made anew",
    "partitions are added",
    "every store is stale",
    "every store is lost",
    "old input comes again",
    "a lane backs off",
    "suppressions keep coming",
    "an account is refused",
    "end_offsets_unavailable",
    "input_held_at_stable_offset",
    "input_aborted",
    "hook_refused/deadline_passed",
    "hook_refused/epoch_ended",
    "hook_refused/suppression_arrived",
    "hook_refused/view_stale",
    "account_refused",
    "resend_quota_used_up",
    "sendgrid_out_of_credits",
    "key_still_running",
    "answer_lost_after_accept",
    "connect_failed",
    "replayed_by_key",
    "duplicate/payload_conflict",
    "dead_lettered/gap_timeout",
    "dead_lettered/held_overflow",
    "dead_lettered/late_step",
    "dead_lettered/misrouted_key",
    "expired/sequence_halted",
    "expired/ttl_passed",
    "ambiguous/no_idempotency",
    "ambiguous/key_expired",
    "ambiguous/retries_exhausted",
    "ambiguous/suppressed_while_in_doubt",
    "ambiguous/expired_while_in_doubt",
};

}  // namespace

std::span<const char* const> must_happen() {
    return kMustHappen;
}

std::vector<std::string> never_happened(const Probes& probes) {
    std::vector<std::string> missing;
    for (const char* probe : kMustHappen) {
        if (!probes.contains(probe)) {
            missing.emplace_back(probe);
        }
    }
    return missing;
}

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
        if (exit.code == kExitConfig) {
            verdict.trouble += exit.name + " refused to run: " + exit.why + "\n";
        }
    }
    if (verdict.trouble.empty() && options.epilogue != Epilogue::None) {
        const std::string trouble = run_epilogue(world, options.epilogue);
        if (!trouble.empty()) {
            verdict.trouble = fmt::format("epilogue, {}: {}", to_string(options.epilogue), trouble);
        }
    }
    verdict.trace_hash = world.env().trace.hash();
    verdict.executions = world.esp().executions().size();
    verdict.events = world.env().scheduler.events();
    verdict.probes = world.env().probes;
    if (options.trace.print) {
        fmt::print(stdout, "\n{}", summary(world));
    }
    return verdict;
}

Verdict judge_twice_sometimes(const Options& options) {
    Verdict verdict = judge(options);
    if (options.seed % kTwiceEvery == 0) {
        verdict.run_twice = true;
        Options again = options;
        again.trace.print = false;
        if (judge(again).trace_hash != verdict.trace_hash) {
            verdict.trouble += "not deterministic: the second run had another trace\n";
        }
    }
    return verdict;
}

std::string summary(World& world) {
    std::string text = "What became of every message:\n";
    const auto& sends = world.traffic().sends();
    for (std::size_t spec = 0; spec < sends.size(); ++spec) {
        const std::string tag = "T" + std::to_string(spec);
        if (sends[spec].first_produced < 0 ||
            (!world.options().trace.recipient.empty() &&
             sends[spec].recipient != world.options().trace.recipient)) {
            continue;
        }
        text += fmt::format("  {:<5} {:<4} {:<32} {:<6}", tag, sends[spec].recipient,
                            sends[spec].message_id, sends[spec].route);
        for (const std::string& outcome : outcomes_of_spec(world, spec)) {
            text += " " + outcome;
        }
        for (const Execution& execution : world.esp().executions()) {
            if (execution.tag == tag) {
                text += fmt::format(", executed by {} at {:.6f} for {}",
                                    world.config().providers[execution.provider].name,
                                    static_cast<double>(execution.executed) / kSecond,
                                    execution.instance);
            }
        }
        text += "\n";
    }
    return text;
}

}  // namespace postlane::sim
