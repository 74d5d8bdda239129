// postlane simulate: the production runtime in simulated worlds, as many as asked for.
#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <charconv>
#include <chrono>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/exit_code.h"
#include "sim/campaign.h"

namespace postlane::cli {
namespace {

// So many seeds, and what must happen somewhere did not: then the campaign proves nothing.
constexpr std::uint64_t kWide = 2'000;

struct SimulateOptions {
    std::uint64_t seed = 1;
    std::uint64_t seeds = 1;
    int jobs = 1;
    bool trace = false;
    bool as_json = false;
    std::string recipient;
    std::string keep;
    std::string file;
};

// CLI11 takes a sign, and what is too large for the largest number there is.
std::string seed_problem(const std::string& text) {
    std::uint64_t seed = 0;
    const auto read = std::from_chars(text.data(), text.data() + text.size(), seed);
    const bool whole = read.ec == std::errc() && read.ptr == text.data() + text.size();
    return whole ? "" : "expected a whole number from 0 to 18446744073709551615, got " + text;
}

boost::json::array lines_of(const std::string& text) {
    boost::json::array lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
        if (!line.empty()) {
            lines.emplace_back(line);
        }
    }
    return lines;
}

int replay(const SimulateOptions& options, const sim::Case& one) {
    sim::Options world = sim::options_of(one);
    world.trace = {options.trace, options.recipient};
    const sim::Verdict verdict = sim::judge(world);
    world.trace = {};
    const bool same = sim::judge(world).trace_hash == verdict.trace_hash;
    const bool held = verdict.trouble.empty() && same;
    if (options.as_json) {
        const boost::json::object body{{"seed", one.seed},
                                       {"instances", world.instances},
                                       {"partitions", world.partitions},
                                       {"executed", verdict.executions},
                                       {"events", verdict.events},
                                       {"trace", fmt::format("{:016x}", verdict.trace_hash)},
                                       {"same_when_run_again", same},
                                       {"violations", lines_of(verdict.trouble)}};
        print("{}\n", boost::json::serialize(body));
        return held ? exit_code::kOk : exit_code::kNegative;
    }
    if (options.trace) {
        print("\n");
    }
    print("seed {}: {} instances, {} partitions, {} emails executed, {} events, trace {:016x}{}\n",
          one.seed, world.instances, world.partitions, verdict.executions, verdict.events,
          verdict.trace_hash, same ? "" : " -- NOT the same when run again");
    print("{}", verdict.trouble.empty() ? "every promise held\n" : verdict.trouble);
    return held ? exit_code::kOk : exit_code::kNegative;
}

int replay_file(const SimulateOptions& options) {
    std::ifstream file(options.file);
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file && !file.eof()) {
        complain("{} cannot be read", options.file);
        return exit_code::kInputOutput;
    }
    const auto one = sim::parse_case(text);
    if (!one) {
        complain("{}: {}", options.file, one.error().detail);
        return exit_code::kBadInput;
    }
    return replay(options, *one);
}

void show(const sim::Violation& violation) {
    print("\nVIOLATION at seed {}:\n{}\n", violation.seed, violation.trouble);
    print("smallest case{}:\n{}\n",
          violation.file.empty() ? "" : " (kept as " + violation.file + ")",
          sim::to_text(violation.smallest));
}

std::vector<std::string> never_happened(const SimulateOptions& options,
                                        const sim::CampaignResult& result) {
    const bool wide = options.seeds >= kWide && result.violations.empty();
    return wide ? sim::never_happened(result.probes) : std::vector<std::string>();
}

void print_json(const SimulateOptions& options, const sim::CampaignResult& result) {
    boost::json::array violations;
    for (const sim::Violation& violation : result.violations) {
        violations.push_back(
            boost::json::object{{"seed", violation.seed},
                                {"violations", lines_of(violation.trouble)},
                                {"smallest_case", sim::to_text(violation.smallest)},
                                {"file", violation.file}});
    }
    boost::json::object probes;
    for (const auto& [probe, times] : result.probes) {
        probes[probe] = times;
    }
    const std::vector<std::string> missing = never_happened(options, result);
    const boost::json::object body{
        {"first_seed", options.seed},
        {"seeds", result.total.seeds},
        {"run_twice", result.total.run_twice},
        {"executed", result.total.executions},
        {"events", result.total.events},
        {"violations", std::move(violations)},
        {"probes", std::move(probes)},
        {"never_happened", boost::json::array(missing.begin(), missing.end())}};
    print("{}\n", boost::json::serialize(body));
}

