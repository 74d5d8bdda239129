// The 144 pairs, drawn by hand from the protocol and not from the table under test.
#include "postlane/message_state.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace postlane {
namespace {

using enum MessageState;

constexpr std::array kStates{Held, Waiting,          Scheduled, Ready,  Sending,      Retrying,
                             Sent, SuppressedAtSend, Expired,   Failed, DeadLettered, Ambiguous};

struct Row {
    MessageState from;
    std::string to;  // one letter per state, in the order of kStates; x: legal
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << to_string(row.from);
}

class StateTable : public testing::TestWithParam<Row> {};

TEST_P(StateTable, AllowsExactlyTheProtocolsSteps) {
    ASSERT_EQ(GetParam().to.size(), kStates.size());
    for (std::size_t i = 0; i < kStates.size(); ++i) {
        EXPECT_EQ(can_become(GetParam().from, kStates[i]), GetParam().to[i] == 'x')
            << "to " << to_string(kStates[i]);
    }
}

// clang-format off
INSTANTIATE_TEST_SUITE_P(
    Protocol, StateTable,
    testing::Values(
        // Held, Waiting, scHeduled, Ready, seNding, reTrying | Sent, sUppressed, Expired, Failed,
        // Dead-lettered, Ambiguous
        //                    HWhRnT SUEFDA
        Row{Held,             "xxxx.." ".xx.x."},
        Row{Waiting,          "xxxx.." ".xx.x."},
        Row{Scheduled,        "..xxx." ".xx.x."},
        Row{Ready,            "xxxxx." ".xxxxx"},
        Row{Sending,          "...xxx" "xxxx.x"},
        Row{Retrying,         "...xxx" ".xxxxx"},
        Row{Sent,             "......" "......"},
        Row{SuppressedAtSend, "......" "......"},
        Row{Expired,          "......" "......"},
        Row{Failed,           "......" "......"},
        Row{DeadLettered,     "xxxx.." ".xx.x."},
        Row{Ambiguous,        "......" "x..x.."}),
    [](const auto& row) { return std::string(to_string(row.param.from)); });
// clang-format on

TEST(MessageState, OnlySendingEndsAsSentExceptByEvidence) {
    for (const MessageState from : kStates) {
        EXPECT_EQ(can_become(from, Sent), from == Sending || from == Ambiguous) << to_string(from);
    }
}

TEST(MessageState, NothingIsSentBeforeItsTurn) {
    EXPECT_FALSE(can_become(Held, Sending));
    EXPECT_FALSE(can_become(Waiting, Sending));
}

TEST(MessageState, OutcomesAndEndedStatesMatch) {
    for (const MessageState state : kStates) {
        EXPECT_EQ(has_ended(state), state >= Sent);
        if (has_ended(state)) {
            EXPECT_EQ(state_of(outcome_of(state)), state);
            EXPECT_EQ(to_string(outcome_of(state)), to_string(state));
        }
    }
}

TEST(MessageStateDeathTest, NonsenseStopsTheProcess) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    EXPECT_DEATH(static_cast<void>(outcome_of(Ready)), "");
    EXPECT_DEATH(static_cast<void>(state_of(Outcome::Duplicate)), "");
    EXPECT_DEATH(static_cast<void>(to_string(static_cast<MessageState>(9))), "");
}

}  // namespace
}  // namespace postlane
