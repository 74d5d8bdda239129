#include "config/checks.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <map>

#include "config/librdkafka.h"
#include "config/settings_delivery.h"
#include "config/text.h"

namespace postlane::config {
namespace {

// What the broker and librdkafka 2.0 use where the configuration says nothing.
constexpr std::int64_t kDefaultMessageMaxBytes = 1'000'000;
constexpr std::int64_t kDefaultMaxPollIntervalMs = 300'000;
constexpr std::int64_t kDefaultHeartbeatMs = 3'000;
// Room in a ledger record for everything but the payload.
constexpr std::int64_t kEnvelopeBytes = 65'536;

std::string property(std::string_view name) {
    return std::string(kPropertiesPrefix) + std::string(name);
}

class Checks {
public:
    Checks(Draft& draft, const LoadOptions& options)
        : draft_(draft), config_(draft.config), options_(options) {}

    void run() {
        take_session_timeout();
        timeouts();
        payload();
        retention();
        topics();
        assignment();
        providers();
        routes();
        listeners();
    }

private:
    void error(Code code, const std::string& key, std::string message, std::string hint) {
        draft_.report.error(code, draft_.place_of(key), key, std::move(message), std::move(hint));
        draft_.reject(key);
    }
    void warning(Code code, const std::string& key, std::string message, std::string hint) {
        draft_.report.warning(code, draft_.place_of(key), key, std::move(message), std::move(hint));
    }

    // The number in a passthrough property, or `fallback`.
    std::int64_t number(std::string_view name, std::int64_t fallback) {
        const std::string key = property(name);
        const auto found = config_.kafka.librdkafka.find(std::string(name));
        if (found == config_.kafka.librdkafka.end() || !draft_.given(key) || !draft_.sound(key)) {
            return fallback;
        }
        const std::string& text = found->second;
        std::int64_t value = 0;
        const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
        if (failed != std::errc{} || end != text.data() + text.size() || value <= 0) {
            error(Code::OutOfRange, key, "expected a whole number above 0", "");
            return fallback;
        }
        return value;
    }

    void take_session_timeout() {
        const std::string key = property("session.timeout.ms");
        const std::string own = "kafka.session_timeout_ms";
        const std::int64_t given = number("session.timeout.ms", -1);
        if (given < 0) {
            return;
        }
        if (draft_.given(own) && config_.kafka.session_timeout.count() != given) {
            warning(Code::Contradiction, own,
                    fmt::format("has no effect: \"session.timeout.ms\" is {}", given),
                    "give only one of the two");
        }
        config_.kafka.session_timeout = Millis(given);
        draft_.rejected.erase(own);
        if (Effective* effective = draft_.find(own)) {
            effective->value = given;
            effective->origin = draft_.find(key)->origin;
            effective->place = draft_.place_of(key);
        }
        session_key_ = key;
    }

    void timeouts() {
        const std::int64_t session = config_.kafka.session_timeout.count();
        const std::string drain = "dispatch.drain_timeout_ms";
        const std::int64_t drain_ms = config_.dispatch.drain_timeout.count();
        if (!draft_.sound(session_key_)) {
            return;
        }
        if (draft_.sound(drain) && drain_ms >= session) {
            const std::string at = draft_.given(drain) ? drain : session_key_;
            // Heartbeats go on while a drain lasts, so this costs time, not a promise.
            warning(Code::Contradiction, at,
                    fmt::format("the drain time-out ({} ms) should be below the session time-out "
                                "({} ms)",
                                drain_ms, session),
                    "else a process that dies while it drains keeps its partitions waiting longer; "
                    "lower dispatch.drain_timeout_ms or raise kafka.session_timeout_ms");
        }
        const std::int64_t heartbeat = number("heartbeat.interval.ms", kDefaultHeartbeatMs);
        const std::string heartbeat_key = property("heartbeat.interval.ms");
        if (heartbeat >= session && draft_.given(heartbeat_key)) {
            error(Code::Contradiction, heartbeat_key,
                  fmt::format("must be below the session time-out ({} ms)", session),
                  "a third of it is usual");
        }
        const std::int64_t poll = number("max.poll.interval.ms", kDefaultMaxPollIntervalMs);
        if (session > poll) {
            error(Code::Contradiction, session_key_,
                  fmt::format("the session time-out ({} ms) must not exceed "
                              "\"max.poll.interval.ms\" ({} ms)",
                              session, poll),
                  "raise \"max.poll.interval.ms\" in [kafka.librdkafka] or lower the time-out");
        }
    }

