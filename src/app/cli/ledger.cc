// `postlane ledger`: asks the running instance; where none answers, reads the local stores itself.
#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "adapters/listener/admin.h"
#include "app/cli/admin_client.h"
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/exit_code.h"
#include "app/cli/kafka_log.h"
#include "app/ledger_audit.h"

namespace postlane::cli {
namespace {

namespace dom = simdjson::dom;

struct Options {
    AdminOptions admin;
    bool as_json = false;
};

int give_up(const Error& error) {
    complain("{}", error.detail);
    return exit_code::of(error.code);
}

std::uint64_t number(dom::element row, const char* name) {
    std::uint64_t value = 0;
    return row[name].get(value) == simdjson::SUCCESS ? value : 0;
}

// Both commands answer {"partitions": [{"partition": 3, <columns>}, …]}.
int print_table(const std::string& body, const std::vector<const char*>& columns) {
    dom::parser parser;
    dom::element document;
    dom::array rows;
    if (parser.parse(body).get(document) != simdjson::SUCCESS ||
        document["partitions"].get(rows) != simdjson::SUCCESS) {
        complain("the answer is not of a postlane admin listener");
        return exit_code::kUnavailable;
    }
    print("{:>9}", "partition");
    for (const char* const column : columns) {
        print("  {:>14}", column);
    }
    print("\n");
    for (const dom::element row : rows) {
        print("{:>9}", number(row, "partition"));
        for (const char* const column : columns) {
            print("  {:>14}", grouped(number(row, column)));
        }
        print("\n");
    }
    bool agrees = true;
    if (document["agrees"].get(agrees) == simdjson::SUCCESS && rows.size() == 0) {
        print("Nothing was compared: the instance that answered owns no partition.\n");
    } else if (document["agrees"].get(agrees) == simdjson::SUCCESS) {
        print("{}\n", agrees
                          ? "The stores agree with their ledger topic."
                          : "The stores do NOT agree with their ledger topic. A store is rebuilt "
                            "if its directory is removed while postlane is stopped.");
    }
    return agrees ? exit_code::kOk : exit_code::kNegative;
}

int print_json(const std::string& body) {
    print("{}\n", body);
    dom::parser parser;
    bool agrees = true;
    const bool has_verdict = parser.parse(body)["agrees"].get(agrees) == simdjson::SUCCESS;
    return !has_verdict || agrees ? exit_code::kOk : exit_code::kNegative;
}

Result<std::string> stats_of_stores(const Config& config) {
    const auto stats = count_local_stores(config);
    if (!stats) {
        return tl::unexpected(stats.error());
    }
    return ledger_stats_json(*stats);
}

Result<std::string> verdict_of_stores(const Config& config) {
    Progress progress;
    const auto verdicts = audit_local_stores(config, kafka_messages(), [&](PartitionId partition) {
        progress.show(fmt::format("comparing partition {}", partition));
    });
    if (!verdicts) {
        return tl::unexpected(verdicts.error());
    }
    return ledger_verdict_json(*verdicts);
}

int answer(const Options& options, const std::string& body,
           const std::vector<const char*>& columns) {
    return options.as_json ? print_json(body) : print_table(body, columns);
}

// An instance may leave the work to whoever is on its machine.
bool is_unsupported(const AdminReply& reply) {
    return reply.status == 400 && reply.body.find("\"unsupported\"") != std::string::npos;
}

// `post`: with POST. `offline` reads the stores of this machine, also beside a running instance.
int ask(const Options& options, const char* path, bool post,
        Result<std::string> (*offline)(const Config&), const std::vector<const char*>& columns) {
    int code = exit_code::kOk;
    const auto client = AdminClient::make(options.admin, code);
    if (!client) {
        return code;
    }
    const auto reply = post ? client->post(path, "") : client->get(path);
    const bool go_local = (!reply || is_unsupported(*reply)) && options.admin.endpoint.empty() &&
                          !options.admin.config.file.empty();
    if (!go_local) {
        if (!reply) {
            return give_up(reply.error());
        }
        return reply->status == 200 ? answer(options, reply->body, columns)
                                    : report_problem(*reply);
    }
    const auto loaded =
        load_config(options.admin.config, {.needs_routes = false, .read_files = post});
    if (!loaded) {
        return exit_code::kConfig;
    }
    if (!reply) {
        complain("no instance answers at {}: reading {}", client->endpoint(),
                 printable(loaded->config.ledger.directory));
    }
    const auto body = offline(loaded->config);
    return body ? answer(options, *body, columns) : give_up(body.error());
}

int stats(const Options& options) {
    return ask(options, "/api/v1/ledger", false, stats_of_stores,
               {"messages_live", "messages_ended", "sequences", "suppressions", "ledger_next",
                "store_bytes"});
}

int verify(const Options& options) {
    return ask(options, "/api/v1/ledger:verify", true, verdict_of_stores,
               {"compared", "missing", "different", "extra"});
}

void add_question(CLI::App& group, Action& action, const char* name, const char* help,
                  int (*question)(const Options&)) {
    const auto options = std::make_shared<Options>();
    CLI::App* const command = group.add_subcommand(name, help);
    add_admin_options(*command, options->admin, false);
    command->add_flag("--json", options->as_json, "print JSON");
    command->callback([options, question, &action] {
        action = [options, question] { return question(*options); };
    });
}

}  // namespace

void add_ledger(CLI::App& root, Action& action) {
    CLI::App* const group =
        root.add_subcommand("ledger", "look at what postlane remembers, running or stopped");
    group->require_subcommand(1);
    add_question(*group, action, "stats", "count the rows of the local stores", stats);
    add_question(*group, action, "verify", "compare every local store with its ledger topic",
                 verify);
}

}  // namespace postlane::cli
