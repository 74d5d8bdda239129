#include <simdjson.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <string_view>

#include "app/cli/admin_client.h"
#include "app/cli/commands.h"
#include "app/cli/console.h"
#include "app/cli/exit_code.h"

namespace postlane::cli {
namespace {

namespace dom = simdjson::dom;

struct Options {
    AdminOptions admin;
    std::string recipient;
    std::string message;
    bool as_json = false;
};

// Longer lists are for --json.
constexpr std::size_t kMessagesShown = 20;

std::string text(dom::element object, const char* name) {
    std::string_view value;
    return object[name].get(value) == simdjson::SUCCESS ? printable(value) : "";
}

std::string_view headline(std::string_view verdict) {
    if (verdict == "sent") {
        return "SENT";
    }
    if (verdict == "unknown") {
        return "UNKNOWN";
    }
    if (verdict == "ambiguous") {
        return "NOBODY KNOWS";
    }
    for (const std::string_view pending :
         {"held", "waiting", "scheduled", "ready", "sending", "retrying"}) {
        if (verdict == pending) {
            return "NOT YET";
        }
    }
    return "NOT SENT";
}

void print_message(dom::element message) {
    print("\n{}  {}: {}\n", text(message, "message_id"), text(message, "verdict"),
          text(message, "sentence"));
    dom::array timeline;
    if (message["timeline"].get(timeline) != simdjson::SUCCESS) {
        return;
    }
    for (const dom::element entry : timeline) {
        print("  {}  {:<16} {}\n", text(entry, "at"), text(entry, "event"), text(entry, "detail"));
    }
}

void print_suppressions(dom::element report) {
    dom::array suppressions;
    if (report["suppressions"].get(suppressions) != simdjson::SUCCESS || suppressions.size() == 0) {
        return;
    }
    print("\nsuppressions of the recipient\n");
    for (const dom::element entry : suppressions) {
        print("  {}  {} ({})\n", text(entry, "occurred_at"), text(entry, "scope"),
              text(entry, "reason"));
    }
}

void print_report(dom::element report) {
    const std::string verdict = text(report, "verdict");
    const std::string decisive = text(report, "decisive_message_id");
    print("{}  {}{}\n", headline(verdict), decisive.empty() ? "" : decisive + ": ",
          text(report, "sentence"));
    dom::array messages;
    if (report["messages"].get(messages) == simdjson::SUCCESS) {
        std::size_t shown = 0;
        for (const dom::element message : messages) {
            if (++shown > kMessagesShown) {
                print("\n… and {}: see --json\n",
                      counted(messages.size() - kMessagesShown, "message"));
                break;
            }
            print_message(message);
        }
    }
    print_suppressions(report);
    print("\nAs of {}. What ended before {} is forgotten.\n", text(report, "as_of"),
          text(report, "ledger_reaches_back"));
}

int explain(const Options& options) {
    if (options.recipient.empty()) {
        complain("the recipient id is empty; give 1 to 512 bytes");
        return exit_code::kBadInput;
    }
    int code = exit_code::kOk;
    const auto client = AdminClient::make(options.admin, code);
    if (!client) {
        return code;
    }
    std::string path = fmt::format("/api/v1/recipients/{}/timeline", encoded(options.recipient));
    if (!options.message.empty()) {
        path += "?message=" + encoded(options.message);
    }
    const auto reply = client->get(path);
    if (!reply) {
        complain("{}", reply.error().detail);
        return exit_code::of(reply.error().code);
    }
    if (reply->status != 200) {
        return report_problem(*reply);
    }
    dom::parser parser;
    dom::element report;
    if (parser.parse(reply->body).get(report) != simdjson::SUCCESS) {
        return report_problem(*reply);
    }
    if (options.as_json) {
        print("{}\n", reply->body);
    } else {
        print_report(report);
    }
    return text(report, "verdict") == "sent" ? exit_code::kOk : exit_code::kNegative;
}

}  // namespace

void add_explain(CLI::App& root, Action& action) {
    const auto options = std::make_shared<Options>();
    CLI::App* const command = root.add_subcommand(
        "explain", "ask a running instance what became of a recipient's mail, and why");
    add_admin_options(*command, options->admin, false);
    command->add_option("RECIPIENT", options->recipient, "recipient id")->type_name("")->required();
    command->add_option("--message", options->message, "only this message id")->type_name("ID");
    command->add_flag("--json", options->as_json, "print JSON");
    command->callback([options, &action] { action = [options] { return explain(*options); }; });
}

}  // namespace postlane::cli