    void payload() {
        const std::string key = "dispatch.max_payload_bytes";
        const std::int64_t limit = number("message.max.bytes", kDefaultMessageMaxBytes);
        const auto payload = static_cast<std::int64_t>(config_.dispatch.max_payload_bytes);
        if (draft_.sound(key) && payload + kEnvelopeBytes > limit) {
            error(Code::Contradiction, draft_.given(key) ? key : property("message.max.bytes"),
                  fmt::format("a payload of {} bytes with its envelope does not fit into "
                              "\"message.max.bytes\" ({})",
                              payload, limit),
                  fmt::format("at most {} bytes fit; or raise \"message.max.bytes\" in "
                              "[kafka.librdkafka] and max.message.bytes of the topics",
                              std::max<std::int64_t>(limit - kEnvelopeBytes, 0)));
        }
    }

    void retention() {
        const auto kept = std::chrono::duration_cast<Millis>(config_.ledger.retention_days);
        const auto check = [&](const std::string& key, Millis time) {
            if (draft_.sound(key) && draft_.sound("ledger.retention_days") && time > kept) {
                warning(Code::Contradiction, draft_.given(key) ? key : "ledger.retention_days",
                        fmt::format("{} ({} ms) is longer than the ledger remembers ({} days)", key,
                                    time.count(), config_.ledger.retention_days.count()),
                        "raise ledger.retention_days, else a replayed input may count as too old");
            }
        };
        check("dispatch.default_ttl_ms", config_.dispatch.default_ttl);
        check("ordering.max_wait_ms", config_.ordering.max_wait);
        check("ordering.max_halt_ms", config_.ordering.max_halt);
    }

    void topics() {
        const Topics& topics = config_.topics;
        const std::pair<std::string_view, const std::string&> named[] = {
            {"sends", topics.sends},
            {"suppressions", topics.suppressions},
            {"address_suppressions", topics.address_suppressions},
            {"provider_events", topics.provider_events},
            {"outcomes", topics.outcomes},
            {"dead_letters", topics.dead_letters},
            {"ledger", topics.ledger},
            {"control", topics.control},
        };
        std::map<std::string, std::string> seen;
        for (const auto& [name, topic] : named) {
            const std::string key = "topics." + std::string(name);
            if (!draft_.sound(key)) {
                continue;
            }
            const auto [other, fresh] = seen.emplace(topic, key);
            if (!fresh) {
                error(Code::Duplicate, draft_.given(key) ? key : other->second,
                      fmt::format("{} and {} are both \"{}\"", other->second, key, topic),
                      "every topic needs a name of its own");
            }
        }
    }

    void assignment() {
        const std::string name = "partition.assignment.strategy";
        const auto found = config_.kafka.librdkafka.find(name);
        if (found != config_.kafka.librdkafka.end() &&
            found->second.find("cooperative") != std::string::npos) {
            error(Code::OwnedProperty, property(name),
                  "cooperative assignment is not supported by this release",
                  "use \"range\" (the default) or \"roundrobin\"");
        }
    }

    void providers() {
        std::map<std::string, std::size_t> seen;
        for (std::size_t i = 0; i < config_.providers.size(); ++i) {
            const Provider& provider = config_.providers[i];
            const std::string& key = draft_.provider_keys[i];
            unique_name(seen, "providers", provider.name, i, key);
            statuses(provider, key);
            const HostPort host = url_host(provider.base_url);
            if (provider.base_url.starts_with("http://") && !provider.credentials_file.empty() &&
                !is_loopback(host.host)) {
                warning(Code::ClearText, key + ".base_url",
                        "credentials and mail would cross the network unencrypted", "use https://");
            }
            if (draft_.sound(key + ".timeout_ms") && draft_.sound("dispatch.drain_timeout_ms") &&
                provider.timeout >= config_.dispatch.drain_timeout) {
                warning(Code::Contradiction,
                        draft_.given(key + ".timeout_ms") ? key + ".timeout_ms"
                                                          : "dispatch.drain_timeout_ms",
                        fmt::format("a request to {} may take {} ms, longer than a drain waits "
                                    "({} ms)",
                                    key, provider.timeout.count(),
                                    config_.dispatch.drain_timeout.count()),
                        "messages whose requests are cut off are in doubt after a restart");
            }
        }
    }

