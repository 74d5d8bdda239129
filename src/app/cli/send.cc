// `postlane send`: events from a file or from stdin onto the sends topic.
//
// Two passes: first every line is checked, then the good ones are produced; so a file with one bad
// line sends nothing unless that was asked for. Stdin is kept in a temporary file meanwhile.
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "adapters/kafka/producer.h"
#include "adapters/kafka/topology.h"
#include "app/cli/commands.h"
#include "app/cli/config_file.h"
#include "app/cli/console.h"
#include "app/cli/event_lines.h"
#include "app/cli/exit_code.h"
#include "app/cli/kafka_log.h"

namespace postlane::cli {
namespace {

struct Options {
    ConfigOptions config;
    std::string file = "-";
    bool skip_invalid = false;
    bool check_only = false;
    bool as_json = false;
};

struct FileClose {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, FileClose>;

struct BadLine {
    std::uint64_t line = 0;
    std::string reason;
    std::string detail;
};

struct Tally {
    std::uint64_t valid = 0;
    std::uint64_t invalid = 0;
    std::uint64_t sent = 0;
    std::uint64_t failed = 0;
    std::vector<BadLine> bad;  // the first of them; all for --json
    int code = exit_code::kOk;
};

constexpr std::size_t kBadLinesShown = 20;

int system_failure(const std::string& doing) {
    complain("{}: {}", doing, std::strerror(errno));
    return exit_code::kInputOutput;
}

File spooled(std::FILE* source) {
    File spool(std::tmpfile());
    char buffer[65536];
    std::size_t length = 0;
    while (spool && (length = std::fread(buffer, 1, sizeof buffer, source)) > 0) {
        if (std::fwrite(buffer, 1, length, spool.get()) != length) {
            return nullptr;
        }
    }
    return std::ferror(source) != 0 ? nullptr : std::move(spool);
}

// A file that can be read twice; a pipe is kept in a temporary one.
File open_input(const Options& options) {
    if (options.file == "-") {
        return spooled(stdin);
    }
    File file(std::fopen(options.file.c_str(), "rb"));
    struct stat status{};
    if (!file || fstat(fileno(file.get()), &status) != 0 || S_ISREG(status.st_mode)) {
        return file;
    }
    return spooled(file.get());
}

std::string source_name(const Options& options) {
    return options.file == "-" ? "stdin" : printable(options.file);
}

void note_bad(const Options& options, Tally& tally, std::uint64_t line,
              const Rejection& rejection) {
    ++tally.invalid;
    if (tally.bad.size() < kBadLinesShown || options.as_json) {
        tally.bad.push_back({line, std::string(to_string(rejection.reason)), rejection.detail});
    }
    if (tally.invalid > kBadLinesShown) {
        return;
    }
    fmt::print(stderr, "{}:{}: {}: {}\n", source_name(options), line, tally.bad.back().reason,
               printable(rejection.detail));
}

// Calls `each` for every line that is not blank.
template <class Each>
bool for_each_line(std::FILE* file, const Config& config, const Each& each) {
    if (std::fseek(file, 0, SEEK_SET) != 0) {
        return false;
    }
    LineReader reader(file, config.dispatch.max_payload_bytes + 1);
    std::string line;
    while (reader.next(line)) {
        if (line.find_first_not_of(" \t") != std::string::npos &&
            !each(reader.line_number(), line)) {
            return true;
        }
    }
    return !reader.failed();
}

bool check_all(const Options& options, const Config& config, PartitionId partitions,
               std::FILE* file, Tally& tally) {
    LineChecker checker(config, partitions);
    Progress progress;
    return for_each_line(file, config, [&](std::uint64_t number, const std::string& line) {
        const CheckedLine checked = checker.check(line);
        if (checked.rejection) {
            note_bad(options, tally, number, *checked.rejection);
        } else {
            ++tally.valid;
        }
        progress.show(fmt::format("checked {}", grouped(number)));
        return true;
    });
}

void take_deliveries(Producer& producer, Tally& tally, Millis wait) {
    for (const Delivery& delivery : producer.poll(wait)) {
        if (!delivery.error) {
            ++tally.sent;
            continue;
        }
        if (++tally.failed == 1) {
            complain("line {} was not delivered: {}", delivery.tag, delivery.error->detail);
        }
        tally.code = exit_code::of(delivery.error->code);
    }
}

bool send_all(const Config& config, PartitionId partitions, std::FILE* file, Producer& producer,
              Tally& tally) {
    LineChecker checker(config, partitions);
    Progress progress;
    const bool read =
        for_each_line(file, config, [&](std::uint64_t number, const std::string& line) {
            const CheckedLine checked = checker.check(line);
            if (checked.rejection) {
                return true;
            }
            const auto queued = producer.send({.topic = config.topics.sends,
                                               .partition = {},
                                               .key = checked.key,
                                               .value = line,
                                               .headers = {},
                                               .tag = number});
            if (!queued) {
                complain("line {} was not sent: {}", number, queued.error().detail);
                tally.code = exit_code::of(queued.error().code);
                return false;
            }
            take_deliveries(producer, tally, Millis(0));
            progress.show(fmt::format("sent {} of {}", grouped(tally.sent), grouped(tally.valid)));
            return true;
        });
    const auto flushed = producer.flush(Millis(60'000));
    take_deliveries(producer, tally, Millis(0));
    if (!flushed) {
        complain("{}", flushed.error().detail);
        tally.code = exit_code::of(flushed.error().code);
    }
    return read;
}

void print_tally(const Options& options, const Config& config, const Tally& tally) {
    if (options.as_json) {
        boost::json::array bad;
        for (const BadLine& line : tally.bad) {
            bad.push_back(boost::json::object{
                {"line", line.line}, {"reason", line.reason}, {"detail", line.detail}});
        }
        print("{}\n",
              boost::json::serialize(boost::json::object{{"topic", config.topics.sends},
                                                         {"valid", tally.valid},
                                                         {"invalid", tally.invalid},
                                                         {"sent", tally.sent},
                                                         {"failed", tally.failed},
                                                         {"invalid_lines", std::move(bad)}}));
        return;
    }
    if (options.check_only) {
        print("{} valid, {} invalid\n", counted(tally.valid, "event"), grouped(tally.invalid));
    } else {
        print("sent {} to {}\n", counted(tally.sent, "event"), config.topics.sends);
    }
}

void explain_refusal(const Options& options, const Tally& tally) {
    if (tally.invalid > kBadLinesShown) {
        fmt::print(stderr, "… and {} more\n", grouped(tally.invalid - kBadLinesShown));
    }
    if (tally.invalid > 0 && !options.skip_invalid && !options.check_only) {
        complain(
            "nothing was sent; correct the lines above, or leave them out with --skip-invalid");
    }
}

Result<PartitionId> partition_count(const Config& config) {
    const auto topology = read_topology(config, kafka_messages());
    if (!topology) {
        return tl::unexpected(topology.error());
    }
    const TopicFacts* const sends = topology->find(config.topics.sends);
    if (sends == nullptr) {
        return fail(
            ErrorCode::Misconfigured,
            fmt::format("there is no topic {}; make it with: postlane topics create -c FILE",
                        config.topics.sends));
    }
    return sends->partitions;
}

int give_up(const Error& error) {
    complain("{}", error.detail);
    return exit_code::of(error.code);
}

int deliver(const Config& config, PartitionId partitions, std::FILE* file, Tally& tally) {
    const auto producer = Producer::create(config, kafka_messages());
    if (!producer) {
        return give_up(producer.error());
    }
    if (!send_all(config, partitions, file, **producer, tally)) {
        return system_failure("reading the events again failed");
    }
    return tally.code;
}

int send(const Options& options) {
    const auto loaded = load_config(options.config);
    if (!loaded) {
        return exit_code::kConfig;
    }
    const Config& config = loaded->config;
    const File file = open_input(options);
    if (!file) {
        return system_failure(source_name(options) + " cannot be read");
    }
    PartitionId partitions = 1;  // what a line says does not depend on their number
    if (!options.check_only) {
        const auto counted_partitions = partition_count(config);
        if (!counted_partitions) {
            return give_up(counted_partitions.error());
        }
        partitions = *counted_partitions;
    }
    Tally tally;
    if (!check_all(options, config, partitions, file.get(), tally)) {
        return system_failure(source_name(options) + " cannot be read");
    }
    explain_refusal(options, tally);
    int code = exit_code::kOk;
    if (!options.check_only && tally.valid > 0 && (tally.invalid == 0 || options.skip_invalid)) {
        code = deliver(config, partitions, file.get(), tally);
    }
    print_tally(options, config, tally);
    return code != exit_code::kOk || tally.invalid == 0 ? code : exit_code::kBadInput;
}

}  // namespace

void add_send(CLI::App& root, Action& action) {
    const auto options = std::make_shared<Options>();
    CLI::App* const command = root.add_subcommand(
        "send", "check events, one JSON object a line, and put them onto the sends topic");
    add_config_options(*command, options->config);
    command->add_option("EVENTS", options->file, "file of events; - or none: stdin")->type_name("");
    command->add_flag("--skip-invalid", options->skip_invalid,
                      "send the good lines although there are bad ones; still exits with 65");
    command->add_flag("--check", options->check_only, "check only; needs no Kafka");
    command->add_flag("--json", options->as_json, "print JSON");
    command->callback([options, &action] { action = [options] { return send(*options); }; });
}

}  // namespace postlane::cli
