// Stored bytes: everything comes back, nothing else is accepted, order of bytes is order of
// meaning.
#include "codec/ledger_codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <limits>
#include <random>
#include <utility>

namespace postlane {

// Row types without an operator== of their own.
static bool operator==(const Payload& a, const Payload& b) {
    return a.timestamp == b.timestamp && a.value == b.value && a.headers == b.headers;
}
static bool operator==(const MessageRow& a, const MessageRow& b) {
    return a.state == b.state && a.reason == b.reason && a.body_hash == b.body_hash &&
           a.input_offset == b.input_offset && a.sequence == b.sequence &&
           a.category == b.category && a.campaign_id == b.campaign_id && a.route == b.route &&
           a.provider == b.provider && a.provider_message_id == b.provider_message_id &&
           a.attempts == b.attempts && a.route_position == b.route_position &&
           a.maybe_executed == b.maybe_executed && a.ended_ahead == b.ended_ahead &&
           a.outside_sequence == b.outside_sequence && a.received_at == b.received_at &&
           a.decided_at == b.decided_at && a.due_at == b.due_at && a.expires_at == b.expires_at &&
           a.expires_at_given == b.expires_at_given && a.wake_at == b.wake_at &&
           a.first_attempt_at == b.first_attempt_at && a.skipped_steps == b.skipped_steps &&
           a.intent == b.intent &&
           (a.payload ? b.payload && *a.payload == *b.payload : !b.payload) &&
           a.row_expires_at == b.row_expires_at;
}
static bool operator==(const SequenceRow::Halt& a, const SequenceRow::Halt& b) {
    return a.reason == b.reason && a.step == b.step && a.until == b.until;
}
static bool operator==(const SequenceRow& a, const SequenceRow& b) {
    return a.expected == b.expected && a.known_through == b.known_through && a.held == b.held &&
           a.last_end_at == b.last_end_at && a.halt == b.halt &&
           a.skipped_steps == b.skipped_steps && a.row_expires_at == b.row_expires_at;
}
static bool operator==(const StepEntry& a, const StepEntry& b) {
    return a.step == b.step && a.message_id == b.message_id && a.ended == b.ended;
}

namespace ledger {
namespace {

Instant at(std::int64_t milliseconds) {
    return Instant(Millis(milliseconds));
}

constexpr std::array kStates{
    MessageState::Held,   MessageState::Waiting,          MessageState::Scheduled,
    MessageState::Ready,  MessageState::Sending,          MessageState::Retrying,
    MessageState::Sent,   MessageState::SuppressedAtSend, MessageState::Expired,
    MessageState::Failed, MessageState::DeadLettered,     MessageState::Ambiguous};

// Values that a test must not forget: zeros, extremes, bytes that look like structure.
class Random {
public:
    explicit Random(std::uint64_t seed) : engine_(seed) {}
    std::uint64_t below(std::uint64_t end) { return engine_() % end; }
    bool coin() { return below(2) == 1; }
    std::uint64_t number() {
        switch (below(5)) {
            case 0:
                return 0;
            case 1:
                return below(200);
            case 2:
                return std::numeric_limits<std::uint64_t>::max();
            default:
                return engine_() >> below(64);
        }
    }
    std::int64_t integer() { return static_cast<std::int64_t>(number()); }
    std::uint32_t small() { return static_cast<std::uint32_t>(number()); }
    Instant instant() {
        return coin() ? at(1'795'000'000'000 + static_cast<std::int64_t>(below(10'000'000'000)))
                      : at(integer());
    }
    std::string text() {
        std::string value(coin() ? below(4) : below(400), '\0');
        std::generate(value.begin(), value.end(), [&] { return static_cast<char>(engine_()); });
        return value;
    }
    std::vector<Step> steps() {
        std::vector<Step> steps(below(5));
        std::generate(steps.begin(), steps.end(), [&] { return number(); });
        return steps;
    }
    Hash128 hash() {
        Hash128 hash{};
        std::generate(hash.begin(), hash.end(),
                      [&] { return static_cast<std::uint8_t>(engine_()); });
        return hash;
    }
    Reason reason() {
        return static_cast<Reason>(below(static_cast<std::uint64_t>(kLastReason) + 1));
    }
    Scope scope() {
        const auto kind = static_cast<Scope::Kind>(below(3));
        return Scope{kind, kind == Scope::Kind::Everything ? "" : text()};
    }
    SuppressionReason suppression_reason() { return static_cast<SuppressionReason>(1 + below(7)); }

private:
    std::mt19937_64 engine_;
};

MessageRow random_message(Random& random) {
    MessageRow row;
    row.state = kStates[random.below(kStates.size())];
    row.reason = random.reason();
    row.body_hash = random.hash();
    row.input_offset = random.integer();
    const bool behind = row.state == MessageState::Held || row.state == MessageState::Waiting;
    if (behind || random.coin()) {
        row.sequence = SequenceRef{random.text(), random.number()};
    }
    row.category = random.text();
    row.campaign_id = random.text();
    row.route = random.text();
    row.provider = random.text();
    row.provider_message_id = random.text();
    row.attempts = random.small();
    row.route_position = random.small();
    row.maybe_executed = random.coin();
    row.ended_ahead = random.coin();
    row.outside_sequence = random.coin();
    row.received_at = random.instant();
    row.decided_at = random.instant();
    row.row_expires_at = random.instant();
    if (has_ended(row.state)) {
        return row;
    }
    row.due_at = random.instant();
    row.expires_at = random.instant();
    if (random.coin()) {
        row.expires_at_given = random.instant();
    }
    row.wake_at = random.instant();
    row.first_attempt_at = random.instant();
    row.skipped_steps = random.steps();
    if (row.state == MessageState::Sending || random.coin()) {
        row.intent = Intent{{random.number(), random.number()},
                            random.text(),
                            Millis(random.integer()),
                            Millis(random.integer()),
                            random.hash()};
    }
    Payload payload{random.instant(), random.text(), {}};
    for (std::uint64_t i = random.below(3); i > 0; --i) {
        payload.headers.push_back(
            Header{random.text(), random.coin() ? std::optional(random.text()) : std::nullopt});
    }
    row.payload = std::make_shared<const Payload>(std::move(payload));
    return row;
}

SequenceRow random_sequence(Random& random) {
    SequenceRow row;
    row.expected = random.number();
    row.known_through = random.number();
    row.held = random.small();
    row.last_end_at = random.instant();
    if (random.coin()) {
        row.halt = SequenceRow::Halt{random.reason(), random.number(), random.instant()};
    }
    row.skipped_steps = random.steps();
    row.row_expires_at = random.instant();
    return row;
}

SuppressionRow random_suppressions(Random& random) {
    SuppressionRow row;
    for (std::uint64_t i = random.below(4); i > 0; --i) {
        row.entries.push_back({random.scope(), random.suppression_reason(), random.instant(),
                               random.coin() ? std::optional(random.instant()) : std::nullopt});
    }
    for (std::uint64_t i = random.below(4); i > 0; --i) {
        row.clearings.push_back(
            {random.coin() ? std::optional(random.scope()) : std::nullopt,
             random.coin() ? std::optional(random.suppression_reason()) : std::nullopt,
             random.instant()});
    }
    return row;
}

GenesisRow random_genesis(Random& random) {
    return GenesisRow{random.hash(), static_cast<std::int32_t>(random.small()), random.text(),
                      static_cast<std::uint8_t>(random.number())};
}

// One kind of value: something to encode, and how its bytes are read.
struct ValueKind {
    std::string name;
    std::function<std::string(Random&)> encoded;                 // also checks the round trip
    std::function<Result<std::string>(std::string_view)> again;  // decode, then encode
};
void PrintTo(const ValueKind& kind, std::ostream* out) {
    *out << kind.name;
}

template <class Make, class Decode>
ValueKind value_kind(std::string name, Make make, Decode decode) {
    return {std::move(name),
            [make, decode](Random& random) {
                const auto row = make(random);
                const std::string bytes = encode(row);
                const auto back = decode(bytes);
                EXPECT_TRUE(back.has_value());
                EXPECT_TRUE(back && *back == row);
                return bytes;
            },
            [decode](std::string_view bytes) -> Result<std::string> {
                auto row = decode(bytes);
                if (!row) {
                    return tl::unexpected<Error>(row.error());
                }
                return encode(*row);
            }};
}

class Value : public testing::TestWithParam<ValueKind> {};

TEST_P(Value, ComesBack) {
    Random random(1);
    for (int i = 0; i < 2'000 && !HasFailure(); ++i) {
        static_cast<void>(GetParam().encoded(random));
    }
}

TEST_P(Value, TruncatedAnywhereIsCorrupt) {
    Random random(2);
    for (int i = 0; i < 50; ++i) {
        const std::string bytes = GetParam().encoded(random);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            const auto result = GetParam().again(std::string_view(bytes).substr(0, size));
            ASSERT_FALSE(result.has_value()) << size << " of " << bytes.size();
            ASSERT_EQ(result.error().code, ErrorCode::Corrupt);
        }
    }
}

TEST_P(Value, TrailingByteIsCorrupt) {
    Random random(3);
    for (int i = 0; i < 50; ++i) {
        const auto result = GetParam().again(GetParam().encoded(random) + '\0');
        ASSERT_FALSE(result.has_value());
        ASSERT_EQ(result.error().code, ErrorCode::Corrupt);
    }
}

TEST_P(Value, UnknownVersionIsCorruptAndSaysSo) {
    Random random(4);
    std::string bytes = GetParam().encoded(random);
    bytes[0] = 2;
    const auto result = GetParam().again(bytes);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().code, ErrorCode::Corrupt);
    EXPECT_THAT(result.error().detail, testing::HasSubstr("version 2"));
}

// Whatever decodes is what would have been written: there is one encoding of each value.
TEST_P(Value, DamagedBytesAreCorruptOrMeanSomethingElse) {
    Random random(5);
    int accepted = 0;
    for (int i = 0; i < 5'000; ++i) {
        std::string bytes = GetParam().encoded(random);
        for (std::uint64_t flips = 1 + random.below(3); flips > 0; --flips) {
            bytes[random.below(bytes.size())] = static_cast<char>(random.below(256));
        }
        if (const auto result = GetParam().again(bytes)) {
            ++accepted;
            ASSERT_EQ(*result, bytes);
        } else {
            ASSERT_EQ(result.error().code, ErrorCode::Corrupt);
        }
    }
    EXPECT_GT(accepted, 0);
}

TEST_P(Value, NoiseNeverCrashes) {
    Random random(6);
    for (int i = 0; i < 20'000; ++i) {
        const std::string bytes = '\1' + random.text();
        if (const auto result = GetParam().again(bytes)) {
            ASSERT_EQ(*result, bytes);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, Value,
    testing::Values(value_kind("Genesis", random_genesis, decode_genesis),
                    value_kind(
                        "Offsets", [](Random& r) { return OffsetsRow{r.integer(), r.integer()}; },
                        decode_offsets),
                    value_kind("Message", random_message, decode_message),
                    value_kind("Sequence", random_sequence, decode_sequence),
                    value_kind("Suppressions", random_suppressions, decode_suppressions),
                    value_kind(
                        "Position",
                        [](Random& r) { return Position{r.hash(), r.integer(), r.instant()}; },
                        decode_position)),
    [](const auto& kind) { return kind.param.name; });

// A huge count in a short value must not become an allocation.
TEST(LedgerValue, CountsAreCheckedBeforeAllocating) {
    const std::string many("\1\xff\xff\xff\xff\x0f", 6);
    EXPECT_FALSE(decode_suppressions(many).has_value());
    const std::string skipped("\1\x04\1\1\0\xff\xff\xff\xff\xff\xff\xff\x7f", 13);
    EXPECT_FALSE(decode_sequence(skipped).has_value());
}

TEST(LedgerValue, UnknownStatesAndReasonsAreCorrupt) {
    MessageRow row;
    row.state = MessageState::Sent;
    std::string bytes = encode(row);
    for (int state = 0; state < 256; ++state) {
        bytes[1] = static_cast<char>(state);
        const bool known =
            std::count(kStates.begin(), kStates.end(), static_cast<MessageState>(state)) == 1;
        EXPECT_EQ(peek_message_state(bytes).has_value(), known) << state;
        const bool ended = known && has_ended(static_cast<MessageState>(state));
        EXPECT_EQ(decode_message(bytes).has_value(), ended) << state;  // a live one has a payload
    }
    bytes[1] = static_cast<char>(MessageState::Sent);
    bytes[2] = static_cast<char>(static_cast<int>(kLastReason) + 1);
    EXPECT_FALSE(decode_message(bytes).has_value());
}

// A damaged row must not reach decisions that rely on what rows of its state have.
TEST(LedgerValue, ALiveRowLacksNothingThatItsStateNeeds) {
    for (const MessageState state : kStates) {
        MessageRow row;
        row.state = state;
        row.payload = std::make_shared<const Payload>();
        row.intent.emplace();
        row.sequence = SequenceRef{"drip", 1};
        ASSERT_TRUE(decode_message(encode(row)).has_value()) << to_string(state);

        MessageRow without_payload = row;
        without_payload.payload.reset();
        EXPECT_EQ(decode_message(encode(without_payload)).has_value(), has_ended(state));
        MessageRow without_intent = row;
        without_intent.intent.reset();
        EXPECT_EQ(decode_message(encode(without_intent)).has_value(),
                  state != MessageState::Sending);
        MessageRow without_sequence = row;
        without_sequence.sequence.reset();
        EXPECT_EQ(decode_message(encode(without_sequence)).has_value(),
                  state != MessageState::Held && state != MessageState::Waiting);
    }
}

TEST(LedgerValue, StateCanBePeekedAt) {
    Random random(7);
    for (int i = 0; i < 500; ++i) {
        const MessageRow row = random_message(random);
        const auto state = peek_message_state(encode(row));
        ASSERT_TRUE(state.has_value());
        EXPECT_EQ(*state, row.state);
    }
    EXPECT_FALSE(peek_message_state("").has_value());
    EXPECT_FALSE(peek_message_state("\1").has_value());
    EXPECT_FALSE(peek_message_state("\2\x10").has_value());
}

MessageRow typical_ended_row() {
    MessageRow row;
    row.state = MessageState::Sent;
    row.reason = Reason::Accepted;
    row.body_hash.fill(0xab);
    row.input_offset = 3'000'000'000;
    row.sequence = SequenceRef{"onboarding", 12};
    row.category = "marketing";
    row.campaign_id = "spring-sale";
    row.route = "default";
    row.provider = "ses-eu";
    row.provider_message_id = "0100018c2f6b8b4e-7a3d1f0e-9b5c-4a7e-8";
    row.attempts = 2;
    row.received_at = at(1'795'000'000'123);
    row.decided_at = row.received_at + std::chrono::days(3);
    row.row_expires_at = row.decided_at + std::chrono::days(30);
    return row;
}

TEST(LedgerValue, AnEndedRowIsSmall) {
    EXPECT_LE(encode(typical_ended_row()).size(), 140U);
}

TEST(LedgerValue, EndingDropsWhatOnlyMattersBefore) {
    const MessageRow lasting = typical_ended_row();
    MessageRow row = lasting;
    row.due_at = row.expires_at = row.wake_at = row.first_attempt_at = row.received_at;
    row.expires_at_given = row.received_at;
    row.skipped_steps = {1, 2};
    row.intent.emplace();
    row.payload = std::make_shared<const Payload>();
    EXPECT_EQ(encode(row), encode(lasting));
    row.state = MessageState::Retrying;
    EXPECT_GT(encode(row).size(), encode(lasting).size());
}

const RecipientId kAnn("ann");

TEST(LedgerKey, ComesBack) {
    Random random(8);
    for (int i = 0; i < 1'000; ++i) {
        const RecipientId recipient(random.text());
        const std::string id = random.text();
        const auto message = parse_key(message_key(recipient, MessageId(id)));
        ASSERT_TRUE(message.has_value());
        EXPECT_EQ(message->kind, Kind::Message);
        EXPECT_EQ(message->recipient, recipient);
        EXPECT_EQ(message->id, id);
        const auto sequence = parse_key(sequence_key(recipient, id));
        ASSERT_TRUE(sequence.has_value());
        EXPECT_EQ(sequence->kind, Kind::Sequence);
        EXPECT_EQ(sequence->id, id);
        const auto suppressions = parse_key(suppressions_key(recipient));
        ASSERT_TRUE(suppressions.has_value());
        EXPECT_EQ(suppressions->kind, Kind::Suppressions);
        EXPECT_EQ(suppressions->recipient, recipient);
    }
    EXPECT_EQ(parse_key(genesis_key())->kind, Kind::Genesis);
    EXPECT_EQ(parse_key(offsets_key())->kind, Kind::Offsets);
}

TEST(LedgerKey, NothingElseIsAKey) {
    const std::string valid = message_key(kAnn, MessageId("m"));
    std::string newer = valid;
    newer[0] = 2;
    for (const std::string& bytes :
         {std::string(), std::string("\1"), std::string("\1X"), std::string("\1G\1"),
          std::string("\1O\1"), std::string("\1R"), std::string("\1R\3ann"),
          std::string("\1R\4ann"), std::string("\1R\3annX"), suppressions_key(kAnn) + "x",
          std::string("\1R\x83\0annS", 8), newer, position_key(), step_key(kAnn, "s", 1)}) {
        const auto key = parse_key(bytes);
        ASSERT_FALSE(key.has_value()) << testing::PrintToString(bytes);
        EXPECT_EQ(key.error().code, ErrorCode::Corrupt);
    }
}

TEST(LedgerKey, RecipientsNeverMixAndAllAreInTheLedgersRange) {
    // Recipient ids that are prefixes of each other, or contain what separates.
    const std::vector<std::string> ids{
        "a", "ab", "abM", "aM", std::string("a\0", 2), std::string("a\1M", 3), "b"};
    std::vector<std::pair<std::string, std::string>> keys;
    for (const std::string& id : ids) {
        const RecipientId recipient(id);
        for (const std::string& name : ids) {
            keys.emplace_back(message_key(recipient, MessageId(name)), id);
            keys.emplace_back(sequence_key(recipient, name), id);
        }
        keys.emplace_back(suppressions_key(recipient), id);
    }
    std::sort(keys.begin(), keys.end());
    EXPECT_EQ(std::adjacent_find(keys.begin(), keys.end(),
                                 [](const auto& a, const auto& b) { return a.first == b.first; }),
              keys.end());
    std::vector<std::string> runs;
    for (const auto& [key, owner] : keys) {
        if (runs.empty() || runs.back() != owner) {
            runs.push_back(owner);
        }
        EXPECT_LE(ledger_keys_begin(), key);
        EXPECT_LT(key, ledger_keys_end());
    }
    EXPECT_EQ(runs.size(), ids.size()) << "keys of one recipient are adjacent";
    for (const std::string& local : {position_key(), step_key(kAnn, "s", 1), wake_key(Wake{})}) {
        EXPECT_LT(local, ledger_keys_begin());
    }
    EXPECT_LT(genesis_key(), ledger_keys_end());
    EXPECT_LE(ledger_keys_begin(), offsets_key());
}

TEST(LedgerKey, PrefixEndIsOnePastThePrefix) {
    EXPECT_EQ(prefix_end("ab"), "ac");
    EXPECT_EQ(prefix_end(std::string("a\xff", 2)), "b");
    EXPECT_EQ(prefix_end("\xff\xff"), "");
}

TEST(StepKey, SortsByNumberWithinItsSequence) {
    const std::vector<Step> steps{0, 1, 2, 255, 256, 65'536, std::numeric_limits<Step>::max()};
    std::vector<std::string> keys;
    for (const Step step : steps) {
        const StepEntry entry{step, MessageId(std::string("m\0x", 3)), step % 2 == 0};
        keys.push_back(step_key(kAnn, "drip", step));
        EXPECT_EQ(keys.back().rfind(step_prefix(kAnn, "drip"), 0), 0U);
        EXPECT_LT(keys.back(), prefix_end(step_prefix(kAnn, "drip")));
        const auto back = decode_step(keys.back(), encode_step(entry));
        ASSERT_TRUE(back.has_value());
        EXPECT_TRUE(*back == entry);
        const auto place = parse_step_key(keys.back());
        ASSERT_TRUE(place.has_value());
        EXPECT_EQ(place->recipient, kAnn);
        EXPECT_EQ(place->sequence_id, "drip");
        EXPECT_EQ(place->step, step);
        EXPECT_TRUE(keys.back() > steps_begin() && keys.back() < prefix_end(steps_begin()));
    }
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
    const std::string other = step_key(kAnn, "drip2", 1);
    EXPECT_NE(other.rfind(step_prefix(kAnn, "drip"), 0), 0U);
}

TEST(StepKey, DamageIsCorrupt) {
    const std::string key = step_key(kAnn, "drip", 7);
    const std::string value = encode_step({7, MessageId("m"), true});
    for (std::size_t size = 0; size < key.size(); ++size) {
        EXPECT_FALSE(decode_step(key.substr(0, size), value).has_value());
        EXPECT_FALSE(parse_step_key(key.substr(0, size)).has_value());
    }
    EXPECT_FALSE(decode_step(key + "x", value).has_value());
    EXPECT_FALSE(parse_step_key(wake_key(Wake{})).has_value());
    EXPECT_FALSE(decode_step(key, "").has_value());
    EXPECT_FALSE(decode_step(key, "\1").has_value());
    EXPECT_FALSE(decode_step(key, "\1\2m").has_value());
    EXPECT_FALSE(decode_step(key, "\2\1m").has_value());
}

TEST(WakeKey, ComesBackAndSortsByRouteThenTimeThenOffset) {
    std::vector<Wake> wakes;
    for (const std::string& route : {std::string(), std::string("a"), std::string("ab")}) {
        for (const std::int64_t time :
             {std::numeric_limits<std::int64_t>::min(), std::int64_t{-1}, std::int64_t{0},
              std::int64_t{1'795'000'000'000}, std::numeric_limits<std::int64_t>::max()}) {
            for (const Offset offset : {Offset{-1}, Offset{0}, Offset{1}, Offset{1} << 40}) {
                for (const Wake::Target target :
                     {Wake::Target::Message, Wake::Target::SequenceHalt}) {
                    wakes.push_back(Wake{route, at(time), offset, target, kAnn, "some id"});
                }
            }
        }
    }
    std::vector<std::string> keys;
    for (const Wake& wake : wakes) {
        keys.push_back(wake_key(wake));
        const auto back = parse_wake(keys.back());
        ASSERT_TRUE(back.has_value());
        EXPECT_TRUE(*back == wake);
        EXPECT_EQ(keys.back().rfind(wake_prefix(wake.route), 0), 0U);
    }
    EXPECT_TRUE(std::is_sorted(keys.begin(), keys.end()));
    EXPECT_EQ(keys[40].rfind(wake_prefix(""), 0), std::string::npos) << "routes are prefix-free";
    EXPECT_FALSE(parse_wake(keys[40].substr(0, 20)).has_value());
    EXPECT_FALSE(parse_wake(position_key()).has_value());
    EXPECT_FALSE(parse_wake("").has_value());
}

}  // namespace
}  // namespace ledger
}  // namespace postlane