    static HostPort url_host(const std::string& url) {
        const std::size_t begin = url.find("://");
        if (begin == std::string::npos) {
            return {};
        }
        const std::string authority =
            url.substr(begin + 3, url.find_first_of("/?", begin + 3) - (begin + 3));
        if (const auto parts = split_host_port(authority)) {
            return *parts;
        }
        return split_host_port(authority + ":1").value_or(HostPort{});
    }

    void statuses(const Provider& provider, const std::string& key) {
        if (!provider.ambiguous_statuses || !provider.retry_statuses) {
            return;
        }
        for (const int status : *provider.retry_statuses) {
            if (std::count(provider.ambiguous_statuses->begin(), provider.ambiguous_statuses->end(),
                           status) > 0) {
                error(Code::Contradiction, key + ".retry_statuses",
                      fmt::format("{} is in ambiguous_statuses as well", status),
                      "a message was either certainly not executed or nobody knows");
            }
        }
    }

    void unique_name(std::map<std::string, std::size_t>& seen, std::string_view section,
                     const std::string& name, std::size_t index, const std::string& key) {
        if (name.empty()) {
            return;  // reported as missing
        }
        const auto [first, fresh] = seen.emplace(name, index);
        if (!fresh) {
            error(Code::Duplicate, key + ".name",
                  fmt::format("number {} of [[{}]] has the name of number {}", index + 1, section,
                              first->second + 1),
                  "give every table a name of its own");
        }
    }

    void routes() {
        std::map<std::string, std::size_t> seen;
        std::vector<std::string> known;
        for (const Provider& provider : config_.providers) {
            known.push_back(provider.name);
        }
        for (std::size_t i = 0; i < config_.routes.size(); ++i) {
            const Route& route = config_.routes[i];
            const std::string& key = draft_.route_keys[i];
            unique_name(seen, "routes", route.name, i, key);
            for (const std::string& name : route.providers) {
                if (draft_.sound(key + ".providers") && draft_.sound("providers") &&
                    std::find(known.begin(), known.end(), name) == known.end()) {
                    unknown_provider(key + ".providers", name, known);
                }
            }
        }
        if (!options_.needs_routes) {
            return;
        }
        const Place end = draft_.report.end();
        if (config_.providers.empty() && draft_.sound("providers")) {
            draft_.report.error(Code::NothingToRun, end, "providers", "there is no provider",
                                "add a [[providers]] table with name and kind");
        }
        if (!draft_.sound("routes")) {
            return;
        }
        if (config_.routes.empty()) {
            draft_.report.error(Code::NothingToRun, end, "routes", "there is no route",
                                "add a [[routes]] table: name = \"default\", providers = [\"…\"]");
        } else if (!seen.contains("default")) {
            draft_.report.warning(
                Code::NoDefaultRoute, end, "routes", "no route is called \"default\"",
                "events that name no route become dead letters with reason unknown_route");
        }
    }

    void unknown_provider(const std::string& key, const std::string& name,
                          const std::vector<std::string>& known) {
        const std::optional<std::string> near = nearest(name, known);
        error(Code::UnknownProvider, key, fmt::format("there is no provider \"{}\"", name),
              near            ? fmt::format("did you mean \"{}\"?", *near)
              : known.empty() ? "add a [[providers]] table of that name"
                              : fmt::format("the providers are {}", fmt::join(known, ", ")));
    }

    void listeners() {
        const bool both = draft_.sound("admin.listen") && draft_.sound("telemetry.listen");
        if (both && config_.admin.listen == config_.telemetry.listen) {
            error(Code::Contradiction,
                  draft_.given("admin.listen") ? "admin.listen" : "telemetry.listen",
                  "telemetry.listen and admin.listen are the same address",
                  "they are two listeners: give one another port");
        }
        const auto admin = split_host_port(config_.admin.listen);
        if (draft_.sound("admin.listen") && admin && !is_loopback(admin->host) &&
            !draft_.given("admin.token_file")) {
            error(Code::Exposed, "admin.listen",
                  "others can reach the admin API and it asks for no token",
                  "set admin.token_file, or listen on 127.0.0.1");
        }
    }

    Draft& draft_;
    Config& config_;
    const LoadOptions& options_;
    std::string session_key_ = "kafka.session_timeout_ms";
};

}  // namespace

void check_together(Draft& draft, const LoadOptions& options) {
    Checks(draft, options).run();
}

}  // namespace postlane::config
