#include "app/cli/guarantee_sheet.h"

#include <gmock/gmock.h>

#include <string>

namespace postlane::cli {
namespace {

using testing::HasSubstr;
using Holds = Promise::Holds;

// One route, one provider that honours keys, durable topics.
Config strict_config() {
    Config config;
    config.ledger.retention_days = std::chrono::days(30);
    config.suppression.max_staleness = std::chrono::milliseconds(250);
    config.providers.resize(1);
    config.providers[0].name = "main";
    config.providers[0].idempotency = config::Idempotency::Header;
    config.providers[0].idempotency_header = "Idempotency-Key";
    config.providers[0].idempotency_lifetime = std::chrono::hours(24);
    config.providers[0].timeout = std::chrono::seconds(30);
    config.dispatch.intent_deadline = std::chrono::seconds(5);
    config.routes.resize(1);
    config.routes[0].name = "default";
    config.routes[0].providers = {"main"};
    return config;
}

struct SheetRow {
    std::string name;
    void (*change)(Config&);
    Holds order;
    Holds suppression;
    Holds no_duplicate;
    Holds no_loss;
    std::string no_duplicate_says;
};
void PrintTo(const SheetRow& row, std::ostream* out) {
    *out << row.name;
}

class Sheet : public testing::TestWithParam<SheetRow> {};

TEST_P(Sheet, Promises) {
    Config config = strict_config();
    GetParam().change(config);
    const GuaranteeSheet sheet = guarantee_sheet(config);
    ASSERT_EQ(sheet.routes.size(), 1U);
    const auto& promises = sheet.routes[0].providers.at(0).promises;
    EXPECT_EQ(promises[0].holds, GetParam().order);
    EXPECT_EQ(promises[1].holds, GetParam().suppression);
    EXPECT_EQ(promises[2].holds, GetParam().no_duplicate);
    EXPECT_EQ(promises[3].holds, GetParam().no_loss);
    EXPECT_THAT(promises[2].how, HasSubstr(GetParam().no_duplicate_says));
    EXPECT_EQ(sheet.enforced_share, 1);
}

INSTANTIATE_TEST_SUITE_P(
    Table, Sheet,
    testing::Values(
        SheetRow{"Keyed", [](Config&) {}, Holds::Exactly, Holds::Exactly, Holds::WithLimit,
                 Holds::Exactly, "exactly once if the answer comes within 23 h 54 min"},
        SheetRow{"KeyedParked",
                 [](Config& c) { c.routes[0].on_ambiguous = config::RouteOnAmbiguous::Park; },
                 Holds::Exactly, Holds::Exactly, Holds::WithLimit, Holds::Exactly, "at most once"},
        SheetRow{"KeyForgottenBeforeAReplayCouldEnd",
                 [](Config& c) { c.providers[0].idempotency_lifetime = std::chrono::seconds(35); },
                 Holds::Exactly, Holds::Exactly, Holds::WithLimit, Holds::Exactly, "at most once"},
        // A key makes resending the same as replaying.
        SheetRow{"KeyedResend",
                 [](Config& c) { c.routes[0].on_ambiguous = config::RouteOnAmbiguous::Resend; },
                 Holds::Exactly, Holds::Exactly, Holds::WithLimit, Holds::Exactly, "exactly once"},
        SheetRow{"Unkeyed",
                 [](Config& c) { c.providers[0].idempotency = config::Idempotency::None; },
                 Holds::Exactly, Holds::Exactly, Holds::WithLimit, Holds::Exactly,
                 "never a silent resend"},
        SheetRow{"UnkeyedResend",
                 [](Config& c) {
                     c.providers[0].idempotency = config::Idempotency::None;
                     c.routes[0].on_ambiguous = config::RouteOnAmbiguous::Resend;
                 },
                 Holds::Exactly, Holds::Exactly, Holds::GivenUp, Holds::Exactly, "sent again"},
        SheetRow{"Adopted", [](Config& c) { c.ordering.first_step = config::FirstStep::Adopt; },
                 Holds::WithLimit, Holds::Exactly, Holds::WithLimit, Holds::Exactly, ""},
        SheetRow{"FragileTopics", [](Config& c) { c.kafka.require_durable_topics = false; },
                 Holds::WithLimit, Holds::WithLimit, Holds::WithLimit, Holds::WithLimit,
                 "require_durable_topics"}),
    [](const auto& row) { return row.param.name; });

}  // namespace
}  // namespace postlane::cli
