#include "adapters/kafka/topology.h"

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <memory>
#include <optional>

#include "app/cli/broker_report.h"
#include "app/cli/commands.h"
#include "app/cli/config_file.h"
#include "app/cli/console.h"
#include "app/cli/exit_code.h"
#include "app/cli/kafka_log.h"

namespace postlane::cli {
namespace {

constexpr PartitionId kPartitions = 8;

struct Options {
    ConfigOptions config;
    bool as_json = false;
    std::optional<PartitionId> partitions;  // default: those of the sends topic, else kPartitions
    int replication_factor = 0;             // 0: by kafka.require_durable_topics
};

int give_up(const Error& error) {
    complain("{}", error.detail);
    return exit_code::of(error.code);
}

void print_findings(const std::vector<Finding>& findings) {
    for (const Finding& finding : findings) {
        print("{}", to_text(finding));
    }
}

int exit_code_of(const std::vector<Finding>& findings) {
    return any_refuses(findings) ? exit_code::kConfig : exit_code::kOk;
}

int check(const Options& options) {
    const auto loaded = load_config(options.config, {.needs_routes = false, .read_files = true});
    if (!loaded) {
        return exit_code::kConfig;
    }
    const auto topology = read_topology(loaded->config, kafka_messages());
    if (!topology) {
        return give_up(topology.error());
    }
    const std::vector<Finding> findings = check_topology(loaded->config, *topology);
    if (options.as_json) {
        print("{}\n", boost::json::serialize(
                          boost::json::object{{"ok", exit_code_of(findings) == exit_code::kOk},
                                              {"findings", to_json(findings)}}));
    } else {
        print_findings(findings);
        if (exit_code_of(findings) == exit_code::kOk) {
            const TopicFacts* const sends = topology->find(loaded->config.topics.sends);
            print("ok: the topics are as postlane needs them; {} has {}\n",
                  loaded->config.topics.sends,
                  counted(static_cast<std::uint64_t>(sends == nullptr ? 0 : sends->partitions),
                          "partition"));
        }
    }
    return exit_code_of(findings);
}

// A sends topic that exists has decided; Kafka takes no partition back.
Result<PartitionId> partitions_wanted(const Options& options, const Config& config) {
    const auto topology = read_topology(config, kafka_messages());
    if (!topology) {
        return tl::unexpected(topology.error());
    }
    const TopicFacts* const sends = topology->find(config.topics.sends);
    if (sends == nullptr) {
        return options.partitions.value_or(kPartitions);
    }
    if (options.partitions.value_or(sends->partitions) != sends->partitions) {
        return fail(ErrorCode::Misconfigured,
                    fmt::format("topic {} exists and has {}, not {}: nothing was made. Leave "
                                "--partitions out to make the others like it",
                                config.topics.sends,
                                counted(static_cast<std::uint64_t>(sends->partitions), "partition"),
                                *options.partitions));
    }
    return sends->partitions;
}

int create(const Options& options) {
    const auto loaded = load_config(options.config, {.needs_routes = false, .read_files = true});
    if (!loaded) {
        return exit_code::kConfig;
    }
    const Config& config = loaded->config;
    const int replicas = options.replication_factor > 0        ? options.replication_factor
                         : config.kafka.require_durable_topics ? 3
                                                               : 1;
    const auto partitions = partitions_wanted(options, config);
    if (!partitions) {
        return give_up(partitions.error());
    }
    const auto created = create_topics(config, *partitions, replicas, kafka_messages());
    if (!created) {
        return give_up(created.error());
    }
    const auto topology = read_topology(config, kafka_messages());
    if (!topology) {
        return give_up(topology.error());
    }
    const std::vector<Finding> findings = check_topology(config, *topology);
    boost::json::array topics;
    for (const CreatedTopic& topic : *created) {
        if (options.as_json) {
            topics.push_back(
                boost::json::object{{"name", topic.name}, {"created", !topic.existed}});
        } else {
            print("{} {}\n", topic.existed ? "exists " : "created", topic.name);
        }
    }
    if (options.as_json) {
        print("{}\n", boost::json::serialize(
                          boost::json::object{{"topics", std::move(topics)},
                                              {"ok", exit_code_of(findings) == exit_code::kOk},
                                              {"findings", to_json(findings)}}));
    } else {
        print_findings(findings);
    }
    return exit_code_of(findings);
}

}  // namespace

void add_topics(CLI::App& root, Action& action) {
    CLI::App* const group = root.add_subcommand("topics", "make and check the Kafka topics");
    group->require_subcommand(1);
    const auto options = std::make_shared<Options>();

    CLI::App* const create_command = group->add_subcommand(
        "create", "make the topics that are missing; those that exist are left as they are");
    add_config_options(*create_command, options->config);
    create_command
        ->add_option(
            "--partitions", options->partitions,
            fmt::format("partitions of the topics keyed by recipient; they can never be "
                        "changed (default: those of the sends topic if it exists, else {})",
                        kPartitions))
        ->check(CLI::Range(1, 10'000));
    create_command
        ->add_option("--replication-factor", options->replication_factor,
                     "copies of every record (default: 3, or 1 if kafka.require_durable_topics is "
                     "false)")
        ->check(CLI::Range(1, 100));
    create_command->add_flag("--json", options->as_json, "print JSON");
    create_command->callback(
        [options, &action] { action = [options] { return create(*options); }; });

    CLI::App* const check_command =
        group->add_subcommand("check", "say whether the topics are as postlane needs them");
    add_config_options(*check_command, options->config);
    check_command->add_flag("--json", options->as_json, "print JSON");
    check_command->callback([options, &action] { action = [options] { return check(*options); }; });
}

}  // namespace postlane::cli
