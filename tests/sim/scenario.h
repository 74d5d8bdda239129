// Short words for the named scenarios.
#pragma once

#include <gtest/gtest.h>

#include "sim/checkers.h"
#include "sim/world.h"

namespace postlane::sim {

inline constexpr Time kQuiet = 400 * kSecond;

// A named scenario is a test, and the mutants' table runs it with a mechanism taken away.
using Scenario = void (*)();
inline std::map<std::string, Scenario>& scenarios() {
    static std::map<std::string, Scenario> known;
    return known;
}
inline Mutant mutant_of_scenarios = Mutant::None;

#define SIM_SCENARIO(suite, name)                            \
    static void suite##name();                               \
    [[maybe_unused]] static const bool suite##name##_known = \
        scenarios().emplace(#name, suite##name).second;      \
    TEST(suite, name) {                                      \
        suite##name();                                       \
    }                                                        \
    static void suite##name()

inline Options scenario_options(std::uint64_t seed, int instances, std::int32_t partitions = 1) {
    Options options = calm_options(seed);
    options.instances = instances;
    options.partitions = partitions;
    options.mutant = mutant_of_scenarios;
    return options;
}
inline Options one_instance(std::uint64_t seed) {
    return scenario_options(seed, 1);
}
inline Options two_instances(std::uint64_t seed) {
    return scenario_options(seed, 2);
}

using Words = std::vector<std::string>;

struct Mail {
    std::string recipient = "r1";
    std::string message_id = "m1";
    std::string route = "keyed";
    std::optional<SequenceRef> sequence = std::nullopt;
    std::string category = "marketing";
};

inline std::size_t send(World& world, const Mail& mail, const std::string& extra = "") {
    SendSpec spec;
    spec.recipient = mail.recipient;
    spec.address = mail.recipient + "@example.com";
    spec.message_id = mail.message_id;
    spec.category = mail.category;
    spec.route = mail.route;
    spec.sequence = mail.sequence;
    const std::size_t number = world.traffic().add_send(std::move(spec), extra);
    (void)world.traffic().produce_send(number);
    return number;
}

inline std::size_t suppress(World& world, const std::string& recipient,
                            TransactionId transaction = 0,
                            SuppressionReason reason = SuppressionReason::Complaint) {
    SuppressionSpec spec;
    spec.whom = recipient;
    spec.reason = reason;
    spec.occurred_at = world.env().broker.time();
    const std::size_t number = world.traffic().add_suppression(std::move(spec));
    (void)world.traffic().produce_suppression(number, transaction);
    return number;
}

// "sent/accepted" for each outcome of the message that no duplicate has, in order.
inline std::vector<std::string> outcomes_of(World& world, const std::string& message_id) {
    std::vector<std::string> found;
    const Broker& broker = world.env().broker;
    const auto text_after = [](const std::string& json, const std::string& name) {
        const auto at = json.find("\"" + name + "\":\"");
        const auto begin = at + name.size() + 4;
        return at == std::string::npos ? std::string()
                                       : json.substr(begin, json.find('"', begin) - begin);
    };
    for (PartitionId partition = 0; partition < broker.partitions(Topic::Outcomes); ++partition) {
        for (const LogRecord& record : broker.log(Topic::Outcomes, partition)) {
            if (broker.is_data(record) && text_after(*record.value, "message_id") == message_id) {
                found.push_back(text_after(*record.value, "outcome") + "/" +
                                text_after(*record.value, "reason"));
            }
        }
    }
    return found;
}

inline std::size_t executions_of(World& world, std::size_t spec) {
    std::size_t count = 0;
    for (const Execution& execution : world.esp().executions()) {
        count += execution.tag == "T" + std::to_string(spec) ? 1U : 0U;
    }
    return count;
}

inline std::size_t requests_of(World& world, std::size_t spec) {
    std::size_t count = 0;
    for (const Esp::Request& request : world.esp().requests()) {
        count += request.tag == "T" + std::to_string(spec) ? 1U : 0U;
    }
    return count;
}

// The machine whose instance owns the only partition.
inline int owner_of_all(World& world) {
    return world.owner(0)->machine().number;
}

inline bool handed_over(World& world, std::size_t spec) {
    return world.run_until(30 * kSecond, [&] { return requests_of(world, spec) > 0; });
}

inline std::function<Esp::Treatment(std::size_t, const std::string&)> first_then_accept(
    Esp::Treatment first) {
    auto done = std::make_shared<bool>(false);
    return [=](std::size_t, const std::string&) {
        return std::exchange(*done, true) ? Esp::Treatment::Accept : first;
    };
}

inline bool running(World& world) {
    return world.run_until(60 * kSecond, [&] {
        for (int number = 0; number < world.options().instances; ++number) {
            if (world.instance(number) == nullptr) {
                return false;
            }
        }
        for (PartitionId partition = 0; partition < world.options().partitions; ++partition) {
            Instance* owner = world.owner(partition);
            if (owner == nullptr || owner->partition(partition) == nullptr ||
                !owner->all_running()) {
                return false;
            }
        }
        return world.group().stable();
    });
}

// Everything ends and no promise was broken.
inline void expect_good_end(World& world) {
    world.heal();
    EXPECT_TRUE(world.run_until_quiet(kQuiet)) << world.still_busy();
    EXPECT_EQ(report(world, true), "");
}

}  // namespace postlane::sim
