#include "adapters/kafka/client.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <future>
#include <limits>
#include <thread>
#include <utility>

#include "adapters/kafka/handles.h"

namespace postlane::kafka {
namespace {

constexpr int kWarning = 4;
constexpr int kDebug = 7;
constexpr Millis kCloseWithin{5000};

std::string joined(const std::vector<std::string>& servers) {
    std::string text;
    for (const std::string& server : servers) {
        text += text.empty() ? server : "," + server;
    }
    return text;
}

// Nagle is off because librdkafka 2.0.2 leaves it on, which costs each transaction a delayed ack.
std::vector<Property> connection(const Config& config) {
    using enum Property::Force;
    return {
        {"bootstrap.servers", joined(config.kafka.bootstrap_servers), Fixed},
        {"client.id", "postlane", Default},
        {"socket.nagle.disable", "true", Default},
        {"socket.keepalive.enable", "true", Default},
        {"reconnect.backoff.max.ms", "1000", Default},
        {"log.connection.close", "false", Default},
    };
}

Result<void> set(rd_kafka_conf_t& conf, const std::string& name, const std::string& value,
                 bool secret) {
    std::array<char, 512> why{};
    if (rd_kafka_conf_set(&conf, name.c_str(), value.c_str(), why.data(), why.size()) ==
        RD_KAFKA_CONF_OK) {
        return {};
    }
    // librdkafka quotes the value it refuses.
    return fail(ErrorCode::Misconfigured,
                fmt::format("kafka.librdkafka.\"{}\": {}", name,
                            secret ? "librdkafka refuses the value (not shown: it is a secret)"
                                   : why.data()));
}

Result<void> apply(rd_kafka_conf_t& conf, const Config& config,
                   const std::vector<Property>& properties) {
    for (const auto& [name, value] : config.kafka.librdkafka) {
        const bool secret = config.kafka.librdkafka_secrets.contains(name);
        if (auto done = set(conf, name, value, secret); !done) {
            return done;
        }
    }
    for (const Property& property : properties) {
        const bool given = config.kafka.librdkafka.contains(property.name);
        if (given && property.force == Property::Force::Default) {
            continue;
        }
        if (auto done = set(conf, property.name, property.value, false); !done) {
            return done;
        }
    }
    return {};
}

// "Unrecognized sasl.oauthbearer.config beginning at: …" quotes a credential.
std::string_view without_credentials(std::string_view text) {
    constexpr std::string_view kQuoting = "sasl.oauthbearer.config";
    return text.substr(0, text.find(' ', text.find(kQuoting)));
}

}  // namespace

std::optional<std::string> refused_property(const std::string& name, const std::string& value) {
    if (name == "plugin.library.paths") {
        return std::nullopt;  // to ask would load them
    }
    const Conf conf(rd_kafka_conf_new());
    std::array<char, 512> why{};
    return rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), why.data(), why.size()) ==
                   RD_KAFKA_CONF_OK
               ? std::nullopt
               : std::optional<std::string>(why.data());
}

std::optional<std::string> refused_settings(const Config& config) {
    const auto client = Client::create(Kind::Consumer, config, {}, {});
    return client ? std::nullopt : std::optional<std::string>(client.error().detail);
}

struct Client::State {
    LogSink log;
    Callbacks callbacks;

    static State& of(void* opaque) { return *static_cast<State*>(opaque); }
};

void Client::on_log(const rd_kafka_t* handle, int level, const char* facility, const char* text) {
    if (handle == nullptr) {
        return;
    }
    const State& state = State::of(rd_kafka_opaque(handle));
    // "property X is a consumer property and will be ignored by this producer": the passthrough
    // properties go to every handle, so this says nothing.
    const int real_level = std::string_view(facility) == "CONFWARN" ? kDebug : level;
    if (state.log) {
        state.log(real_level, fmt::format("librdkafka {} {}: {}", rd_kafka_name(handle), facility,
                                          without_credentials(text)));
    }
}

