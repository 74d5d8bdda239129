// Bytes nobody meant: whatever arrives, the decoder answers. Meant to run under ASan and UBSan too.
#include <gtest/gtest.h>

#include <random>

#include "decode_support.h"

namespace postlane {
namespace {

const std::string kSeeds[] = {
    event_json(R"("campaign_id":"c","recipient_id":"user-123","category":"m",
        "sequence":{"id":"x","step":2},"send_at":"2026-12-01T09:00:00+02:00","route":"default",
        "delay_after_previous_ms":1000,"expires_at":"2026-12-02T09:00:00Z",
        "from":{"email":"hi@shop.example","name":"Sh\u00f6p"},
        "reply_to":{"email":"\"a b\"@b\u00fccher.example"},
        "headers":{"X-A":"\ud83d\udce7"},"tags":["a","b"],
        "metadata":{"n":1.50,"o":{"p":[null,true]}},
        "unsubscribe_url":"https://a.example/u")"),
    event_json(R"("template" : {"data":{"a":[1,{"b":"\\\""}],"c":-1.5e3},"id":"t"})", kContent),
    R"({"event_id":"e","recipient_id":"user-123","email":"a@example.com","action":"unsuppress",
        "reason":"soft_bounce","scope":{"category":"m"},"occurred_at":"2025-11-21T10:00:00.5Z",
        "expires_at":null,"source":"s"})",
    std::string("\0\0\0\0\7", 5) + event_json("")};

class Mutations : public testing::Test {
protected:
    void feed(const std::string& value) {
        InputRecord record = record_of(value);
        const auto event = decoder_.send(record, 0);
        if (event) {
            ++accepted_;
            // What was accepted is accepted again from the ledger, as the same body.
            const auto again =
                decoder_.stored(event->recipient_id, Payload{kRecordTime, value, {}});
            ASSERT_TRUE(again.has_value());
            EXPECT_EQ(again->body_hash, event->body_hash);
            EXPECT_EQ(again->message_id, event->message_id);
        } else {
            EXPECT_NE(event.error().reason, Reason::None);
            EXPECT_FALSE(event.error().detail.empty());
        }
        const auto by_recipient = decoder_.suppression(record, 0, Instant::max());
        EXPECT_TRUE(by_recipient.event.has_value() ||
                    by_recipient.event.error().reason != Reason::None);
        record.key = value.substr(0, 300);
        const auto by_address = decoder_.address_suppression(record, Instant::max());
        EXPECT_TRUE(!by_address.event.has_value() || by_address.address.has_value());
        (void)decoder_.send(record, 0);
    }
    std::string mutated(std::string text) {
        static constexpr std::string_view kMeaningful = "{}[]\",:\\u0eE+-.@ \n\t";
        const std::size_t changes = 1 + random_() % 4;
        for (std::size_t i = 0; i < changes && !text.empty(); ++i) {
            const std::size_t at = random_() % text.size();
            switch (random_() % 5) {
                case 0:
                    text[at] = static_cast<char>(random_() % 256);
                    break;
                case 1:
                    text.erase(at, 1 + random_() % 20);
                    break;
                case 2:
                    text.insert(at, 1, kMeaningful[random_() % kMeaningful.size()]);
                    break;
                case 3:
                    text.insert(at, text.substr(random_() % text.size(), random_() % 40));
                    break;
                default:
                    text[at] = kMeaningful[random_() % kMeaningful.size()];
            }
        }
        return text;
    }

    Config config_ = decode_config();
    Decoder decoder_{config_, 1};
    std::minstd_rand random_{20261125};
    int accepted_ = 0;
};

TEST_F(Mutations, EveryTruncation) {
    for (const std::string& seed : kSeeds) {
        for (std::size_t length = 0; length <= seed.size(); ++length) {
            feed(seed.substr(0, length));
        }
    }
    EXPECT_EQ(accepted_, 3) << "the whole events, and nothing less";
}

TEST_F(Mutations, ThousandsOfThem) {
    for (int i = 0; i < 8'000; ++i) {
        feed(mutated(kSeeds[random_() % std::size(kSeeds)]));
    }
    EXPECT_GT(accepted_, 100) << "mutations too coarse to reach past the grammar";
}

TEST_F(Mutations, Noise) {
    for (int i = 0; i < 2'000; ++i) {
        std::string noise(random_() % 200, '\0');
        for (char& c : noise) {
            c = static_cast<char>(random_() % 256);
        }
        feed(noise);
    }
}

}  // namespace
}  // namespace postlane
