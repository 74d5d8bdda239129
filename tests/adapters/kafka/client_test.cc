#include "adapters/kafka/client.h"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <future>
#include <mutex>

#include "adapters/kafka/broker.h"

namespace postlane::kafka {
namespace {

Config unreachable() {
    Config config;
    config.kafka.bootstrap_servers = {"127.0.0.1:1"};
    return config;
}

TEST(Client, ARefusedPropertyIsNamedButASecretIsNotShown) {
    Config config = unreachable();
    config.kafka.librdkafka = {{"security.protocol", "hunter2"}};
    const auto shown = Client::create(Kind::Consumer, config, {}, {});
    ASSERT_FALSE(shown.has_value());
    EXPECT_EQ(shown.error().code, ErrorCode::Misconfigured);
    EXPECT_NE(shown.error().detail.find("security.protocol"), std::string::npos);
    EXPECT_NE(shown.error().detail.find("hunter2"), std::string::npos) << shown.error().detail;

    config.kafka.librdkafka_secrets = {"security.protocol"};
    const auto hidden = Client::create(Kind::Consumer, config, {}, {});
    ASSERT_FALSE(hidden.has_value());
    EXPECT_NE(hidden.error().detail.find("security.protocol"), std::string::npos);
    EXPECT_EQ(hidden.error().detail.find("hunter2"), std::string::npos) << hidden.error().detail;
}

TEST(Client, TheConfigurationOverridesDefaultsButNotWhatPostlaneNeeds) {
    Config config = unreachable();
    config.kafka.librdkafka = {{"client.id", "mine"}, {"linger.ms", "7"}};
    const auto client =
        Client::create(Kind::Producer, config, {{"linger.ms", "9", Property::Force::Fixed}}, {});
    ASSERT_TRUE(client.has_value()) << client.error().detail;
    const auto value_of = [&](const char* name) {
        std::array<char, 64> value{};
        std::size_t size = value.size();
        rd_kafka_conf_get(rd_kafka_conf((*client)->get()), name, value.data(), &size);
        return std::string(value.data());
    };
    EXPECT_EQ(value_of("client.id"), "mine");
    EXPECT_EQ(value_of("linger.ms"), "9");
    EXPECT_EQ(value_of("socket.nagle.disable"), "true");
}

TEST(Client, LogsReachTheSink) {
    std::mutex mutex;
    std::string text;
    const auto client =
        Client::create(Kind::Producer, unreachable(), {}, [&](int, std::string_view line) {
            const std::lock_guard lock(mutex);
            text += line;
        });
    ASSERT_TRUE(client.has_value());
    EXPECT_TRUE(test::eventually([] {},
                                 [&] {
                                     const std::lock_guard lock(mutex);
                                     return text.find("127.0.0.1:1") != std::string::npos;
                                 }));
    EXPECT_TRUE((*client)->close(Millis(5000)));
}

TEST(Client, ClosesWithinTheDeadlineOrSaysThatItDidNot) {
    std::promise<void> release;
    std::shared_future<void> released = release.get_future().share();
    std::atomic<bool> stuck{false};
    std::atomic<int> warnings{0};
    // One of librdkafka's threads is stuck, so destroy cannot finish.
    auto client = Client::create(Kind::Consumer, unreachable(), {},
                                 [&, released](int, std::string_view text) {
                                     if (text.find("did not close") != std::string_view::npos) {
                                         ++warnings;
                                     } else if (!stuck.exchange(true)) {
                                         released.wait();
                                     }
                                 })
                      .value();
    ASSERT_TRUE(test::eventually([] {}, [&] { return stuck.load(); }));
    EXPECT_FALSE(client->close(Millis(200)));
    EXPECT_EQ(warnings, 1);
    release.set_value();
}

}  // namespace
}  // namespace postlane::kafka
