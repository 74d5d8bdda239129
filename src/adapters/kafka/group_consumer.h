// Membership in the consumer group of the sends topic, and nothing else: no record is ever fetched
// through it. It tells which partitions are ours; offsets committed through it only show the lag.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "adapters/kafka/client.h"
#include "postlane/config.h"
#include "postlane/error.h"
#include "postlane/types.h"

namespace postlane {

// Called from GroupConsumer::poll and close, on the thread that calls them.
class GroupListener {
public:
    virtual ~GroupListener() = default;
    // All partitions that are ours now; none if there are more members than partitions.
    virtual void on_assigned(const std::vector<PartitionId>& partitions) = 0;
    // `lost`: others may own them already, so discard everything and commit nothing. Otherwise they
    // stay ours until finish_revoke(): the group waits for it (at most max.poll.interval.ms).
    // Either way nothing is assigned again before finish_revoke(), which may be called inside this
    // call: call it when nothing of the old assignment runs any more. poll() must go on meanwhile.
    virtual void on_revoked(const std::vector<PartitionId>& partitions, bool lost) = 0;
    // Membership is over for good: another process uses our group.instance.id (Fenced), or the
    // group is wrong (Misconfigured) or not permitted (Denied). Make an end.
    virtual void on_fatal(const Error& error) = 0;
};

// All calls on one thread.
//
// A static member (group.instance.id) may be fenced by itself: when a broker goes away between its request to join and
// the answer, it asks again, the group takes that for another process of the same name, and librdkafka makes the answer
// to the first request a fatal error. So once a connection has just broken, fencing means joining anew, a few times.
class GroupConsumer {
public:
    static Result<std::unique_ptr<GroupConsumer>> create(const Config& config,
                                                         GroupListener& listener,
                                                         kafka::LogSink log);
    ~GroupConsumer();
    GroupConsumer(const GroupConsumer&) = delete;
    GroupConsumer& operator=(const GroupConsumer&) = delete;

    // Serves the membership for at most `timeout`. Call it at least once a second.
    void poll(Millis timeout);

    // What on_revoked announced is drained or discarded: let the group go on.
    void finish_revoke();

    // Shows how far each partition has come. Fire and forget, but for this:
    void commit_async(const std::map<PartitionId, Offset>& next_offsets);
    // Whether a commit has failed since the last call.
    [[nodiscard]] bool take_commit_failure() { return std::exchange(commit_failed_, false); }

    // Begins leaving the group (a static member keeps its place until its session ends). poll()
    // goes on until closed(): it brings the last on_revoked, which needs finish_revoke() as ever.
    void start_close();
    [[nodiscard]] bool closed() const;

private:
    GroupConsumer(const Config& config, GroupListener& listener, kafka::LogSink log);
    Result<void> open();
    void rebalanced(rd_kafka_resp_err_t code, const rd_kafka_topic_partition_list_t& list);
    void take_error(const rd_kafka_message_t& message);
    void fatal(const Error& error);
    [[nodiscard]] bool broken_lately(BootClock::duration within) const;
    [[nodiscard]] bool may_join_anew();
    void join_anew();

    const Config& config_;
    GroupListener& listener_;
    kafka::LogSink log_;
    bool revoking_ = false;
    bool closing_ = false;
    bool fatal_told_ = false;
    bool commit_failed_ = false;
    std::vector<PartitionId> assigned_;
    BootInstant broken_at_{};         // when a connection broke last
    std::vector<BootInstant> joins_;  // anew, the latest last
    enum class Anew : std::uint8_t { No, AfterRevoke, AtNextPoll } anew_ = Anew::No;
    std::unique_ptr<kafka::Client> client_;  // last: its callbacks use the members above
};

}  // namespace postlane
