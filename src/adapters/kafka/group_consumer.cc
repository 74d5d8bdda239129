#include "adapters/kafka/group_consumer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <utility>

#include "adapters/kafka/clock.h"
#include "adapters/kafka/handles.h"

namespace postlane {
namespace {

using kafka::Client;
using kafka::Property;

constexpr int kError = 3;
constexpr int kWarning = 4;
constexpr int kDebug = 7;
constexpr Millis kHeartbeatMax{3000};
constexpr Millis kPollIntervalMin{60'000};
// Joining anew after this member was fenced: only so soon after a connection broke, and so often in so long.
constexpr std::chrono::minutes kBrokenLately{2};
constexpr std::size_t kJoinsMax = 3;
constexpr std::chrono::minutes kJoinsCountFor{10};
constexpr std::chrono::seconds kAwayFor{30};

std::vector<PartitionId> partitions_of(const rd_kafka_topic_partition_list_t& list) {
    std::vector<PartitionId> partitions;
    for (const auto& entry : std::span(list.elems, static_cast<std::size_t>(list.cnt))) {
        partitions.push_back(entry.partition);
    }
    std::sort(partitions.begin(), partitions.end());
    return partitions;
}

std::vector<Property> member_properties(const Config& config) {
    using enum Property::Force;
    const Millis session = config.kafka.session_timeout;
    // The group waits so long for a member that drains; then it goes on without it.
    const Millis interval =
        std::max({kPollIntervalMin, session, config.dispatch.drain_timeout + Millis(30'000)});
    std::vector<Property> properties{
        {"group.id", config.kafka.group_id, Fixed},
        {"enable.auto.commit", "false", Fixed},
        {"enable.auto.offset.store", "false", Fixed},
        {"session.timeout.ms", std::to_string(session.count()), Fixed},
        {"heartbeat.interval.ms", std::to_string(std::min(kHeartbeatMax, session / 3).count()),
         Default},
        {"max.poll.interval.ms", std::to_string(interval.count()), Default},
        {"partition.assignment.strategy", "range", Default},
        {"allow.auto.create.topics", "false", Fixed},
        // Else a connection that closes is not told to the error callback. librdkafka also logs it, as information.
        {"log.connection.close", "true", Default},
    };
    if (config.kafka.group_instance_id) {
        properties.push_back({"group.instance.id", *config.kafka.group_instance_id, Fixed});
    }
    return properties;
}

bool is_about_a_connection(rd_kafka_resp_err_t code) {
    return code == RD_KAFKA_RESP_ERR__TRANSPORT || code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN ||
           code == RD_KAFKA_RESP_ERR__RESOLVE || code == RD_KAFKA_RESP_ERR__TIMED_OUT ||
           code == RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE;
}

}  // namespace

Result<std::unique_ptr<GroupConsumer>> GroupConsumer::create(const Config& config,
                                                             GroupListener& listener,
                                                             kafka::LogSink log) {
    const auto strategy = config.kafka.librdkafka.find("partition.assignment.strategy");
    if (strategy != config.kafka.librdkafka.end() &&
        strategy->second.find("cooperative") != std::string::npos) {
        return fail(ErrorCode::Misconfigured,
                    "kafka.librdkafka.\"partition.assignment.strategy\": cooperative assignors are "
                    "not supported; use \"range\" or \"roundrobin\" (all members the same)");
    }
    std::unique_ptr<GroupConsumer> made(new GroupConsumer(config, listener, std::move(log)));
    if (auto opened = made->open(); !opened) {
        return tl::unexpected(opened.error());
    }
    return made;
}

GroupConsumer::GroupConsumer(const Config& config, GroupListener& listener, kafka::LogSink log)
    : config_(config), listener_(listener), log_(std::move(log)) {}

GroupConsumer::~GroupConsumer() = default;

Result<void> GroupConsumer::open() {
    kafka::Callbacks callbacks;
    callbacks.rebalanced = [this](rd_kafka_resp_err_t code,
                                  const rd_kafka_topic_partition_list_t* list) {
        rebalanced(code, *list);
    };
    callbacks.offsets_committed = [this](rd_kafka_resp_err_t code) {
        commit_failed_ = code != RD_KAFKA_RESP_ERR_NO_ERROR;
        if (code != RD_KAFKA_RESP_ERR_NO_ERROR && code != RD_KAFKA_RESP_ERR__NO_OFFSET && log_) {
            log_(kDebug, fmt::format("committing group offsets (for lag monitoring only): {}",
                                     kafka::describe(code)));
        }
    };
    // librdkafka logs the cause itself.
    callbacks.failed = [this](rd_kafka_resp_err_t code, const char* why) {
        if (is_about_a_connection(code)) {
            broken_at_ = kafka::boot_now();
        } else if (log_) {
            log_(kWarning, fmt::format("group {}: {}", config_.kafka.group_id, why));
        }
    };
    auto client = Client::create(kafka::Kind::Consumer, config_, member_properties(config_), log_,
                                 std::move(callbacks));
    if (!client) {
        return tl::unexpected(client.error());
    }
    client_ = std::move(*client);
    rd_kafka_poll_set_consumer(client_->get());
    const auto topics = kafka::partition_list();
    rd_kafka_topic_partition_list_add(topics.get(), config_.topics.sends.c_str(),
                                      RD_KAFKA_PARTITION_UA);
    if (const auto code = rd_kafka_subscribe(client_->get(), topics.get());
        code != RD_KAFKA_RESP_ERR_NO_ERROR) {
        return fail(ErrorCode::Misconfigured,
                    fmt::format("cannot subscribe to {} as group {}: {}", config_.topics.sends,
                                config_.kafka.group_id, kafka::describe(code)));
    }
    return {};
}

void GroupConsumer::rebalanced(rd_kafka_resp_err_t code,
                               const rd_kafka_topic_partition_list_t& list) {
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS) {
        // Accepted, but nothing is assigned to the handle, so it fetches nothing.
        const auto nothing = kafka::partition_list();
        rd_kafka_assign(client_->get(), nothing.get());
        revoking_ = false;
        assigned_ = partitions_of(list);
        listener_.on_assigned(assigned_);
        return;
    }
    const bool lost = rd_kafka_assignment_lost(client_->get()) != 0;
    if (code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS && log_) {
        log_(kError, fmt::format("group {}: rebalance failed: {}", config_.kafka.group_id,
                                 kafka::describe(code)));
    }
    revoking_ = true;
    assigned_.clear();
    listener_.on_revoked(partitions_of(list), lost);
}

void GroupConsumer::finish_revoke() {
    const bool revoking = std::exchange(revoking_, false);
    if (anew_ == Anew::AfterRevoke) {
        anew_ = Anew::AtNextPoll;
    } else if (revoking) {
        rd_kafka_assign(client_->get(), nullptr);
    }
}

bool GroupConsumer::broken_lately(BootClock::duration within) const {
    return broken_at_ != BootInstant{} && kafka::boot_now() - broken_at_ < within;
}

bool GroupConsumer::may_join_anew() {
    const BootInstant now = kafka::boot_now();
    std::erase_if(joins_, [&](BootInstant at) { return now - at > kJoinsCountFor; });
    return broken_lately(kBrokenLately) && joins_.size() < kJoinsMax;
}

// The handle is of no use any more, and what it owned is lost. If we are leaving, that is the end of it.
void GroupConsumer::join_anew() {
    if (log_ && !closing_) {
        log_(kWarning, fmt::format("group {}: fenced right after a broker went away, probably by "
                                   "this member's own first request: joining anew",
                                   config_.kafka.group_id));
    }
    joins_.push_back(kafka::boot_now());
    anew_ = Anew::AfterRevoke;
    revoking_ = true;
    listener_.on_revoked(std::exchange(assigned_, {}), true);
}

void GroupConsumer::poll(Millis timeout) {
    if (anew_ == Anew::AtNextPoll && !closing_) {
        anew_ = Anew::No;
        client_.reset();
        if (auto opened = open(); !opened) {
            fatal(opened.error());
            return;
        }
    }
    const kafka::Message message(
        rd_kafka_consumer_poll(client_->get(), kafka::timeout_ms(timeout)));
    if (message && message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        take_error(*message);
    }
}

void GroupConsumer::take_error(const rd_kafka_message_t& message) {
    switch (static_cast<int>(message.err)) {
        case RD_KAFKA_RESP_ERR__FATAL: {
            std::array<char, 512> text{};
            const auto code = rd_kafka_fatal_error(client_->get(), text.data(), text.size());
            const bool fenced = code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
            if (anew_ != Anew::No) {
                return;
            }
            if (fenced && (closing_ || may_join_anew())) {
                join_anew();
                return;
            }
            fatal(
                {fenced ? ErrorCode::Fenced : ErrorCode::Misconfigured,
                 fmt::format("group {}: {}{}", config_.kafka.group_id, text.data(),
                             fenced ? ". Two processes use the same kafka.group_instance_id: give "
                                      "each its own."
                                    : "")});
            return;
        }
        case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        case RD_KAFKA_RESP_ERR_INCONSISTENT_GROUP_PROTOCOL:
        case RD_KAFKA_RESP_ERR_INVALID_SESSION_TIMEOUT:
        case RD_KAFKA_RESP_ERR_INVALID_GROUP_ID:
            fatal({kafka::denied_or(message.err, ErrorCode::Misconfigured),
                   fmt::format("group {}: {}", config_.kafka.group_id,
                               rd_kafka_message_errstr(&message))});
            return;
        default:
            if (log_) {
                log_(kWarning, fmt::format("group {}: {}", config_.kafka.group_id,
                                           rd_kafka_message_errstr(&message)));
            }
    }
}

void GroupConsumer::fatal(const Error& error) {
    if (!std::exchange(fatal_told_, true)) {
        listener_.on_fatal(error);
    }
}

void GroupConsumer::commit_async(const std::map<PartitionId, Offset>& next_offsets) {
    // While leaving, librdkafka waits for the answer, which a coordinator that is away does not give.
    if (next_offsets.empty() || anew_ != Anew::No || (closing_ && broken_lately(kAwayFor))) {
        return;
    }
    const auto list = kafka::partition_list(static_cast<int>(next_offsets.size()));
    for (const auto& [partition, offset] : next_offsets) {
        kafka::add(*list, config_.topics.sends, partition, offset);
    }
    rd_kafka_commit(client_->get(), list.get(), 1);
}

void GroupConsumer::start_close() {
    if (std::exchange(closing_, true) || anew_ != Anew::No) {
        return;
    }
    const kafka::Queue queue(rd_kafka_queue_get_consumer(client_->get()));
    const kafka::KafkaError error(rd_kafka_consumer_close_queue(client_->get(), queue.get()));
    if (error && log_) {
        log_(kWarning, fmt::format("leaving group {}: {}", config_.kafka.group_id,
                                   rd_kafka_error_string(error.get())));
    }
}

bool GroupConsumer::closed() const {
    return closing_ && (anew_ == Anew::AtNextPoll ||
                        (anew_ == Anew::No && rd_kafka_consumer_closed(client_->get()) != 0));
}

}  // namespace postlane
