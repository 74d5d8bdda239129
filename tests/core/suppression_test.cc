#include "postlane/suppression_gate.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <tuple>

#include "codec/ledger_codec.h"

namespace postlane {
namespace {

using enum SuppressionReason;
using Action = SuppressionEvent::Action;

Instant at(std::int64_t seconds) {
    return Instant(std::chrono::seconds(seconds));
}

Scope everything() {
    return {};
}
Scope category(std::string name) {
    return {Scope::Kind::Category, std::move(name)};
}
Scope sequence(std::string name) {
    return {Scope::Kind::Sequence, std::move(name)};
}

SuppressionEvent suppress(SuppressionReason reason, Scope scope, std::int64_t occurred_at,
                          std::optional<std::int64_t> expires_at = {}) {
    SuppressionEvent event{
        Action::Suppress, reason, std::move(scope), at(occurred_at), {}, false, {}};
    if (expires_at) {
        event.expires_at = at(*expires_at);
    }
    return event;
}
SuppressionEvent unsuppress(SuppressionReason reason, Scope scope, std::int64_t occurred_at) {
    return {Action::Unsuppress, reason, std::move(scope), at(occurred_at), {}, false, {}};
}

const std::vector<std::string> kTransactional{"transactional", "security"};

std::optional<SuppressionHit> ask(const SuppressionRow& row, const Mail& mail,
                                  std::int64_t now = 1'000) {
    const auto verdict = SuppressionGate::check(&row, nullptr, mail, kTransactional, at(now));
    EXPECT_NE(verdict.clearance.has_value(), verdict.hit.has_value());
    return verdict.hit;
}

SuppressionRow folded(const std::vector<SuppressionEvent>& events) {
    SuppressionRow row;
    for (const SuppressionEvent& event : events) {
        fold(row, event);
    }
    return row;
}

// --- what covers what ---

constexpr Mail kMarketing{"marketing", ""};
constexpr Mail kDrip{"marketing", "onboarding"};
constexpr Mail kOtherDrip{"news", "winback"};
constexpr Mail kReceipt{"transactional", ""};
constexpr Mail kReceiptInDrip{"security", "onboarding"};

struct MatrixRow {
    std::string name;
    SuppressionReason reason;
    Scope scope;
    // suppressed?
    bool marketing, drip, other_drip, receipt, receipt_in_drip;
};
void PrintTo(const MatrixRow& row, std::ostream* out) {
    *out << row.name;
}

class Matrix : public testing::TestWithParam<MatrixRow> {};

TEST_P(Matrix, CoversExactly) {
    const MatrixRow& expected = GetParam();
    const SuppressionRow row = folded({suppress(expected.reason, expected.scope, 10)});
    EXPECT_EQ(ask(row, kMarketing).has_value(), expected.marketing);
    EXPECT_EQ(ask(row, kDrip).has_value(), expected.drip);
    EXPECT_EQ(ask(row, kOtherDrip).has_value(), expected.other_drip);
    EXPECT_EQ(ask(row, kReceipt).has_value(), expected.receipt);
    EXPECT_EQ(ask(row, kReceiptInDrip).has_value(), expected.receipt_in_drip);
}

std::vector<MatrixRow> matrix() {
    std::vector<MatrixRow> rows;
    const std::pair<std::string, SuppressionReason> total[]{{"HardBounce", HardBounce},
                                                            {"SoftBounce", SoftBounce},
                                                            {"Complaint", Complaint},
                                                            {"Objection", Objection},
                                                            {"Erasure", Erasure}};
    for (const auto& [name, reason] : total) {  // whatever scope is given
        rows.push_back({name, reason, everything(), true, true, true, true, true});
        rows.push_back(
            {name + "Marketing", reason, category("marketing"), true, true, true, true, true});
        rows.push_back(
            {name + "Onboarding", reason, sequence("onboarding"), true, true, true, true, true});
    }
    //                                                                     marketing drip other
    //                                                                     receipt receipt_in_drip
    rows.push_back({"Manual", Manual, everything(), true, true, true, true, true});
    rows.push_back(
        {"ManualMarketing", Manual, category("marketing"), true, true, false, false, false});
    rows.push_back({"ManualTransactional", Manual, category("transactional"), false, false, false,
                    true, false});
    rows.push_back(
        {"ManualOnboarding", Manual, sequence("onboarding"), false, true, false, false, true});
    rows.push_back({"Unsubscribe", Unsubscribe, everything(), true, true, true, false, false});
    rows.push_back({"UnsubscribeMarketing", Unsubscribe, category("marketing"), true, true, false,
                    false, false});
    rows.push_back({"UnsubscribeTransactional", Unsubscribe, category("transactional"), false,
                    false, false, true, false});
    rows.push_back({"UnsubscribeOnboarding", Unsubscribe, sequence("onboarding"), false, true,
                    false, false, true});
    rows.push_back(
        {"UnsubscribeUnknown", Unsubscribe, category("x"), false, false, false, false, false});
    rows.push_back(
        {"UnsubscribeNameless", Unsubscribe, sequence(""), false, false, false, false, false});
    return rows;
}

INSTANTIATE_TEST_SUITE_P(Suppression, Matrix, testing::ValuesIn(matrix()),
                         [](const auto& row) { return row.param.name; });

TEST(Gate, NothingKnownIsCleared) {
    const auto verdict =
        SuppressionGate::check(nullptr, nullptr, kMarketing, kTransactional, at(77));
    ASSERT_TRUE(verdict.clearance.has_value());
    EXPECT_EQ(verdict.clearance->given_at(), at(77));
    EXPECT_FALSE(verdict.hit.has_value());
}

TEST(Gate, EitherRowSuffices) {
    const SuppressionRow row = folded({suppress(Complaint, everything(), 10)});
    const SuppressionRow empty;
    const auto by_recipient =
        SuppressionGate::check(&row, &empty, kMarketing, kTransactional, at(20)).hit;
    ASSERT_TRUE(by_recipient.has_value());
    EXPECT_EQ(by_recipient->by, SuppressionHit::By::Recipient);
    const auto by_address =
        SuppressionGate::check(&empty, &row, kMarketing, kTransactional, at(20)).hit;
    ASSERT_TRUE(by_address.has_value());
    EXPECT_EQ(by_address->by, SuppressionHit::By::Address);
    EXPECT_EQ(by_address->reason, Complaint);
    EXPECT_EQ(by_address->occurred_at, at(10));
    // The same from both sides: the recipient's own is named.
    EXPECT_EQ(SuppressionGate::check(&row, &row, kMarketing, kTransactional, at(20)).hit->by,
              SuppressionHit::By::Recipient);
    // A stronger one by address wins over a weaker one by recipient.
    const SuppressionRow weak = folded({suppress(Unsubscribe, everything(), 15)});
    EXPECT_EQ(SuppressionGate::check(&weak, &row, kMarketing, kTransactional, at(20)).hit->reason,
              Complaint);
}

TEST(Gate, NamesTheStrongest) {
    std::vector<SuppressionEvent> events;
    for (const SuppressionReason reason :
         {SoftBounce, Unsubscribe, Manual, HardBounce, Complaint, Objection, Erasure}) {
        events.push_back(suppress(reason, everything(), 10, 5'000));
        for (const auto& order : {folded(events), folded({events.rbegin(), events.rend()})}) {
            EXPECT_EQ(ask(order, kMarketing)->reason, reason);
        }
    }
    const SuppressionRow scopes =
        folded({suppress(Manual, category("marketing"), 30), suppress(Manual, everything(), 10)});
    EXPECT_EQ(ask(scopes, kMarketing)->scope, everything());
}

TEST(Gate, SoftBounceEndsWhenItSays) {
    const SuppressionRow row = folded({suppress(SoftBounce, everything(), 10, 100)});
    EXPECT_TRUE(ask(row, kReceipt, 99).has_value());
    EXPECT_FALSE(ask(row, kReceipt, 100).has_value());
    const SuppressionRow others = folded({suppress(HardBounce, everything(), 10, 100)});
    EXPECT_TRUE(ask(others, kReceipt, 1'000'000).has_value())
        << "expires_at is ignored on other reasons";
}

// --- one event after the other ---

// A producer's clock is ahead: what it resubscribes is lifted, and what anybody stops later is stopped.
TEST(FoldFromTheFuture, LiftsWhatIsThereAndDefeatsNothingLater) {
    SuppressionEvent resubscribed = unsuppress(Unsubscribe, everything(), 500);
    resubscribed.stands_as_of = at(101);
    SuppressionRow row = folded({suppress(Unsubscribe, everything(), 498), resubscribed});
    EXPECT_FALSE(ask(row, Mail{"marketing", ""}));
    EXPECT_EQ(fold(row, suppress(Unsubscribe, everything(), 100)), FoldResult::Superseded);
    EXPECT_EQ(fold(row, suppress(Unsubscribe, everything(), 160)), FoldResult::Applied);
    EXPECT_TRUE(ask(row, Mail{"marketing", ""}));
}

struct FoldRow {
    std::string name;
    std::vector<SuppressionEvent> before;
    SuppressionEvent event;
    FoldResult result;
    bool suppressed;  // marketing mail, afterwards
};
void PrintTo(const FoldRow& row, std::ostream* out) {
    *out << row.name;
}

class Fold : public testing::TestWithParam<FoldRow> {};

TEST_P(Fold, GivesResultAndAnswer) {
    SuppressionRow row = folded(GetParam().before);
    EXPECT_EQ(fold(row, GetParam().event), GetParam().result);
    EXPECT_EQ(ask(row, kMarketing).has_value(), GetParam().suppressed);
}

constexpr FoldResult kApplied = FoldResult::Applied;
constexpr FoldResult kSuperseded = FoldResult::Superseded;

INSTANTIATE_TEST_SUITE_P(
    Table, Fold,
    testing::Values(FoldRow{"First", {}, suppress(Unsubscribe, everything(), 5), kApplied, true},
                    FoldRow{"Again",
                            {suppress(Unsubscribe, everything(), 5)},
                            suppress(Unsubscribe, everything(), 5),
                            kApplied,
                            true},
                    FoldRow{"Newer",
                            {suppress(Unsubscribe, everything(), 5)},
                            suppress(Unsubscribe, everything(), 6),
                            kApplied,
                            true},
                    FoldRow{"Older",
                            {suppress(Unsubscribe, everything(), 5)},
                            suppress(Unsubscribe, everything(), 4),
                            kSuperseded,
                            true},
                    FoldRow{"OlderButAnotherReason",
                            {suppress(Unsubscribe, everything(), 5)},
                            suppress(Complaint, everything(), 4),
                            kApplied,
                            true},
                    FoldRow{"Resubscribe",
                            {suppress(Unsubscribe, everything(), 5)},
                            unsuppress(Unsubscribe, everything(), 6),
                            kApplied,
                            false},
                    FoldRow{"OldResubscribe",
                            {suppress(Unsubscribe, everything(), 5)},
                            unsuppress(Unsubscribe, everything(), 4),
                            kSuperseded,
                            true},
                    FoldRow{"TieStaysSuppressed",
                            {suppress(Unsubscribe, everything(), 5)},
                            unsuppress(Unsubscribe, everything(), 5),
                            kSuperseded,
                            true},
                    FoldRow{"TieTheOtherWayRound",
                            {unsuppress(Unsubscribe, everything(), 5)},
                            suppress(Unsubscribe, everything(), 5),
                            kApplied,
                            true},
                    FoldRow{"ClearingIsRemembered",
                            {unsuppress(Unsubscribe, everything(), 6)},
                            suppress(Unsubscribe, everything(), 5),
                            kSuperseded,
                            false},
                    FoldRow{"ResubscribeNeverLiftsAComplaint",
                            {suppress(Complaint, everything(), 5)},
                            unsuppress(Unsubscribe, everything(), 6),
                            kApplied,
                            true},
                    FoldRow{"ManualLiftsAnyReason",
                            {suppress(Complaint, everything(), 5)},
                            unsuppress(Manual, everything(), 6),
                            kApplied,
                            false},
                    FoldRow{"NoScopeLiftsAllScopes",
                            {suppress(Unsubscribe, category("marketing"), 5),
                             suppress(Unsubscribe, everything(), 5)},
                            unsuppress(Unsubscribe, everything(), 6),
                            kApplied,
                            false},
                    FoldRow{"AScopeLiftsOnlyItself",
                            {suppress(Unsubscribe, everything(), 5)},
                            unsuppress(Unsubscribe, category("marketing"), 6),
                            kApplied,
                            true},
                    FoldRow{"AScopeLiftsItself",
                            {suppress(Unsubscribe, category("marketing"), 5)},
                            unsuppress(Unsubscribe, category("marketing"), 6),
                            kApplied,
                            false},
                    FoldRow{"AScopeLiftsNoTotalSuppression",
                            {suppress(Complaint, category("marketing"), 5)},
                            unsuppress(Complaint, category("marketing"), 6),
                            kApplied,
                            true},
                    FoldRow{"SomeLiftedSomeStand",
                            {suppress(Unsubscribe, category("marketing"), 5),
                             suppress(Unsubscribe, everything(), 9)},
                            unsuppress(Unsubscribe, everything(), 7),
                            kApplied,
                            true},
                    FoldRow{"OlderClearingUnderAWiderNewerOne",
                            {unsuppress(Manual, everything(), 9)},
                            unsuppress(Unsubscribe, category("marketing"), 7),
                            kSuperseded,
                            false},
                    FoldRow{"SameClearingAgain",
                            {unsuppress(Manual, everything(), 9)},
                            unsuppress(Manual, everything(), 9),
                            kApplied,
                            false},
                    FoldRow{"EarlierSoftBounceThatLastsLonger",
                            {suppress(SoftBounce, everything(), 5, 10)},
                            suppress(SoftBounce, everything(), 4, 5'000),
                            kApplied,
                            true}),
    [](const auto& row) { return row.param.name; });

TEST(Fold, ASupersededClearingIsStillRemembered) {
    SuppressionRow row = folded({suppress(Unsubscribe, everything(), 5)});
    EXPECT_EQ(fold(row, unsuppress(Manual, everything(), 4)), kSuperseded);
    EXPECT_EQ(fold(row, suppress(Complaint, everything(), 3)), kSuperseded);
    EXPECT_EQ(row.entries.size(), 1U);
}

// --- any order ---

std::string rendered(const std::vector<SuppressionEvent>& events) {
    std::string text;
    for (const SuppressionEvent& event : events) {
        text += event.action == Action::Suppress ? "+" : "-";
        text += std::string(to_string(event.reason)) + " " + to_string(event.scope) + " @" +
                std::to_string(event.occurred_at.time_since_epoch().count()) + "; ";
    }
    return text;
}

SuppressionEvent random_event(std::mt19937_64& random) {
    const auto below = [&](std::uint64_t end) { return random() % end; };
    const Scope scopes[]{everything(), category("marketing"), sequence("onboarding")};
    const SuppressionReason reasons[]{Unsubscribe, Unsubscribe, SoftBounce,
                                      SoftBounce,  Complaint,   Manual};
    const auto occurred_at = static_cast<std::int64_t>(below(4));
    SuppressionEvent event = suppress(reasons[below(6)], scopes[below(3)], occurred_at);
    if (below(2) == 0) {
        event.action = Action::Unsuppress;
    } else if (event.reason == SoftBounce) {
        event.expires_at = at(occurred_at + 1 + static_cast<std::int64_t>(below(5)));
    }
    return event;
}

// Straight from the rules, over the whole set: no row, no memory, no order.
bool suppressed_by_definition(const std::vector<SuppressionEvent>& events, const Mail& mail,
                              Instant now) {
    const auto total = [](SuppressionReason reason) {
        return reason != Unsubscribe && reason != Manual;
    };
    return std::any_of(events.begin(), events.end(), [&](const SuppressionEvent& entry) {
        if (entry.action != Action::Suppress || (entry.expires_at && *entry.expires_at <= now)) {
            return false;
        }
        const Scope scope = total(entry.reason) ? everything() : entry.scope;
        const bool lifted =
            std::any_of(events.begin(), events.end(), [&](const SuppressionEvent& clearing) {
                return clearing.action == Action::Unsuppress &&
                       clearing.occurred_at > entry.occurred_at &&
                       (clearing.reason == Manual || clearing.reason == entry.reason) &&
                       (clearing.scope == everything() || clearing.scope == scope);
            });
        if (lifted) {
            return false;
        }
        if (scope == everything()) {
            return entry.reason != Unsubscribe || mail.category != "transactional";
        }
        return scope.kind == Scope::Kind::Category ? scope.name == mail.category
                                                   : scope.name == mail.sequence_id;
    });
}

TEST(Fold, AnyOrderGivesTheDefinitionsAnswersAndTheSameBytes) {
    std::mt19937_64 random(11);
    int suppressed = 0;
    for (int round = 0; round < 1'500; ++round) {
        std::vector<SuppressionEvent> events(1 + random() % 5);
        std::generate(events.begin(), events.end(), [&] { return random_event(random); });
        std::vector<std::size_t> order(events.size());
        for (std::size_t i = 0; i < order.size(); ++i) {
            order[i] = i;
        }
        std::optional<std::string> bytes;
        do {
            std::vector<SuppressionEvent> arranged;
            for (const std::size_t i : order) {
                arranged.push_back(events[i]);
            }
            const SuppressionRow row = folded(arranged);
            for (const Mail& mail : {kMarketing, kDrip, kOtherDrip, kReceipt}) {
                for (std::int64_t now = 0; now < 10; now += 3) {
                    const bool expected = suppressed_by_definition(events, mail, at(now));
                    suppressed += expected ? 1 : 0;
                    ASSERT_EQ(ask(row, mail, now).has_value(), expected)
                        << rendered(arranged) << " now " << now;
                }
            }
            const std::string these = ledger::encode(row);
            ASSERT_EQ(bytes.value_or(these), these) << rendered(arranged);
            bytes = these;
        } while (std::next_permutation(order.begin(), order.end()));
    }
    EXPECT_GT(suppressed, 10'000);
}

TEST(Fold, TheSameEventsTwiceChangeNothing) {
    std::mt19937_64 random(12);
    for (int round = 0; round < 500; ++round) {
        std::vector<SuppressionEvent> events(6);
        std::generate(events.begin(), events.end(), [&] { return random_event(random); });
        SuppressionRow row = folded(events);
        const SuppressionRow once = row;
        for (const SuppressionEvent& event : events) {
            fold(row, event);
            ASSERT_EQ(row, once) << rendered(events);
        }
    }
}

// --- bounds ---

TEST(Fold, TooManyScopesBecomeEverything) {
    SuppressionRow row = folded({suppress(Complaint, everything(), 1)});
    for (int i = 0; i < 5'000; ++i) {
        fold(row, suppress(Unsubscribe, category("c" + std::to_string(i)), 100 + i));
        ASSERT_LE(row.entries.size(), 256U);
    }
    EXPECT_EQ(ask(row, kReceipt)->reason, Complaint) << "stronger ones are kept";
    fold(row, unsuppress(Complaint, everything(), 1'000));
    for (int i = 0; i < 5'000; ++i) {
        const std::string name = "c" + std::to_string(i);
        ASSERT_TRUE(ask(row, Mail{name, ""}).has_value()) << name;
    }
    EXPECT_EQ(ask(row, kReceipt)->reason, Manual);
    EXPECT_EQ(fold(row, unsuppress(Manual, everything(), 2'000)), kSuperseded);
    EXPECT_TRUE(ask(row, Mail{"c4000", ""}).has_value()) << "it is as late as the latest";
    fold(row, unsuppress(Unsubscribe, everything(), 1'000'000));
    EXPECT_TRUE(ask(row, kMarketing).has_value()) << "a resubscribe does not lift it";
    EXPECT_EQ(fold(row, unsuppress(Manual, everything(), 1'000'001)), kApplied);
    EXPECT_FALSE(ask(row, kMarketing).has_value()) << "a manual clearing does";
}

TEST(Fold, SoftBouncesOfDecreasingLengthAreBounded) {
    SuppressionRow row;
    for (int i = 0; i < 1'000; ++i) {  // each later, each shorter: none makes another superfluous
        fold(row, suppress(SoftBounce, everything(), i, 100'000 - i));
        ASSERT_LE(row.entries.size(), 256U);
    }
    EXPECT_TRUE(ask(row, kMarketing, 99'999).has_value());
    EXPECT_FALSE(ask(row, kMarketing, 100'000).has_value());
}

TEST(Fold, ForgottenClearingsNeverLiftAnything) {
    SuppressionRow row;
    for (int i = 0; i < 2'000; ++i) {
        fold(row, unsuppress(Unsubscribe, category("c" + std::to_string(i)), 1'000 + i));
        ASSERT_LE(row.clearings.size(), 256U);
    }
    EXPECT_EQ(fold(row, suppress(Unsubscribe, category("c0"), 5)), kApplied)
        << "forgotten: suppressed";
    EXPECT_EQ(fold(row, suppress(Unsubscribe, category("c1999"), 5)), kSuperseded) << "remembered";
}

}  // namespace
}  // namespace postlane
