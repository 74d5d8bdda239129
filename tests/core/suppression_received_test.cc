// Every record of the suppressions topic gets exactly one receipt, and none is lost.
#include <gtest/gtest.h>

#include "fake_view.h"

namespace postlane {
namespace {

using Result = SuppressionReceipt::Result;
using Action = SuppressionEvent::Action;
using Decoded = tl::expected<SuppressionEvent, Rejection>;

InputRecord record_at(Offset offset) {
    InputRecord record;
    record.offset = offset;
    record.key = "ann";
    record.value = "{}";
    return record;
}

SuppressionEvent event_of(Action action, Instant occurred_at) {
    SuppressionEvent event;
    event.action = action;
    event.reason = SuppressionReason::Unsubscribe;
    event.occurred_at = occurred_at;
    return event;
}

const SuppressionReceipt& take(Bench& bench, const Decoded& decoded,
                               std::optional<PartitionId> belongs_to = {}) {
    const InputRecord record = record_at(bench.next_offset++);
    const std::size_t before = bench.receipts.size();
    bench.feed(SuppressionReceived{record, decoded, belongs_to});
    EXPECT_EQ(bench.receipts.size(), before + 1);
    EXPECT_EQ(bench.receipts.back().input_offset, record.offset);
    EXPECT_EQ(bench.receipts.back().decided_at, bench.now);
    return bench.receipts.back();
}

TEST(SuppressionReceivedTest, AppliedStopsMail) {
    Bench bench;
    const auto& receipt = take(bench, event_of(Action::Suppress, bench.now));
    EXPECT_EQ(receipt.result, Result::Applied);
    EXPECT_EQ(receipt.reason, Reason::None);
    EXPECT_EQ(receipt.recipient_id, RecipientId("ann"));
    bench.receive({.id = "m"});
    EXPECT_EQ(bench.state("m"), MessageState::SuppressedAtSend);
}

TEST(SuppressionReceivedTest, InvalidMadeEffectiveSaysSo) {
    Bench bench;
    SuppressionEvent event = event_of(Action::Suppress, bench.now);
    event.made_effective = true;
    const auto& receipt = take(bench, event);
    EXPECT_EQ(receipt.result, Result::Applied);
    EXPECT_EQ(receipt.reason, Reason::InvalidMadeEffective);
    EXPECT_TRUE(bench.view.by_recipient);
}

TEST(SuppressionReceivedTest, AnOlderResubscribeIsSupersededAndStillRemembered) {
    Bench bench;
    take(bench, event_of(Action::Suppress, bench.now));
    const auto& receipt = take(bench, event_of(Action::Unsuppress, bench.now - Millis{1}));
    EXPECT_EQ(receipt.result, Result::Superseded);
    EXPECT_EQ(receipt.reason, Reason::NewerStands);
    EXPECT_EQ(bench.view.by_recipient->entries.size(), 1U);
    EXPECT_EQ(bench.view.by_recipient->clearings.size(), 1U);
}

TEST(SuppressionReceivedTest, AnInvalidUnsuppressIsDeadLetteredAndNotApplied) {
    Bench bench;
    take(bench, event_of(Action::Suppress, bench.now));
    const SuppressionRow before = *bench.view.by_recipient;
    const auto& receipt = take(
        bench, tl::unexpected<Rejection>(Rejection{Reason::InvalidField, "occurred_at: required"}));
    EXPECT_EQ(receipt.result, Result::Rejected);
    EXPECT_EQ(receipt.reason, Reason::InvalidField);
    ASSERT_EQ(bench.dead_letters.size(), 1U);
    EXPECT_TRUE(bench.dead_letters[0].from_suppressions);
    EXPECT_EQ(bench.dead_letters[0].detail, "occurred_at: required");
    EXPECT_EQ(bench.dead_letters[0].record.value, "{}");
    EXPECT_EQ(*bench.view.by_recipient, before);
}

TEST(SuppressionReceivedTest, AMisroutedOneTravelsWholeAndIsNoDeadLetter) {
    Bench bench;
    const auto& receipt = take(bench, event_of(Action::Suppress, bench.now), PartitionId{5});
    EXPECT_EQ(receipt.result, Result::Forwarded);
    EXPECT_EQ(receipt.reason, Reason::MisroutedKey);
    ASSERT_EQ(bench.forwards.size(), 1U);
    EXPECT_EQ(bench.forwards[0].target, 5);
    EXPECT_EQ(bench.forwards[0].record.value, "{}");
    EXPECT_TRUE(bench.dead_letters.empty());
    EXPECT_FALSE(bench.view.by_recipient);
}

TEST(SuppressionReceivedTest, WithoutAKeyTheReceiptNamesNobody) {
    Bench bench;
    bench.recipient = RecipientId("");
    const auto& receipt =
        take(bench, tl::unexpected<Rejection>(Rejection{Reason::MissingKey, "the key"}));
    EXPECT_EQ(receipt.result, Result::Rejected);
    EXPECT_FALSE(receipt.recipient_id);
}

}  // namespace
}  // namespace postlane
