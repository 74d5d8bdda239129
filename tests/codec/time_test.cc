#include "codec/time.h"

#include <gtest/gtest.h>

#include "codec/encode.h"

namespace postlane {
namespace {

struct Row {
    std::string name;
    std::string text;
    std::string expected;  // empty: refused
};
void PrintTo(const Row& row, std::ostream* out) {
    *out << row.name;
}

class TimeTable : public testing::TestWithParam<Row> {};

TEST_P(TimeTable, IsReadAsTheMomentItNames) {
    const auto when = parse_time(GetParam().text);
    if (GetParam().expected.empty()) {
        EXPECT_FALSE(when.has_value()) << format_time(*when);
    } else {
        ASSERT_TRUE(when.has_value());
        EXPECT_EQ(format_time(*when), GetParam().expected);
    }
}

INSTANTIATE_TEST_SUITE_P(
    Table, TimeTable,
    testing::Values(
        Row{"Utc", "2026-12-01T09:00:00Z", "2026-12-01T09:00:00.000Z"},
        Row{"LowerCase", "2026-12-01t09:00:00z", "2026-12-01T09:00:00.000Z"},
        Row{"BlankForT", "2026-12-01 09:00:00Z", "2026-12-01T09:00:00.000Z"},
        Row{"East", "2026-12-01T00:30:00+02:00", "2026-11-30T22:30:00.000Z"},
        Row{"West", "2026-12-31T23:30:00-01:30", "2027-01-01T01:00:00.000Z"},
        Row{"MinusZero", "2026-12-01T09:00:00-00:00", "2026-12-01T09:00:00.000Z"},
        Row{"OneFractionDigit", "2026-12-01T09:00:00.5Z", "2026-12-01T09:00:00.500Z"},
        Row{"Millis", "2026-12-01T09:00:00.123Z", "2026-12-01T09:00:00.123Z"},
        Row{"NanosAreCutOff", "2026-12-01T09:00:00.999999999Z", "2026-12-01T09:00:00.999Z"},
        Row{"LeapDay", "2028-02-29T00:00:00Z", "2028-02-29T00:00:00.000Z"},
        Row{"LeapSecond", "2016-12-31T23:59:60Z", "2016-12-31T23:59:59.999Z"},
        Row{"LeapSecondElsewhere", "2017-01-01T00:59:60.7+01:00", "2016-12-31T23:59:59.999Z"},
        Row{"First", "1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z"},
        Row{"Last", "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"},
        Row{"NoOffset", "2026-12-01T09:00:00", ""}, Row{"DateOnly", "2026-12-01", ""},
        Row{"Empty", "", ""}, Row{"NoSeconds", "2026-12-01T09:00Z", ""},
        Row{"EmptyFraction", "2026-12-01T09:00:00.Z", ""},
        Row{"CommaFraction", "2026-12-01T09:00:00,5Z", ""},
        Row{"NoSuchDay", "2026-02-29T00:00:00Z", ""},
        Row{"NoSuchMonth", "2026-13-01T00:00:00Z", ""}, Row{"DayZero", "2026-12-00T00:00:00Z", ""},
        Row{"Hour24", "2026-12-01T24:00:00Z", ""}, Row{"Minute60", "2026-12-01T00:60:00Z", ""},
        Row{"Second61", "2016-12-31T23:59:61Z", ""},
        Row{"LeapSecondAtNoon", "2026-12-01T12:00:60Z", ""},
        Row{"LeapSecondWithinMonth", "2016-12-30T23:59:60Z", ""},
        Row{"Offset24", "2026-12-01T09:00:00+24:00", ""},
        Row{"OffsetMinute60", "2026-12-01T09:00:00+01:60", ""},
        Row{"OffsetWithoutColon", "2026-12-01T09:00:00+0100", ""},
        Row{"ShortOffset", "2026-12-01T09:00:00+01", ""},
        Row{"Trailing", "2026-12-01T09:00:00Z ", ""}, Row{"Leading", " 2026-12-01T09:00:00Z", ""},
        Row{"SignedYear", "+2026-12-01T09:00:00Z", ""},
        Row{"FiveDigitYear", "12026-12-01T09:00:00Z", ""},
        Row{"BeforeTheEpoch", "1969-12-31T23:59:59Z", ""},
        Row{"BeforeTheEpochByOffset", "1970-01-01T00:00:00+00:01", ""},
        Row{"AfterTheEndByOffset", "9999-12-31T23:59:59-00:01", ""},
        Row{"YearZero", "0000-01-01T00:00:00Z", ""}, Row{"Epoch", "1764579600", ""},
        Row{"WithNul", std::string("2026-12-01T09:00:00Z\0", 21), ""}),
    [](const auto& row) { return row.param.name; });

TEST(Time, EveryFormattedTimeIsReadBack) {
    for (std::int64_t millis = 0; millis <= kTimeMax.time_since_epoch().count();
         millis += 86'399'999'999'937) {
        const Instant when{Millis{millis}};
        EXPECT_EQ(parse_time(format_time(when)), when);
    }
}

}  // namespace
}  // namespace postlane
