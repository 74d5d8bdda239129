#include "runtime/ready_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace postlane {
namespace {

using enum ReadyQueue::Offered;
using testing::ElementsAre;
using testing::IsEmpty;

Instant at(int second) {
    return Instant{std::chrono::seconds{second}};
}

ReadyItem item(const std::string& recipient, const std::string& id, int due, Offset offset,
               const std::string& route = "a") {
    ReadyItem ready;
    ready.recipient = RecipientId(recipient);
    ready.message_id = MessageId(id);
    ready.route = route;
    ready.due_at = at(due);
    ready.input_offset = offset;
    ready.expires_at = at(due + 1'000);
    return ready;
}

std::vector<std::string> names(const std::vector<ReadyItem>& items) {
    std::vector<std::string> ids;
    for (const ReadyItem& one : items) {
        ids.push_back(one.message_id.value());
    }
    return ids;
}

std::vector<std::string> next(const ReadyQueue& queue, const std::set<std::string>& blocked = {},
                              std::size_t limit = 100) {
    return names(queue.candidates(blocked, BootInstant::max(), limit));
}

TEST(ReadyQueueTest, DueThenInputOrderAcrossRecipientsAndRoutes) {
    ReadyQueue queue;
    queue.offer(item("ann", "late", 30, 1, "a"));
    queue.offer(item("bob", "first", 10, 9, "b"));
    queue.offer(item("cid", "third", 20, 8, "a"));
    queue.offer(item("dan", "second", 20, 7, "b"));
    EXPECT_THAT(next(queue), ElementsAre("first", "second", "third", "late"));
    EXPECT_THAT(next(queue, {}, 2), ElementsAre("first", "second"));
    EXPECT_EQ(queue.runnable(), 4U);
    EXPECT_EQ(queue.runnable("a"), 2U);
}

TEST(ReadyQueueTest, OneAtATimePerRecipientTheEarliestFirst) {
    ReadyQueue queue;
    queue.offer(item("ann", "later", 20, 2));
    queue.offer(item("ann", "sooner", 10, 3, "b"));
    queue.offer(item("bob", "other", 30, 1));
    EXPECT_THAT(next(queue), ElementsAre("sooner", "other"));
}

TEST(ReadyQueueTest, ABlockedRouteIsInNobodysWay) {
    ReadyQueue queue;
    queue.offer(item("ann", "blocked", 10, 1, "a"));
    queue.offer(item("ann", "free", 20, 2, "b"));
    queue.offer(item("bob", "also_blocked", 5, 3, "a"));
    EXPECT_THAT(next(queue, {"a"}), ElementsAre("free"));
    EXPECT_THAT(next(queue, {"a", "b"}), IsEmpty());
}

TEST(ReadyQueueTest, WhatBecameReadyAfterTheViewWasFreshIsLeftOut) {
    ReadyQueue queue;
    ReadyItem early = item("ann", "early", 10, 1);
    early.ready_since = BootInstant{Millis{5}};
    ReadyItem late = item("bob", "late", 10, 2);
    late.ready_since = BootInstant{Millis{6}};
    queue.offer(early);
    queue.offer(late);
    EXPECT_THAT(names(queue.candidates({}, BootInstant{Millis{4}}, 9)), IsEmpty());
    EXPECT_THAT(names(queue.candidates({}, BootInstant{Millis{5}}, 9)), ElementsAre("early"));
    EXPECT_THAT(names(queue.candidates({}, BootInstant{Millis{6}}, 9)),
                ElementsAre("early", "late"));
    EXPECT_EQ(queue.latest_ready_since(), BootInstant{Millis{6}});
    queue.set_busy(RecipientId("bob"));
    EXPECT_EQ(queue.latest_ready_since(), BootInstant{Millis{5}});
    queue.set_busy(RecipientId("ann"));
    EXPECT_EQ(queue.latest_ready_since(), BootInstant{});
    queue.set_free(RecipientId("bob"));
    queue.remove(RecipientId("bob"), MessageId("late"));
    EXPECT_EQ(queue.latest_ready_since(), BootInstant{});
}

TEST(ReadyQueueTest, ABusyRecipientIsPassedOver) {
    ReadyQueue queue;
    queue.offer(item("ann", "a1", 10, 1));
    queue.set_busy(RecipientId("ann"));
    queue.offer(item("ann", "a2", 5, 2));
    queue.offer(item("bob", "b1", 20, 3));
    EXPECT_THAT(next(queue), ElementsAre("b1"));
    EXPECT_TRUE(queue.is_busy(RecipientId("ann")));
    EXPECT_EQ(queue.runnable(), 1U);
    queue.set_free(RecipientId("ann"));
    EXPECT_THAT(next(queue), ElementsAre("a2", "b1"));
    EXPECT_EQ(queue.runnable(), 3U);
}

TEST(ReadyQueueTest, OfferedTwiceIsKnownRemovedIsGone) {
    ReadyQueue queue;
    EXPECT_EQ(queue.offer(item("ann", "m", 10, 1)), Taken);
    EXPECT_EQ(queue.offer(item("ann", "m", 10, 1)), Known);
    EXPECT_EQ(queue.size(), 1U);
    queue.remove(RecipientId("ann"), MessageId("m"));
    queue.remove(RecipientId("ann"), MessageId("m"));
    queue.remove(RecipientId("bob"), MessageId("m"));
    EXPECT_EQ(queue.size(), 0U);
    EXPECT_EQ(queue.recipients(), 0U);
    EXPECT_THAT(next(queue), IsEmpty());
}

TEST(ReadyQueueTest, IsBounded) {
    ReadyQueue queue;
    for (Offset offset = 0; offset < static_cast<Offset>(ReadyQueue::kItemsMax); ++offset) {
        ASSERT_EQ(queue.offer(item("r" + std::to_string(offset), "m", 1, offset)), Taken);
    }
    EXPECT_EQ(queue.offer(item("one_more", "m", 1, 0)), QueueFull);
    queue.remove(RecipientId("r5"), MessageId("m"));
    EXPECT_EQ(queue.offer(item("one_more", "m", 1, 0)), Taken);
}

TEST(ReadyQueueTest, NoRecipientTakesAllOfIt) {
    ReadyQueue queue;
    for (Offset offset = 0; offset < static_cast<Offset>(ReadyQueue::kPerRecipientMax); ++offset) {
        ASSERT_EQ(queue.offer(item("ann", std::to_string(offset), 1, offset)), Taken);
    }
    EXPECT_EQ(queue.offer(item("ann", "too_many", 1, 99)), RecipientFull);
    EXPECT_EQ(queue.offer(item("bob", "m", 1, 99)), Taken);
}

TEST(ReadyQueueTest, ExpiredAreFoundBusyOrNot) {
    ReadyQueue queue;
    queue.offer(item("ann", "old", 10, 1));
    queue.offer(item("bob", "young", 11, 2));
    queue.set_busy(RecipientId("ann"));
    EXPECT_THAT(queue.expired(at(1'009)), IsEmpty());
    EXPECT_THAT(queue.expired(at(1'010)),
                ElementsAre(std::pair(RecipientId("ann"), MessageId("old"))));
}

TEST(ReadyQueueTest, ShrinkKeepsTheEarliestOfThatRoute) {
    ReadyQueue queue;
    for (int due = 0; due < 10; ++due) {
        const std::string n = std::to_string(due);
        queue.offer(item("a" + n, "a" + n, due, due, "a"));
        queue.offer(item("b" + n, "b" + n, due, due, "b"));
    }
    queue.shrink("a", 2);
    queue.shrink("unknown", 2);
    EXPECT_EQ(queue.runnable("a"), 2U);
    EXPECT_EQ(queue.runnable("b"), 10U);
    EXPECT_THAT(next(queue, {"b"}), ElementsAre("a0", "a1"));
}

// --- more in the store than fits ---

ReadyQueue::From from(int due, Offset offset) {
    return {"key" + std::to_string(1'000 + due), at(due), offset};
}

TEST(ReadyQueueTest, MoreIsWantedOnceTheRecipientRanEmpty) {
    ReadyQueue queue;
    const RecipientId ann("ann");
    queue.offer(item("ann", "m", 10, 1));
    queue.note_more(ann, "a", from(12, 3));
    queue.note_more(ann, "a", from(11, 2));
    queue.note_more(ann, "b", from(13, 4));
    queue.note_more(ann, "a", from(14, 5));
    EXPECT_FALSE(queue.wants_more());
    EXPECT_FALSE(queue.take_more());

    queue.remove(ann, MessageId("m"));

    EXPECT_TRUE(queue.wants_more());
    const auto more = queue.take_more();
    ASSERT_TRUE(more);
    EXPECT_EQ(more->recipient, ann);
    ASSERT_EQ(more->from.size(), 2U);
    EXPECT_EQ(more->from.at("a").wake_key, from(11, 2).wake_key);
    EXPECT_EQ(more->from.at("b").wake_key, from(13, 4).wake_key);
    EXPECT_FALSE(queue.take_more());
    EXPECT_EQ(queue.recipients(), 0U);
}

TEST(ReadyQueueTest, MoreIsWantedWhileTheLastOneIsOnTheWire) {
    ReadyQueue queue;
    const RecipientId ann("ann");
    queue.set_busy(ann);
    queue.note_more(ann, "a", from(11, 2));
    ASSERT_TRUE(queue.take_more());
    EXPECT_TRUE(queue.is_busy(ann));
}

TEST(ReadyQueueTest, NothingOvertakesWhatWaitsInTheStore) {
    ReadyQueue queue;
    const RecipientId ann("ann");
    queue.offer(item("ann", "m", 10, 1));
    queue.note_more(ann, "a", from(20, 5));
    EXPECT_EQ(queue.offer(item("ann", "newer", 20, 6, "b")), RecipientFull);
    EXPECT_EQ(queue.offer(item("ann", "came_back", 10, 2)), Taken);
    EXPECT_EQ(queue.offer(item("bob", "newer", 20, 6)), Taken);
}

TEST(ReadyQueueTest, ARecipientThatGotSomethingIsNotHungry) {
    ReadyQueue queue;
    const RecipientId ann("ann");
    queue.note_more(ann, "a", from(20, 5));
    EXPECT_TRUE(queue.wants_more());
    queue.offer(item("ann", "came_back", 10, 2));
    EXPECT_FALSE(queue.wants_more());
    queue.remove(ann, MessageId("came_back"));
    EXPECT_TRUE(queue.wants_more());
}

}  // namespace
}  // namespace postlane
