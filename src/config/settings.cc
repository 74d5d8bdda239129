// The settings of everything but providers and routes (those: settings_delivery.cc).
#include <algorithm>
#include <array>

#include "config/formats.h"
#include "config/setting.h"
#include "config/settings_delivery.h"

namespace postlane::config {
namespace {

constexpr std::string_view kMillis = "milliseconds";
constexpr std::int64_t kMinuteMs = 60'000;
constexpr std::int64_t kDayMs = 24 * 60 * kMinuteMs;

constexpr std::array kTop{
    Setting{.key = "schema_version",
            .type = Type::Integer,
            .required = true,
            .min = 1,
            .max = 1,
            .help = "Version of this file's format.",
            .example = "1",
            .in_example = true,
            .store = store<&Config::schema_version>},
};

constexpr std::array kPartitioners{
    Word{.text = "murmur2", .value = int(Partitioner::Murmur2), .help = "Java's default"},
    Word{.text = "crc32", .value = int(Partitioner::Crc32), .help = "librdkafka's old default"},
};
constexpr std::array kInitialOffsets{
    Word{.text = "earliest", .value = int(InitialOffset::Earliest), .help = "everything there is"},
    Word{.text = "latest", .value = int(InitialOffset::Latest), .help = "only what comes later"},
};

constexpr std::array kKafka{
    Setting{
        .key = "bootstrap_servers",
        .type = Type::TextList,
        .fallback = R"(["127.0.0.1:9092"])",
        .may_be_empty = false,
        .unique = true,
        .format = &formats::kServer,
        .help = "Brokers to ask for the cluster's members.",
        .example = R"(["kafka-0.example:9093", "kafka-1.example:9093", "kafka-2.example:9093"])",
        .store = store<&Kafka::bootstrap_servers>},
    Setting{.key = "group_id",
            .type = Type::Text,
            .fallback = R"("postlane")",
            .format = &formats::kFilled,
            .help = "Consumer group. All instances that share the work have the same.",
            .store = store<&Kafka::group_id>},
    Setting{.key = "group_instance_id",
            .type = Type::Text,
            .format = &formats::kInstance,
            .help = "Static membership: a restart within the session time-out moves no partition. "
                    "Must differ between instances, e.g. the pod's name. Absent: dynamic.",
            .example = R"("postlane-0")",
            .store = store<&Kafka::group_instance_id>},
    Setting{.key = "partitioner",
            .type = Type::Word,
            .fallback = R"("murmur2")",
            .words = kPartitioners,
            .help = "How the producers of sends and suppressions choose the partition of a key. "
                    "Fixed with the first start: the ledger remembers it.",
            .store = store<&Kafka::partitioner>},
    Setting{.key = "initial_offset",
            .type = Type::Word,
            .fallback = R"("earliest")",
            .words = kInitialOffsets,
            .help = "Where the sends topic is read from at the very first start. Afterwards the "
                    "ledger knows. Suppressions are always read from the beginning.",
            .store = store<&Kafka::initial_offset>},
    Setting{.key = "require_durable_topics",
            .type = Type::Boolean,
            .fallback = "true",
            .help = "Refuse to run unless topics have 3 replicas, min.insync.replicas 2 and no "
                    "unclean leader election. Set to false only on a single test broker.",
            .store = store<&Kafka::require_durable_topics>},
    Setting{.key = "session_timeout_ms",
            .type = Type::Integer,
            .fallback = "45000",
            .unit = kMillis,
            .min = 1'000,
            .max = 30 * kMinuteMs,
            .help = "After so long without a heartbeat the group gives an instance's partitions "
                    "to others. \"session.timeout.ms\" in [kafka.librdkafka] wins over it.",
            .store = store<&Kafka::session_timeout>},
};

template <auto Member>
constexpr Setting topic(std::string_view key, std::string_view fallback, std::string_view help) {
    return Setting{.key = key,
                   .type = Type::Text,
                   .fallback = fallback,
                   .format = &formats::kTopic,
                   .help = help,
                   .store = store<Member>};
}

constexpr std::array kTopics{
    topic<&Topics::sends>("sends", R"("postlane.sends")", "In: send events, keyed by recipient."),
    topic<&Topics::suppressions>("suppressions", R"("postlane.suppressions")",
                                 "In: suppressions by recipient; as many partitions as sends."),
    topic<&Topics::address_suppressions>("address_suppressions",
                                         R"("postlane.address-suppressions")",
                                         "In: suppressions by address, kept for ever."),
    topic<&Topics::provider_events>(
        "provider_events", R"("postlane.provider-events")",
        "Reserved for providers' events, which this release does not read."),
    topic<&Topics::outcomes>("outcomes", R"("postlane.outcomes")",
                             "Out: one terminal outcome for each send event."),
    topic<&Topics::dead_letters>("dead_letters", R"("postlane.dead-letters")",
                                 "Out: records that cannot be processed."),
    topic<&Topics::ledger>("ledger", R"("postlane.ledger")",
                           "Own state, compacted; as many partitions as sends."),
    topic<&Topics::control>("control", R"("postlane.control")",
                            "Reserved for operators' switches, which this release does not have."),
};

constexpr std::array kLedger{
    Setting{.key = "directory",
            .type = Type::Text,
            .fallback = R"("/var/lib/postlane")",
            .format = &formats::kFilled,
            .help = "Directory of the local copy of the ledger. It can be lost: it is rebuilt "
                    "from the ledger topic.",
            .store = store<&Ledger::directory>},
    Setting{.key = "retention_days",
            .type = Type::Integer,
            .fallback = "30",
            .unit = "days",
            .min = 1,
            .max = 3'650,
            .help = "How long a finished message is remembered, and so how long its duplicates "
                    "are recognised. Older unknown send events are not sent.",
            .store = store<&Ledger::retention_days>},
};

constexpr std::array kOnGap{
    Word{.text = "dead_letter", .value = int(OnGap::DeadLetter), .help = "give up the held step"},
    Word{.text = "skip", .value = int(OnGap::Skip), .help = "pass over the missing steps"},
    Word{.text = "wait", .value = int(OnGap::Wait), .help = "go on waiting"},
};
constexpr std::array kFirstStep{
    Word{.text = "one", .value = int(FirstStep::One), .help = "every sequence begins with step 1"},
    Word{.text = "adopt",
         .value = int(FirstStep::Adopt),
         .help = "with the first step seen; for migrations"},
};
constexpr std::array kOnAmbiguous{
    Word{.text = "halt", .value = int(OnAmbiguous::Halt), .help = "wait until it is resolved"},
    Word{.text = "advance", .value = int(OnAmbiguous::Advance), .help = "go on with the next step"},
};
constexpr std::array kOnNotSent{
    Word{.text = "advance", .value = int(OnNotSent::Advance), .help = "go on with the next step"},
    Word{.text = "halt", .value = int(OnNotSent::Halt), .help = "stop the sequence"},
};

constexpr std::array kOrdering{
    Setting{.key = "min_spacing_ms",
            .type = Type::Integer,
            .fallback = "1000",
            .unit = kMillis,
            .min = 0,
            .max = 30 * kDayMs,
            .help = "Shortest time between the acceptance of a step and the next step's attempt.",
            .store = store<&Ordering::min_spacing>},
    Setting{.key = "max_wait_ms",
            .type = Type::Integer,
            .fallback = "3600000",
            .unit = kMillis,
            .min = 1,
            .max = 90 * kDayMs,
            .help = "How long a step is held for a missing lower one; then on_gap decides.",
            .store = store<&Ordering::max_wait>},
    Setting{.key = "on_gap",
            .type = Type::Word,
            .fallback = R"("dead_letter")",
            .words = kOnGap,
            .help = "What happens to a held step after max_wait_ms.",
            .store = store<&Ordering::on_gap>},
    Setting{.key = "first_step",
            .type = Type::Word,
            .fallback = R"("one")",
            .words = kFirstStep,
            .help = "Which step a sequence begins with.",
            .store = store<&Ordering::first_step>},
    Setting{.key = "on_ambiguous",
            .type = Type::Word,
            .fallback = R"("halt")",
            .words = kOnAmbiguous,
            .help = "What a sequence does when nobody can know whether a step was sent.",
            .store = store<&Ordering::on_ambiguous>},
    Setting{.key = "on_not_sent",
            .type = Type::Word,
            .fallback = R"("advance")",
            .words = kOnNotSent,
            .help = "What a sequence does when a step was suppressed, expired or failed.",
            .store = store<&Ordering::on_not_sent>},
    Setting{.key = "max_held",
            .type = Type::Integer,
            .fallback = "1000",
            .unit = "messages",
            .min = 1,
            .max = 100'000,
            .help = "Most steps of one sequence that are held; the next is a dead letter.",
            .store = store<&Ordering::max_held>},
    Setting{.key = "max_halt_ms",
            .type = Type::Integer,
            .fallback = "604800000",
            .unit = kMillis,
            .min = 1,
            .max = 365 * kDayMs,
            .help = "How long a sequence stays halted; then its waiting steps expire.",
            .store = store<&Ordering::max_halt>},
};

constexpr std::array kSuppression{
    Setting{.key = "max_staleness_ms",
            .type = Type::Integer,
            .fallback = "250",
            .unit = kMillis,
            .min = 50,
            .max = kMinuteMs,
            .help = "The freshness bound: a suppression acknowledged by Kafka stops every attempt "
                    "that begins this much later. If the view cannot be proven as fresh, nothing "
                    "is sent.",
            .store = store<&Suppression::max_staleness>},
    Setting{.key = "transactional_categories",
            .type = Type::TextList,
            .fallback = R"(["transactional"])",
            .unique = true,
            .format = &formats::kName,
            .help = "Categories that an unsubscribe without a scope does not stop.",
            .store = store<&Suppression::transactional_categories>},
};

constexpr std::array kDispatch{
    Setting{.key = "io_threads",
            .type = Type::Integer,
            .fallback = "1",
            .min = 1,
            .max = 64,
            .help = "Threads that talk to providers.",
            .store = store<&Dispatch::io_threads>},
    Setting{.key = "max_in_flight",
            .type = Type::Integer,
            .fallback = "4096",
            .unit = "requests",
            .min = 1,
            .max = 65'536,
            .help = "Most requests of this process that are open at the same time, and so the most "
                    "messages a crash leaves in doubt.",
            .store = store<&Dispatch::max_in_flight>},
    Setting{.key = "intent_deadline_ms",
            .type = Type::Integer,
            .fallback = "5000",
            .unit = kMillis,
            .min = 100,
            .max = 10 * kMinuteMs,
            .help = "An attempt that was written to the ledger begins within this time or not at "
                    "all.",
            .store = store<&Dispatch::intent_deadline>},
    Setting{.key = "default_ttl_ms",
            .type = Type::Integer,
            .fallback = "259200000",
            .unit = kMillis,
            .min = 1'000,
            .max = 365 * kDayMs,
            .help = "Time to live, from its due time, of a message without expires_at.",
            .store = store<&Dispatch::default_ttl>},
    Setting{.key = "max_attempts",
            .type = Type::Integer,
            .fallback = "10",
            .unit = "attempts",
            .min = 1,
            .max = 1'000,
            .help = "Most attempts for one message; then it has failed or is ambiguous.",
            .store = store<&Dispatch::max_attempts>},
    Setting{.key = "max_payload_bytes",
            .type = Type::Integer,
            .fallback = "921600",
            .unit = "bytes",
            .min = 1'024,
            .max = 64 * 1'024 * 1'024,
            .help = "A longer send event is a dead letter. With its envelope it must fit into a "
                    "record of the ledger topic (\"message.max.bytes\").",
            .store = store<&Dispatch::max_payload_bytes>},
    Setting{.key = "drain_timeout_ms",
            .type = Type::Integer,
            .fallback = "20000",
            .unit = kMillis,
            .min = 100,
            .max = 10 * kMinuteMs,
            .help =
                "How long a shutdown or a rebalance waits for open requests. Should be below the "
                "session time-out.",
            .store = store<&Dispatch::drain_timeout>},
};

constexpr std::array kTelemetry{
    Setting{.key = "listen",
            .type = Type::Text,
            .fallback = R"("0.0.0.0:9464")",
            .format = &formats::kListen,
            .help = "Address of /metrics, /livez, /readyz and /startupz. No personal data, no "
                    "authentication.",
            .store = store<&Telemetry::listen>},
};

constexpr std::array kAdmin{
    Setting{.key = "listen",
            .type = Type::Text,
            .fallback = R"("127.0.0.1:8081")",
            .format = &formats::kListen,
            .help = "Address of the admin API. Beyond the loopback interface it "
                    "needs token_file.",
            .store = store<&Admin::listen>},
    Setting{.key = "token_file",
            .type = Type::Text,
            .is_file = true,
            .format = &formats::kFilled,
            .help = "File with the token that callers of the admin API send as "
                    "\"Authorization: Bearer\". Absent: no token is asked for.",
            .example = R"("/run/secrets/admin-token")",
            .in_example = true,
            .store = store<&Admin::token_file>},
};

}  // namespace

std::span<const Section> all_sections() {
    static const std::array kSections{
        Section{.settings = kTop},
        Section{.name = "kafka",
                .help = "The cluster, and how postlane is a member of it.",
                .settings = kKafka},
        Section{.name = "topics",
                .help = "Names of the topics. `postlane topics create` makes them.",
                .settings = kTopics},
        Section{.name = "ledger", .help = "What postlane remembers.", .settings = kLedger},
        Section{.name = "ordering", .help = "Steps of a sequence.", .settings = kOrdering},
        Section{.name = "suppression",
                .help = "Who must not be mailed, and how fresh that knowledge is.",
                .settings = kSuppression},
        Section{.name = "dispatch", .help = "Attempts to send.", .settings = kDispatch},
        Section{.name = "providers",
                .repeated = true,
                .help = "An email service provider; one [[providers]] table for each.",
                .settings = provider_settings()},
        Section{.name = "routes",
                .repeated = true,
                .help = "How a message gets to a provider; one [[routes]] table for each. Events "
                        "without a route use the one called \"default\".",
                .settings = route_settings()},
        Section{.name = "telemetry", .help = "For monitoring.", .settings = kTelemetry},
        Section{.name = "admin", .help = "For operators.", .settings = kAdmin},
    };
    return kSections;
}

const Section& section(std::string_view name) {
    const auto sections = all_sections();
    const auto found = std::find_if(sections.begin(), sections.end(),
                                    [&](const Section& item) { return item.name == name; });
    return found == sections.end() ? sections.front() : *found;
}

const Setting* find_setting(const Section& in, std::string_view key) {
    for (const Setting& setting : in.settings) {
        if (setting.key == key) {
            return &setting;
        }
    }
    return nullptr;
}

std::vector<std::string> keys(const Section& in) {
    std::vector<std::string> names;
    for (const Setting& setting : in.settings) {
        names.emplace_back(setting.key);
    }
    return names;
}

std::vector<std::string> words(const Setting& setting, bool supported_only) {
    std::vector<std::string> texts;
    for (const Word& word : setting.words) {
        if (word.supported || !supported_only) {
            texts.emplace_back(word.text);
        }
    }
    return texts;
}

}  // namespace postlane::config
