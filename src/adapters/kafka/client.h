// One librdkafka handle: how it is made from the configuration, and how it is closed within a
// deadline.
#pragma once

#include <librdkafka/rdkafka.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "postlane/config.h"
#include "postlane/error.h"
#include "postlane/types.h"

namespace postlane::kafka {

// Called by librdkafka's own threads, so it must be thread-safe and quick. Levels are syslog's
// (3 error, 4 warning, 6 info, 7 debug). The text never holds a credential.
using LogSink = std::function<void(int level, std::string_view text)>;

enum class Kind : std::uint8_t { Producer, Consumer };

struct Property {
    std::string name;
    std::string value;
    // Default: [kafka.librdkafka] may say otherwise. Fixed: postlane depends on it.
    enum class Force : std::uint8_t { Default, Fixed } force = Force::Fixed;
};

// Served by whichever thread polls the handle. An empty one is not registered.
struct Callbacks {
    std::function<void(const rd_kafka_message_t&)> delivered;
    std::function<void(rd_kafka_resp_err_t, rd_kafka_topic_partition_list_t*)> rebalanced;
    std::function<void(rd_kafka_resp_err_t)> offsets_committed;
    // Of the handle as a whole, such as a connection that broke. Without it librdkafka logs them.
    std::function<void(rd_kafka_resp_err_t, const char* why)> failed;
};

// Why librdkafka refuses the property, in its words, which may quote the value; nothing: it takes it.
[[nodiscard]] std::optional<std::string> refused_property(const std::string& name,
                                                          const std::string& value);

// The same of all settings of [kafka] together: librdkafka judges them when it makes a handle, for which it reads the
// files that they name. Never shows the value of a secret.
[[nodiscard]] std::optional<std::string> refused_settings(const Config& config);

class Client {
public:
    // Misconfigured if librdkafka refuses a property; the error never shows the value of a secret.
    static Result<std::unique_ptr<Client>> create(Kind kind, const Config& config,
                                                  const std::vector<Property>& properties,
                                                  LogSink log, Callbacks callbacks = {});
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    [[nodiscard]] rd_kafka_t* get() const noexcept { return handle_; }
    // The one handle of that topic, kept until the client closes. Any thread.
    [[nodiscard]] rd_kafka_topic_t* topic(const std::string& name);

    // Destroys the handle. False if librdkafka did not finish in time (its known hangs: a broker
    // that vanished during close): the handle is left behind, and the process should end by _exit.
    bool close(Millis within);

    void log(int level, std::string_view text) const;

private:
    struct State;
    Client(rd_kafka_t* handle, std::shared_ptr<State> state);
    static void on_log(const rd_kafka_t* handle, int level, const char* facility, const char* text);
    static void install(rd_kafka_conf_t& conf, State& state);

    rd_kafka_t* handle_;
    // Outlives the handle even if the handle is left behind.
    std::shared_ptr<State> state_;
    std::mutex topics_mutex_;
    std::map<std::string, rd_kafka_topic_t*> topics_;
};

// "Broker: Not leader for partition" and the like.
std::string describe(rd_kafka_resp_err_t code);
// A permission (ACL) is missing.
[[nodiscard]] bool is_denial(rd_kafka_resp_err_t code);
// What a request that failed for good means to whoever made it.
[[nodiscard]] inline ErrorCode denied_or(rd_kafka_resp_err_t code, ErrorCode otherwise) {
    return is_denial(code) ? ErrorCode::Denied : otherwise;
}

// Milliseconds for librdkafka's int parameters; negative becomes 0.
int timeout_ms(Millis timeout);

}  // namespace postlane::kafka
