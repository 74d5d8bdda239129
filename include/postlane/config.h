// The settings of one postlane process, as checked values.
//
// Made once at start by config::load (src/config/load.h) and passed by const reference from then
// on; nobody changes a Config after that. A Config that exists has passed every check, so its
// readers do not check again. The types live in postlane::config because names such as Kafka,
// Route or OnGap belong to other parts of the program as well.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <ostream>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace postlane {

// A credential. It prints as "[secret]" everywhere; only reveal() yields the text, so every place
// that uses a credential can be found by that word.
class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) : text_(std::move(text)) {}

    [[nodiscard]] const std::string& reveal() const noexcept { return text_; }
    [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

    friend std::ostream& operator<<(std::ostream& out, const Secret&) { return out << "[secret]"; }

private:
    std::string text_;
};

}  // namespace postlane

namespace postlane::config {

using Millis = std::chrono::milliseconds;

enum class Partitioner : std::uint8_t { Murmur2, Crc32 };
enum class InitialOffset : std::uint8_t { Earliest, Latest };

struct Kafka {
    std::vector<std::string> bootstrap_servers;
    std::string group_id;
    std::optional<std::string> group_instance_id;  // absent: dynamic membership
    Partitioner partitioner = Partitioner::Murmur2;
    InitialOffset initial_offset = InitialOffset::Earliest;  // first start only
    bool require_durable_topics = true;
    // The effective one: session.timeout.ms of the passthrough has already replaced it.
    Millis session_timeout{};
    // librdkafka's own properties, [kafka.librdkafka] and [kafka.librdkafka_files] together, the
    // files replaced by their content. Never holds a property that postlane sets itself.
    std::map<std::string, std::string> librdkafka;
    // The properties above whose values must never be printed.
    std::set<std::string> librdkafka_secrets;
};

struct Topics {
    std::string sends;
    std::string suppressions;
    std::string address_suppressions;
    std::string provider_events;
    std::string outcomes;
    std::string dead_letters;
    std::string ledger;
    std::string control;
};

struct Ledger {
    std::string directory;
    std::chrono::days retention_days{};
};

enum class OnGap : std::uint8_t { DeadLetter, Skip, Wait };
enum class FirstStep : std::uint8_t { One, Adopt };
enum class OnAmbiguous : std::uint8_t { Halt, Advance };
enum class OnNotSent : std::uint8_t { Advance, Halt };

struct Ordering {
    Millis min_spacing{};
    Millis max_wait{};
    OnGap on_gap = OnGap::DeadLetter;
    FirstStep first_step = FirstStep::One;
    OnAmbiguous on_ambiguous = OnAmbiguous::Halt;
    OnNotSent on_not_sent = OnNotSent::Advance;
    std::size_t max_held = 0;
    Millis max_halt{};
};

struct Suppression {
    Millis max_staleness{};
    std::vector<std::string> transactional_categories;  // lower case, no duplicates
};

struct Dispatch {
    std::size_t io_threads = 0;
    std::size_t max_in_flight = 0;  // of the whole process
    Millis intent_deadline{};
    Millis default_ttl{};
    std::uint32_t max_attempts = 0;
    std::size_t max_payload_bytes = 0;
    Millis drain_timeout{};
};

// Only Http, SendGrid and Resend appear in a loaded Config: this release refuses the others.
enum class ProviderKind : std::uint8_t {
    SendGrid,
    Ses,
    Mailgun,
    Postmark,
    SparkPost,
    Resend,
    Brevo,
    MailerSend,
    Smtp,
    Http,
};
enum class Idempotency : std::uint8_t { None, Header };
enum class Tls : std::uint8_t { Required, Opportunistic, None };

struct Provider {
    std::string name;  // lower case, unique
    ProviderKind kind = ProviderKind::Http;
    std::string base_url;  // kind Http: as given; others: without a slash at the end
    Secret credentials;    // the trimmed content of credentials_file; empty if that is absent
    std::string credentials_file;
    std::optional<double> rate_per_second;  // absent: unlimited
    std::size_t max_in_flight = 0;
    Millis timeout{};
    // Absent: the kind's own answer table stands.
    std::optional<std::vector<int>> ambiguous_statuses;
    std::optional<std::vector<int>> retry_statuses;
    // What the kind does (Resend: Header); only for kind Http it comes from the file.
    Idempotency idempotency = Idempotency::None;
    std::string idempotency_header;
    Millis idempotency_lifetime{};
    std::optional<std::string> region;  // kind Ses
    std::optional<std::string> domain;  // kind Mailgun
    Tls tls = Tls::Required;            // kind Smtp
};

struct Mailbox {
    std::string email;
    std::optional<std::string> name;
};

enum class RouteOnAmbiguous : std::uint8_t { Auto, Park, Resend };

struct Route {
    std::string name;                    // lower case, unique
    std::vector<std::string> providers;  // names, in order of preference; every one exists
    std::optional<Mailbox> from;         // absent: every event must bring its own
    RouteOnAmbiguous on_ambiguous = RouteOnAmbiguous::Auto;
};

struct Telemetry {
    std::string listen;  // host:port or [host]:port
};

struct Admin {
    std::string listen;  // host:port or [host]:port
    std::string token_file;
    Secret token;  // empty only if listen is on the loopback interface
};

}  // namespace postlane::config

namespace postlane {

struct Config {
    int schema_version = 1;
    config::Kafka kafka;
    config::Topics topics;
    config::Ledger ledger;
    config::Ordering ordering;
    config::Suppression suppression;
    config::Dispatch dispatch;
    std::vector<config::Provider> providers;
    std::vector<config::Route> routes;
    config::Telemetry telemetry;
    config::Admin admin;

    // Null if there is none of that name. Names are lower case.
    [[nodiscard]] const config::Provider* find_provider(const std::string& name) const {
        for (const config::Provider& provider : providers) {
            if (provider.name == name) {
                return &provider;
            }
        }
        return nullptr;
    }
    [[nodiscard]] const config::Route* find_route(const std::string& name) const {
        for (const config::Route& route : routes) {
            if (route.name == name) {
                return &route;
            }
        }
        return nullptr;
    }
};

}  // namespace postlane
