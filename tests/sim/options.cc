// The settings of a world: calm for single scenarios, drawn from the seed for the swarm.
#include <array>

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
                     route("both", {"keyed", "plain"}), route("park", {"keyed"}),
                     route(kResendRoute, {"plain"})};
    config.routes[3].on_ambiguous = config::RouteOnAmbiguous::Park;
    config.routes[4].on_ambiguous = config::RouteOnAmbiguous::Resend;
    return config;
}

Options calm_options(std::uint64_t seed) {
    Options options;
    options.seed = seed;
    options.config = sim_config();
    options.random_traffic = false;
    return options;
}

std::span<const FaultClass> fault_classes() {
    static constexpr std::array kClasses{
        FaultClass{"commit_aborted", &Faults::commit_aborted, 0.002, 0.1, true},
        FaultClass{"commit_unknown", &Faults::commit_unknown, 0.002, 0.1, true},
        FaultClass{"crash_point", &Faults::crash_point, 0.0002, 0.01, true},
        FaultClass{"log_unavailable", &Faults::log_unavailable, 0.01, 0.3, true},
        FaultClass{"ends_unavailable", &Faults::ends_unavailable, 0.01, 0.5},
        FaultClass{"input_unavailable", &Faults::input_unavailable, 0.01, 0.3},
        FaultClass{"store_corrupt", &Faults::store_corrupt, 0.00005, 0.001, true},
        FaultClass{"store_full", &Faults::store_full, 0.001, 0.02, true},
        FaultClass{"esp_reject", &Faults::esp_reject, 0.01, 0.3},
        FaultClass{"esp_throttle", &Faults::esp_throttle, 0.01, 0.3},
        FaultClass{"esp_error", &Faults::esp_error, 0.01, 0.3, true},
        FaultClass{"esp_lose_answer", &Faults::esp_lose_answer, 0.01, 0.3, true},
        FaultClass{"esp_hang", &Faults::esp_hang, 0.01, 0.3, true},
        FaultClass{"esp_refuse_connection", &Faults::esp_refuse_connection, 0.01, 0.3},
        FaultClass{"esp_account", &Faults::esp_account, 0.001, 0.05},
        FaultClass{"slow_hand_over", &Faults::slow_hand_over, 0.01, 0.5},
        FaultClass{"kills", &Faults::kills, 0.01, 0.3, true},
        FaultClass{"power_losses", &Faults::power_losses, 0.01, 0.1, true},
        FaultClass{"pauses", &Faults::pauses, 0.01, 0.3, true},
        FaultClass{"rebalances", &Faults::rebalances, 0.01, 0.3},
        FaultClass{"graceful_stops", &Faults::graceful_stops, 0.01, 0.1},
        FaultClass{"wipes", &Faults::wipes, 0.05, 1.0},
        FaultClass{"old_copies", &Faults::old_copies, 0.05, 1.0},
        FaultClass{"clock_jumps", &Faults::clock_jumps, 0.02, 0.3},
        FaultClass{"hung_transactions", &Faults::hung_transactions, 0.05, 0.5},
        FaultClass{"compactions", &Faults::compactions, 0.01, 0.5},
        FaultClass{"input_delays", &Faults::input_delays, 0.1, 1.0},
        FaultClass{"torn_batches", &Faults::torn_batches, 0.05, 1.0},
        FaultClass{"input_rewinds", &Faults::input_rewinds, 0.0005, 0.02},
        FaultClass{"clock_drifts", &Faults::clock_drifts, 0.000001, 0.0002},
        FaultClass{"nights", &Faults::nights, 0.002, 0.03, true},
        FaultClass{"retentions", &Faults::retentions, 0.01, 0.5},
        FaultClass{"config_changes", &Faults::config_changes, 0.3, 1.0},
        FaultClass{"transactional_input", &Faults::transactional_input, 0.05, 1.0, false, true},
    };
    return kClasses;
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
    config.dispatch.max_in_flight =
        static_cast<std::size_t>(random.between(1, random.chance(0.3) ? 3 : 64));
    config.dispatch.intent_deadline = Millis{random.between(500, 8'000)};
    config.dispatch.default_ttl =
        random.chance(0.15) ? Millis{std::chrono::days{20}}
                            : Millis{static_cast<int>(random.log_uniform(3'000, 300'000))};
    config.dispatch.max_attempts = static_cast<std::uint32_t>(random.between(1, 6));
    if (random.chance(0.4)) {
        config.providers.front().kind = ProviderKind::Resend;
        config.providers.front().idempotency_header = "Idempotency-Key";
    }
    if (random.chance(0.4)) {
        config.providers.back().kind = ProviderKind::SendGrid;
    }
    for (Provider& provider : config.providers) {
        provider.timeout = Millis{random.between(500, 5'000)};
        provider.max_in_flight = static_cast<std::size_t>(random.between(1, 16));
        if (random.chance(0.2)) {
            provider.rate_per_second = random.log_uniform(2, 100);
        }
    }
    config.providers.front().idempotency_lifetime =
        Millis{static_cast<int>(random.log_uniform(5'000, 600'000))};
    return config;
}

void draw_faults(Random& random, Options& options, bool last) {
    for (const FaultClass& each : fault_classes()) {
        if (each.drawn_last == last) {
            const double magnitude = random.log_uniform(each.low, each.high);
            const bool on = random.chance(0.5) && !(options.without_doubt && each.leaves_doubt);
            options.faults.*each.magnitude = on ? magnitude : 0.0;
        }
    }
}

}  // namespace

Options swarm_options(std::uint64_t seed) {
    Random random(seed * 0x9e3779b97f4a7c15U + 1);
    Options options;
    options.seed = seed;
    options.config = swarm_config(random);
    options.without_doubt = random.chance(0.15);
    draw_faults(random, options, false);
    options.faults.latency_us = static_cast<Time>(random.log_uniform(300, 20'000));
    options.partitions = static_cast<std::int32_t>(random.between(1, 4));
    options.address_partitions = static_cast<std::int32_t>(random.between(1, 2));
    options.instances = static_cast<int>(random.between(1, 4));
    options.session_timeout = random.between(kSecond, 8 * kSecond);
    options.duration = random.between(10 * kSecond, 30 * kSecond);
    options.traffic.duration = options.duration * 3 / 4;
    options.traffic.recipients = static_cast<std::size_t>(random.between(1, 12));
    options.traffic.messages = static_cast<std::size_t>(random.between(10, 80));
    options.traffic.suppressions = static_cast<std::size_t>(random.between(0, 20));
    if (options.faults.nights > 0) {
        options.traffic.replays = 0.9;  // of what the ledger may have forgotten by then
    }
    options.traffic.routes.clear();
    for (const auto& route : options.config.routes) {
        if (random.chance(0.6)) {
            options.traffic.routes.push_back(route.name);
        }
    }
    if (options.traffic.routes.empty()) {
        options.traffic.routes.push_back("keyed");
    }
    constexpr auto kEpilogues = static_cast<std::size_t>(Epilogue::AccountIsRefused);
    if (random.chance(0.5)) {
        options.epilogue = static_cast<Epilogue>(1 + random.below(kEpilogues));
    }
    if (options.epilogue == Epilogue::SteadySuppressions) {
        // The next question comes sooner than what it asks about, and no view is older than it may be.
        options.faults.input_delays = 0;
        options.faults.input_delay_us = 150 * kMillisecond;
    } else if (options.epilogue == Epilogue::LaneBacksOff) {
        options.faults.input_delays = 0;
    }
    draw_faults(random, options, true);
    return options;
}

}  // namespace postlane::sim
