// From ready to the HTTP side: choose a provider, reserve a slot, render, ask the core, hand over after the commit.
#include <algorithm>

#include "codec/encode.h"
#include "codec/render.h"
#include "postlane/crash_point.h"
#include "runtime/partition_runner.h"

namespace postlane {
namespace {

constexpr std::size_t kCandidates = 32;
constexpr Millis kExpiryCheckInterval{1'000};

}  // namespace

bool PartitionRunner::decide_attempts(const Now& now) {
    const BootInstant fresh = fresh_since();
    const std::size_t departures_before = departures_.size();
    bool progress = true;
    while (progress && !stopping_ && !failure()) {
        progress = false;
        for (const ReadyItem& item : ready_.candidates(blocked_routes_, fresh, kCandidates)) {
            if (blocked_routes_.contains(item.route) || ready_.is_busy(item.recipient)) {
                continue;
            }
            progress = true;
            if (try_attempt(item, now) == Tried::RouteBlocked) {
                blocked_routes_.insert(item.route);
            }
        }
    }
    if (const BootInstant latest = ready_.latest_ready_since(); latest > fresh && !stopping_) {
        wants_fresh_since_ = std::max(wants_fresh_since_, latest);
    }
    return departures_.size() > departures_before;
}

PartitionRunner::Tried PartitionRunner::try_attempt(const ReadyItem& item, const Now& now) {
    view_.focus(item.recipient, now.broker);
    const MessageRow* const row = view_.find_message(item.message_id);
    const bool attemptable =
        row && (row->state == MessageState::Ready || row->state == MessageState::Scheduled ||
                row->state == MessageState::Retrying);
    if (!attemptable || row->wake_at > now.broker) {
        ready_.remove(item.recipient, item.message_id);
        if (const auto wake = row ? wake_of(item.recipient, item.message_id, *row) : std::nullopt) {
            note_wake(*wake);  // broker time went back a little: not due after all
        }
        return Tried::Done;
    }
    const Choice choice = choose_provider(*row, row->payload->value.size(), now);
    const MessageId id = item.message_id;
    if (!choice.route_known) {  // no longer configured: it can only wait for a restart, or expire
        if (now.broker >= row->expires_at) {
            run(item.recipient, Woke{id}, now);
        } else {
            step_aside(item.recipient, id, *row, row->expires_at);
        }
        return Tried::Done;
    }
    if (!choice.grant.granted()) {
        // In doubt, it must wait for its provider; the rest of the route may take another one meanwhile.
        if (row->maybe_executed && choice.grant.why == Grant::Why::CircuitOpen &&
            choice.grant.until > now.boot) {
            const auto wait = std::chrono::ceil<Millis>(choice.grant.until - now.boot);
            step_aside(item.recipient, id, *row, now.broker + wait);
            return Tried::Done;
        }
        return Tried::RouteBlocked;
    }
    if (item.event) {
        attempt(item, *row, *item.event, choice, now);
        return Tried::Done;
    }
    if (const auto event = stored_event(item.recipient, *row)) {
        attempt(item, *row, **event, choice, now);
    } else {
        flow_.give_back(choice.grant, now.boot);
        run(item.recipient, PayloadUnreadable{id, event.error()}, now);
    }
    return Tried::Done;
}

// A later provider only after a definite rejection or an open circuit, never while in doubt.
PartitionRunner::Choice PartitionRunner::choose_provider(const MessageRow& row, std::size_t bytes,
                                                         const Now& now) {
    Choice choice;
    const auto index_of = [&](const std::string& name) {
        const auto found =
            std::find_if(config_.providers.begin(), config_.providers.end(),
                         [&](const config::Provider& provider) { return provider.name == name; });
        return static_cast<std::size_t>(found - config_.providers.begin());
    };
    if (row.maybe_executed && row.intent) {
        choice.provider = index_of(row.intent->provider);
        choice.route_known = choice.provider < config_.providers.size();
        if (choice.route_known) {
            choice.grant = flow_.try_acquire(choice.provider, bytes, now.boot, waiter_);
        }
        return choice;
    }
    const config::Route* route = config_.find_route(row.route);
    choice.route_known = route != nullptr;
    for (std::size_t at = row.route_position; route != nullptr && at < route->providers.size();
         ++at) {
        choice.provider = index_of(route->providers[at]);
        choice.grant = flow_.try_acquire(choice.provider, bytes, now.boot, waiter_);
        if (choice.grant.why != Grant::Why::CircuitOpen) {
            break;
        }
    }
    const bool timed =
        choice.grant.why == Grant::Why::RateLimited || choice.grant.why == Grant::Why::CircuitOpen;
    if (timed && (blocked_until_ == BootInstant{} || choice.grant.until < blocked_until_)) {
        blocked_until_ = choice.grant.until;
    }
    return choice;
}

void PartitionRunner::attempt(const ReadyItem& item, const MessageRow& row, const SendEvent& event,
                              const Choice& choice, const Now& now) {
    const config::Provider& provider = config_.providers[choice.provider];
    const config::Route* route = config_.find_route(row.route);
    static const config::Route kNoRoute{};
    auto request = render(event, provider, route != nullptr ? *route : kNoRoute,
                          idempotency_key(item.recipient, item.message_id));
    const MessageId id = item.message_id;
    const RecipientId recipient = item.recipient;
    if (!request) {
        flow_.give_back(choice.grant, now.boot);
        run(recipient, RenderFailed{id, provider}, now);
        return;
    }
    Departure departure;
    departure.attempt = registry_.next();
    departure.provider = choice.provider;
    departure.grant = choice.grant;
    departure.request = *std::move(request);
    // Before the core looks at the suppressions: whatever is applied from here on, the last check sees.
    departure.guard = std::make_shared<DispatchGuard>(guard_, addresses_, recipient, event.address,
                                                      config_.suppression.max_staleness);
    const Hash128 hash = request_hash(departure.request);
    const AttemptId attempt_id = departure.attempt;
    departing_ = std::move(departure);
    run(recipient, AttemptDue{id, event, provider, attempt_id, hash}, now);
    if (departing_) {  // the core ended it instead
        flow_.give_back(departing_->grant, now.boot);
        departing_.reset();
    }
}

void PartitionRunner::expire_ready(const Now& now) {
    if (now.broker < next_expiry_check_) {
        return;
    }
    next_expiry_check_ = now.broker + kExpiryCheckInterval;
    for (const auto& [recipient, id] : ready_.expired(now.broker)) {
        if (fresh_since() != BootInstant{}) {
            run(recipient, Woke{id}, now);
        }
    }
}

void PartitionRunner::hand_over_departures() {
    for (Departure& departure : std::exchange(departures_, {})) {
        registry_.submitted(departure.attempt, partition_, departure.grant);
        DispatchRequest request;
        request.attempt = departure.attempt;
        request.partition = partition_;
        request.provider = departure.provider;
        request.request = std::move(departure.request);
        request.last_check = std::move(departure.guard);
        crash_point(CrashPoint::AfterIntentCommit);
        dispatcher_.submit(std::move(request));
    }
}

}  // namespace postlane