int campaign(const SimulateOptions& options) {
    const auto began = std::chrono::steady_clock::now();
    const auto seconds = [&] {
        return std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    };
    Progress progress;
    sim::CampaignOptions campaign;
    campaign.first = options.seed;
    campaign.count = options.seeds;
    campaign.jobs = options.jobs;
    campaign.keep_in = options.keep;
    std::uint64_t told = 0;
    campaign.on_progress = [&](const sim::CampaignProgress& now) {
        progress.show(fmt::format("{} of {} seeds, {:.0f}/s, {} violations", grouped(now.seeds),
                                  grouped(options.seeds),
                                  static_cast<double>(now.seeds) / seconds(), now.violations));
        if (now.seeds / 10'000 > told && !options.as_json) {
            told = now.seeds / 10'000;
            print("{} seeds, {:.0f}/s, {} violations\n", grouped(now.seeds),
                  static_cast<double>(now.seeds) / seconds(), now.violations);
            std::fflush(stdout);
        }
    };
    campaign.on_violation = options.as_json ? [](const sim::Violation&) {} : show;
    const sim::CampaignResult result = sim::run_campaign(campaign);
    const std::vector<std::string> missing = never_happened(options, result);
    const bool held = result.violations.empty() && missing.empty();
    if (options.as_json) {
        print_json(options, result);
        return held ? exit_code::kOk : exit_code::kNegative;
    }
    for (const auto& [probe, times] : result.probes) {
        print("{:>14} {}\n", grouped(times), probe);
    }
    const auto& total = result.total;
    print(
        "{} seeds in {:.0f} s ({:.1f}/s), {} run twice, {} emails executed, {} events, "
        "{} violations\n",
        grouped(total.seeds), seconds(), static_cast<double>(total.seeds) / seconds(),
        grouped(total.run_twice), grouped(total.executions), grouped(total.events),
        total.violations);
    for (const std::string& probe : missing) {
        print("never happened, so nothing is proven about it: {}\n", probe);
    }
    return held ? exit_code::kOk : exit_code::kNegative;
}

}  // namespace

void add_simulate(CLI::App& root, Action& action) {
    CLI::App* const command = root.add_subcommand(
        "simulate", "try to break the promises in simulated worlds; exit 1 if one breaks");
    const auto options = std::make_shared<SimulateOptions>();
    command->add_option("--seed", options->seed, "the first seed")
        ->check(CLI::Validator(seed_problem, "SEED"))
        ->capture_default_str();
    command->add_option("--seeds", options->seeds, "how many seeds")
        ->check(CLI::Range(std::uint64_t{1}, std::uint64_t{1'000'000'000}))
        ->capture_default_str();
    command->add_option("--jobs", options->jobs, "processes that share the work")
        ->check(CLI::Range(1, 64))
        ->capture_default_str();
    CLI::Option* const trace =
        command->add_flag("--trace", options->trace, "print what happened, in simulated time");
    command
        ->add_option("--recipient", options->recipient,
                     "with --trace: only what concerns everybody or this recipient")
        ->needs(trace);
    command->add_flag("--json", options->as_json, "print JSON")->excludes(trace);
    command->add_option("--keep", options->keep, "write failing cases, made small, to this folder");
    command->add_option("--case", options->file, "replay a case that was kept in this file");
    command->callback([options, &action] {
        action = [options] {
            if (!options->file.empty()) {
                return replay_file(*options);
            }
            if (options->seeds == 1) {
                sim::Case one;
                one.seed = options->seed;
                return replay(*options, one);
            }
            return campaign(*options);
        };
    });
}

}  // namespace postlane::cli