void Client::install(rd_kafka_conf_t& conf, State& state) {
    rd_kafka_conf_set_opaque(&conf, &state);
    rd_kafka_conf_set_log_cb(&conf, &Client::on_log);
    if (state.callbacks.delivered) {
        rd_kafka_conf_set_dr_msg_cb(
            &conf, [](rd_kafka_t*, const rd_kafka_message_t* message, void* opaque) {
                State::of(opaque).callbacks.delivered(*message);
            });
    }
    if (state.callbacks.rebalanced) {
        rd_kafka_conf_set_rebalance_cb(
            &conf, [](rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t* list,
                      void* opaque) { State::of(opaque).callbacks.rebalanced(code, list); });
    }
    if (state.callbacks.failed) {
        rd_kafka_conf_set_error_cb(&conf, [](rd_kafka_t*, int code, const char* why, void* opaque) {
            State::of(opaque).callbacks.failed(static_cast<rd_kafka_resp_err_t>(code), why);
        });
    }
    if (state.callbacks.offsets_committed) {
        rd_kafka_conf_set_offset_commit_cb(
            &conf, [](rd_kafka_t*, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t*,
                      void* opaque) { State::of(opaque).callbacks.offsets_committed(code); });
    }
}

Result<std::unique_ptr<Client>> Client::create(Kind kind, const Config& config,
                                               const std::vector<Property>& properties, LogSink log,
                                               Callbacks callbacks) {
    Conf conf(rd_kafka_conf_new());
    auto all = connection(config);
    all.insert(all.end(), properties.begin(), properties.end());
    if (auto done = apply(*conf, config, all); !done) {
        return tl::unexpected(done.error());
    }
    auto state = std::make_shared<State>(State{std::move(log), std::move(callbacks)});
    install(*conf, *state);
    std::array<char, 512> why{};
    const auto type = kind == Kind::Producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER;
    rd_kafka_t* const handle = rd_kafka_new(type, conf.get(), why.data(), why.size());
    if (handle == nullptr) {
        return fail(ErrorCode::Misconfigured,
                    fmt::format("librdkafka refuses the settings of [kafka]: {}", why.data()));
    }
    static_cast<void>(conf.release());  // the handle owns it now
    return std::unique_ptr<Client>(new Client(handle, std::move(state)));
}

Client::Client(rd_kafka_t* handle, std::shared_ptr<State> state)
    : handle_(handle), state_(std::move(state)) {}

Client::~Client() {
    close(kCloseWithin);
}

rd_kafka_topic_t* Client::topic(const std::string& name) {
    const std::lock_guard lock(topics_mutex_);
    rd_kafka_topic_t*& topic = topics_[name];
    if (topic == nullptr) {
        topic = rd_kafka_topic_new(handle_, name.c_str(), nullptr);
    }
    return topic;
}

bool Client::close(Millis within) {
    if (handle_ == nullptr) {
        return true;
    }
    for (const auto& [name, topic] : topics_) {
        if (topic != nullptr) {
            rd_kafka_topic_destroy(topic);
        }
    }
    topics_.clear();
    const std::string name = rd_kafka_name(handle_);
    rd_kafka_t* const handle = std::exchange(handle_, nullptr);
    std::promise<void> destroyed;
    const std::future<void> finished = destroyed.get_future();
    // The thread holds the state: callbacks of a handle that is left behind still reach it.
    std::thread closer([handle, state = state_, done = std::move(destroyed)]() mutable {
        rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        done.set_value();
    });
    if (finished.wait_for(within) == std::future_status::ready) {
        closer.join();
        return true;
    }
    closer.detach();
    log(kWarning,
        fmt::format("{} did not close within {} ms and is left behind", name, within.count()));
    return false;
}

void Client::log(int level, std::string_view text) const {
    if (state_->log) {
        state_->log(level, text);
    }
}

std::string describe(rd_kafka_resp_err_t code) {
    return fmt::format("{} ({})", rd_kafka_err2str(code), rd_kafka_err2name(code));
}

bool is_denial(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED ||
           code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
}

int timeout_ms(Millis timeout) {
    return static_cast<int>(
        std::clamp<std::int64_t>(timeout.count(), 0, std::numeric_limits<int>::max()));
}

}  // namespace postlane::kafka
