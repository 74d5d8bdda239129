// The settings of a world: calm for single scenarios, drawn from the seed for the swarm.
#include "sim/world.h"

namespace postlane::sim {
namespace {

config::Provider provider(const std::string& name, bool keyed) {
    config::Provider made;
    made.name = name;
    made.kind = config::ProviderKind::Http;
    made.base_url = "http://" + name + ".example";
    made.max_in_flight = 16;
    made.timeout = Millis{2'000};
    if (keyed) {
        made.idempotency = config::Idempotency::Header;
        made.idempotency_header = "idempotency-key";
        made.idempotency_lifetime = std::chrono::minutes{10};
    }
    return made;
}

config::Route route(const std::string& name, std::vector<std::string> providers) {
    config::Route made;
    made.name = name;
    made.providers = std::move(providers);
    made.from = config::Mailbox{"news@example.com", std::nullopt};
    return made;
}

}  // namespace

Config sim_config() {
    Config config;
    config.kafka.group_id = "sim";
    config.topics.sends = "sends";
    config.topics.suppressions = "suppressions";
    config.topics.address_suppressions = "address_suppressions";
    config.topics.outcomes = "outcomes";
    config.topics.dead_letters = "dead_letters";
    config.topics.ledger = "ledger";
    config.ledger.retention_days = std::chrono::days{1};
    config.ordering.max_wait = Millis{5'000};
    config.ordering.max_held = 1'000;
    config.ordering.max_halt = Millis{20'000};
    config.suppression.max_staleness = Millis{250};
    config.suppression.transactional_categories = {"receipts"};
    config.dispatch.io_threads = 1;
    config.dispatch.max_in_flight = 32;
    config.dispatch.intent_deadline = Millis{5'000};
    config.dispatch.default_ttl = std::chrono::minutes{5};
    config.dispatch.max_attempts = 5;
    config.dispatch.max_payload_bytes = 65'536;
    config.dispatch.drain_timeout = Millis{15'000};
    config.providers = {provider("keyed", true), provider("plain", false)};
    config.routes = {route("keyed", {"keyed"}), route("plain", {"plain"}),
                     route("both", {"keyed", "plain"}), route("park", {"keyed"})};
    config.routes.back().on_ambiguous = config::RouteOnAmbiguous::Park;
    return config;
}

Options calm_options(std::uint64_t seed) {
    Options options;
    options.seed = seed;
    options.config = sim_config();
    options.random_traffic = false;
    return options;
}

namespace {

Config swarm_config(Random& random) {
    Config config = sim_config();
    using namespace config;
    auto& ordering = config.ordering;
    ordering.on_gap = static_cast<OnGap>(random.below(3));
    ordering.first_step = random.chance(0.2) ? FirstStep::Adopt : FirstStep::One;
    ordering.on_ambiguous = random.chance(0.5) ? OnAmbiguous::Halt : OnAmbiguous::Advance;
    ordering.on_not_sent = random.chance(0.3) ? OnNotSent::Halt : OnNotSent::Advance;
    ordering.min_spacing = Millis{random.chance(0.5) ? 0 : random.between(1, 2'000)};
    ordering.max_wait = Millis{random.between(500, 10'000)};
    ordering.max_held = ordering.on_gap != OnGap::Wait && random.chance(0.2) ? 2 : 1'000;
    ordering.max_halt = Millis{random.between(2'000, 20'000)};
    config.dispatch.max_in_flight = static_cast<std::size_t>(random.between(1, 64));
    config.dispatch.intent_deadline = Millis{random.between(500, 8'000)};
    config.dispatch.default_ttl = Millis{random.between(10'000, 300'000)};
    config.dispatch.max_attempts = static_cast<std::uint32_t>(random.between(1, 6));
    for (Provider& provider : config.providers) {
        provider.timeout = Millis{random.between(500, 5'000)};
        provider.max_in_flight = static_cast<std::size_t>(random.between(1, 16));
        if (random.chance(0.2)) {
            provider.rate_per_second = random.log_uniform(2, 100);
        }
    }
    config.providers.front().idempotency_lifetime = Millis{random.between(20'000, 600'000)};
    return config;
}

Faults swarm_faults(Random& random) {
    Faults faults;
    const auto maybe = [&](double low, double high) {
        const double magnitude = random.log_uniform(low, high);
        return random.chance(0.5) ? magnitude : 0.0;
    };
    faults.commit_aborted = maybe(0.002, 0.1);
    faults.commit_unknown = maybe(0.002, 0.1);
    faults.crash_point = maybe(0.0002, 0.01);
    faults.log_unavailable = maybe(0.01, 0.3);
    faults.ends_unavailable = maybe(0.01, 0.5);
    faults.input_unavailable = maybe(0.01, 0.3);
    faults.store_corrupt = maybe(0.00005, 0.001);
    faults.store_full = maybe(0.001, 0.02);
    faults.esp_reject = maybe(0.01, 0.3);
    faults.esp_throttle = maybe(0.01, 0.3);
    faults.esp_error = maybe(0.01, 0.3);
    faults.esp_lose_answer = maybe(0.01, 0.3);
    faults.esp_hang = maybe(0.01, 0.3);
    faults.esp_refuse_connection = maybe(0.01, 0.3);
    faults.esp_account = maybe(0.001, 0.05);
    faults.slow_hand_over = maybe(0.01, 0.5);
    faults.kills = maybe(0.01, 0.3);
    faults.power_losses = maybe(0.01, 0.1);
    faults.pauses = maybe(0.01, 0.3);
    faults.rebalances = maybe(0.01, 0.3);
    faults.graceful_stops = maybe(0.01, 0.1);
    faults.wipes = maybe(0.05, 1.0);
    faults.old_copies = maybe(0.05, 1.0);
    faults.clock_jumps = maybe(0.02, 0.3);
    faults.hung_transactions = maybe(0.05, 0.5);
    faults.compactions = maybe(0.01, 0.5);
    faults.input_delays = maybe(0.1, 1.0);
    faults.latency_us = static_cast<Time>(random.log_uniform(300, 20'000));
    return faults;
}

}  // namespace

Options swarm_options(std::uint64_t seed) {
    Random random(seed * 0x9e3779b97f4a7c15U + 1);
    Options options;
    options.seed = seed;
    options.config = swarm_config(random);
    options.faults = swarm_faults(random);
    options.partitions = static_cast<std::int32_t>(random.between(1, 3));
    options.address_partitions = static_cast<std::int32_t>(random.between(1, 2));
    options.instances = static_cast<int>(random.between(1, 3));
    options.session_timeout = random.between(kSecond, 8 * kSecond);
    options.duration = random.between(10 * kSecond, 30 * kSecond);
    options.traffic.duration = options.duration * 3 / 4;
    options.traffic.recipients = static_cast<std::size_t>(random.between(1, 12));
    options.traffic.messages = static_cast<std::size_t>(random.between(10, 80));
    options.traffic.suppressions = static_cast<std::size_t>(random.between(0, 20));
    options.traffic.routes.clear();
    for (const auto& route : options.config.routes) {
        if (random.chance(0.6)) {
            options.traffic.routes.push_back(route.name);
        }
    }
    if (options.traffic.routes.empty()) {
        options.traffic.routes.push_back("keyed");
    }
    return options;
}

}  // namespace postlane::sim
