#include "app/cli/guarantee_sheet.h"

#include <fmt/format.h>

#include <chrono>

#include "app/cli/console.h"
#include "config/settings_delivery.h"
#include "postlane/answer.h"

namespace postlane::cli {
namespace {

using config::Idempotency;
using config::RouteOnAmbiguous;
using Holds = Promise::Holds;

bool takes_keys(const config::Provider& provider) {
    return provider.idempotency == Idempotency::Header;
}

// Seconds of a day are noise.
std::string window_text(config::Millis window) {
    return duration_text(
        window < std::chrono::hours{1} ? window : std::chrono::floor<std::chrono::minutes>(window));
}

std::string retention(const Config& config) {
    return duration_text(config.ledger.retention_days);
}

std::string missing_step(const config::Ordering& ordering) {
    const std::string wait = duration_text(ordering.max_wait);
    switch (ordering.on_gap) {
        case config::OnGap::DeadLetter:
            return fmt::format(
                "steps above it are held; each is dead-lettered (gap_timeout) {} "
                "after it came",
                wait);
        case config::OnGap::Skip:
            return fmt::format(
                "steps above it are held; after {} it is skipped, which their "
                "outcome says, and never sent if it comes later",
                wait);
        case config::OnGap::Wait:
            return "steps above it are held until it comes or they expire";
    }
    return "";
}

std::vector<Line> ordering_lines(const config::Ordering& ordering) {
    const std::string halt = duration_text(ordering.max_halt);
    return {
        {"mechanism",
         "one thread owns each partition, and a recipient is in one partition; step "
         "n+1 stays in the ledger until step n has ended"},
        {"between steps", ordering.min_spacing.count() == 0
                              ? "no pause beyond the acceptance of the step before"
                              : fmt::format("at least {} after the acceptance of the step before",
                                            duration_text(ordering.min_spacing))},
        {"per recipient", "one request in flight"},
        {"first step", ordering.first_step == config::FirstStep::One
                           ? "1"
                           : "the first one seen; what came before it is not waited for"},
        {"missing step", missing_step(ordering)},
        {"held at most", fmt::format("{} per sequence, more are dead-lettered (held_overflow)",
                                     counted(ordering.max_held, "step"))},
        {"ambiguous step",
         ordering.on_ambiguous == config::OnAmbiguous::Halt
             ? fmt::format("halts its sequence until it is resolved, at most {}", halt)
             : std::string("counts as ended: the sequence goes on")},
        {"step not sent", ordering.on_not_sent == config::OnNotSent::Advance
                              ? std::string("counts as ended: the sequence goes on")
                              : fmt::format("halts its sequence, at most {}", halt)},
    };
}

std::vector<Line> suppression_lines(const Config& config) {
    const auto& categories = config.suppression.transactional_categories;
    return {
        {"checked",
         "when a message is accepted; before every attempt, retries included; in the "
         "last instant before bytes leave"},
        {"by", "recipient, and address"},
        {"freshness", fmt::format("within {}; if that cannot be proven, nothing is sent",
                                  duration_text(config.suppression.max_staleness))},
        {"unsubscribe without scope",
         categories.empty()
             ? std::string("covers every category")
             : fmt::format("covers every category but {}", fmt::join(categories, ", "))},
    };
}

std::vector<Line> deduplication_lines(const Config& config, const config::Provider& provider) {
    std::vector<Line> lines{
        {"ledger", fmt::format("(recipient, message id) is remembered for {}", retention(config))},
        {"stored key",
         "a function of recipient and message id, the same in every attempt; each "
         "attempt is committed with its request's hash before it leaves"},
    };
    if (takes_keys(provider)) {
        lines.push_back(
            {"key to the provider", fmt::format("header {}, remembered by the provider for {}",
                                                provider.idempotency_header,
                                                duration_text(provider.idempotency_lifetime))});
    } else if (provider.kind == config::ProviderKind::Http) {
        lines.push_back({"key to the provider", "none that it honours (idempotency = \"none\")"});
    } else {
        lines.push_back({"key to the provider",
                         "as the custom argument postlane_id, which identifies the message but "
                         "does not deduplicate"});
    }
    return lines;
}

std::string ambiguous_text(const Config& config, const config::Route& route,
                           const config::Provider& provider) {
    if (route.on_ambiguous == RouteOnAmbiguous::Park) {
        return "parked as ambiguous; never sent again";
    }
    const config::Millis window = replay_window(config, provider);
    if (takes_keys(provider) && window <= config::Millis{0}) {
        return "ambiguous (key_expired): the provider may forget a key (idempotency_lifetime_ms) "
               "before another attempt has ended, so none is made";
    }
    if (takes_keys(provider)) {
        return fmt::format(
            "sent again with the same key and identical bytes within {} of the "
            "first attempt; after that, or if the bytes would differ, ambiguous",
            window_text(window));
    }
    return route.on_ambiguous == RouteOnAmbiguous::Resend
               ? "sent again, without a key: the recipient may get it twice"
               : "ambiguous (no_idempotency); never sent again";
}

Promise order_promise(const config::Ordering& ordering) {
    if (ordering.first_step == config::FirstStep::Adopt) {
        return {"G1 order", Holds::WithLimit,
                "from the first step seen on (first_step = \"adopt\")"};
    }
    std::string how = "no step before the one below it has ended";
    if (ordering.on_gap == config::OnGap::Skip) {
        how += "; a missing step is passed over, and the outcome says so (on_gap = \"skip\")";
    }
    if (ordering.on_ambiguous == config::OnAmbiguous::Advance) {
        how += "; an ambiguous step counts as ended (on_ambiguous = \"advance\")";
    }
    return {"G1 order", Holds::Exactly, how};
}

Promise suppression_promise(const Config& config) {
    return {"G2 suppression", Holds::Exactly,
            fmt::format("none after a suppression that was acknowledged before the send event, or "
                        "{} before the attempt",
                        duration_text(config.suppression.max_staleness))};
}

Promise duplicate_promise(const Config& config, const config::Route& route,
                          const config::Provider& provider) {
    const std::string name = "G3 no duplicate";
    const std::string within = fmt::format("within {}", retention(config));
    if (takes_keys(provider)) {
        const config::Millis window = replay_window(config, provider);
        return route.on_ambiguous == RouteOnAmbiguous::Park || window <= config::Millis{0}
                   ? Promise{name, Holds::WithLimit,
                             "at most once, " + within + "; where nobody can know, ambiguous"}
                   : Promise{name, Holds::WithLimit,
                             fmt::format("exactly once if the answer comes within {} of the first "
                                         "attempt, else at most once; {}",
                                         window_text(window), within)};
    }
    if (route.on_ambiguous == RouteOnAmbiguous::Resend) {
        return {name, Holds::GivenUp,
                "after an answer that never came the message is sent again (on_ambiguous = "
                "\"resend\")"};
    }
    return {
        name, Holds::WithLimit,
        "at most once, " + within + "; where nobody can know, ambiguous, never a silent resend"};
}

// One broker's disk is all there is.
void lower_for_fragile_topics(const Config& config, std::array<Promise, 4>& promises) {
    if (config.kafka.require_durable_topics) {
        return;
    }
    for (Promise& promise : promises) {
        if (promise.holds == Holds::GivenUp) {
            continue;
        }
        promise.holds = Holds::WithLimit;
        promise.how += "; only while no broker loses records (require_durable_topics = false)";
    }
}

ProviderSheet provider_sheet(const Config& config, const config::Route& route,
                             const config::Provider& provider) {
    ProviderSheet sheet{
        .name = provider.name,
        .kind = std::string(config::kind_word(provider.kind)),
        .host = provider.base_url,
        .deduplication = deduplication_lines(config, provider),
        .on_ambiguous = ambiguous_text(config, route, provider),
        .promises = {order_promise(config.ordering), suppression_promise(config),
                     duplicate_promise(config, route, provider),
                     Promise{"G4 no loss", Holds::Exactly,
                             "every send event ends in exactly one outcome, every suppression by "
                             "recipient in a receipt"}}};
    lower_for_fragile_topics(config, sheet.promises);
    return sheet;
}

}  // namespace

GuaranteeSheet guarantee_sheet(const Config& config) {
    // Every sequence goes through the ordering gate: no setting takes one out.
    GuaranteeSheet sheet{.ordering = ordering_lines(config.ordering),
                         .enforced_share = 1,
                         .suppression = suppression_lines(config),
                         .routes = {}};
    for (const config::Route& route : config.routes) {
        RouteSheet routed{.name = route.name, .fallback = {}, .providers = {}};
        if (route.providers.size() > 1) {
            routed.fallback =
                "a later provider only after a definite rejection or while the "
                "circuit is open, never while in doubt";
        }
        for (const std::string& name : route.providers) {
            if (const config::Provider* const provider = config.find_provider(name)) {
                routed.providers.push_back(provider_sheet(config, route, *provider));
            }
        }
        sheet.routes.push_back(std::move(routed));
    }
    return sheet;
}

}  // namespace postlane::cli
