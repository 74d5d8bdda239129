#include "codec/normalise.h"

#include <gtest/gtest.h>

#include "codec/decode.h"

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
std::string name_of(const testing::TestParamInfo<Row>& row) {
    return row.param.name;
}

class AddressTable : public testing::TestWithParam<Row> {};

TEST_P(AddressTable, HasOneSpelling) {
    const auto key = normalise_address(GetParam().text);
    EXPECT_EQ(key ? key->value() : "", GetParam().expected);
    if (key) {
        EXPECT_EQ(normalise_address(key->value()), key) << "a key is its own key";
    }
}

std::string repeated(std::size_t count) {
    return std::string(count, 'a');
}
std::string labels(std::size_t count) {
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        text += repeated(9) + ".";
    }
    return text + "com";
}

INSTANTIATE_TEST_SUITE_P(
    Table, AddressTable,
    testing::Values(
        Row{"Plain", "ann@example.com", "ann@example.com"},
        Row{"Case", "Ann.B@Example.COM", "ann.b@example.com"},
        Row{"PlusStays", "ann+x@example.com", "ann+x@example.com"},
        Row{"Atext", "!#$%&'*+-/=?^_`{|}~@example.com", "!#$%&'*+-/=?^_`{|}~@example.com"},
        Row{"Idn",
            "ann@B\xc3\xbc"
            "cher.example",
            "ann@xn--bcher-kva.example"},
        Row{"IdnCapital",
            "ann@B\xc3\x9c"
            "CHER.example",
            "ann@xn--bcher-kva.example"},
        Row{"IdnDecomposed",
            "ann@bu\xcc\x88"
            "cher.example",
            "ann@xn--bcher-kva.example"},
        Row{"SharpS", "ann@fa\xc3\x9f.example", "ann@xn--fa-hia.example"},
        Row{"ALabel", "ann@XN--bcher-kva.example", "ann@xn--bcher-kva.example"},
        Row{"FullWidthDot",
            "ann@example\xe3\x80\x82"
            "com",
            "ann@example.com"},
        Row{"TrailingDot", "ann@example.com.", "ann@example.com"},
        Row{"UnicodeLocal", "\xc3\x84nn@example.com", "\xc3\x84nn@example.com"},
        Row{"NeedlessQuotes", "\"Ann\"@example.com", "ann@example.com"},
        Row{"NeededQuotes", "\"ann b\"@example.com", "\"ann b\"@example.com"},
        Row{"QuotedAt", "\"a@b\"@example.com", "\"a@b\"@example.com"},
        Row{"Escapes", R"("a\b\"c\\"@example.com)", R"("ab\"c\\"@example.com)"},
        Row{"SingleLabel", "ann@localhost", "ann@localhost"},
        Row{"LongestLocal", repeated(64) + "@example.com", repeated(64) + "@example.com"},
        Row{"Longest", "abcdefg@" + labels(24) + ".cc", "abcdefg@" + labels(24) + ".cc"},
        Row{"Empty", "", ""}, Row{"NoAt", "ann.example.com", ""},
        Row{"NoLocal", "@example.com", ""}, Row{"NoDomain", "ann@", ""},
        Row{"OnlyDot", "ann@.", ""}, Row{"TwoDots", "ann@example.com..", ""},
        Row{"TwoAts", "ann@b@example.com", ""}, Row{"LeadingDot", ".ann@example.com", ""},
        Row{"TrailingLocalDot", "ann.@example.com", ""}, Row{"DoubleDot", "a..b@example.com", ""},
        Row{"Blank", "ann b@example.com", ""}, Row{"BlankAround", " ann@example.com", ""},
        Row{"BlankAfter", "ann@example.com ", ""}, Row{"DisplayName", "Ann <ann@example.com>", ""},
        Row{"List", "a@example.com,b@example.com", ""}, Row{"NewLine", "ann\n@example.com", ""},
        Row{"HeaderInjection", "ann@example.com\r\nBcc: b@example.com", ""},
        Row{"NulInLocal", std::string("a\0b@example.com", 15), ""},
        Row{"NulInDomain", std::string("a@exam\0ple.com", 14), ""},
        Row{"NulInIdn", std::string("a@b\xc3\xbc\0c.example", 15), ""},
        Row{"NewLineQuoted", "\"a\nb\"@example.com", ""}, Row{"OpenQuote", "\"ann@example.com", ""},
        Row{"LoneQuote", "\"@example.com", ""}, Row{"EscapedEnd", "\"ann\\\"@example.com", ""},
        Row{"InnerQuote", "\"a\"b\"@example.com", ""},
        Row{"EmptyQuotes", "\"\"@example.com", "\"\"@example.com"},
        Row{"Underscore", "ann@ex_ample.com", ""}, Row{"LeadingHyphen", "ann@-example.com", ""},
        Row{"TrailingHyphen", "ann@example-.com", ""}, Row{"EmptyLabel", "ann@example..com", ""},
        Row{"Literal", "ann@[192.0.2.1]", ""}, Row{"BareIp", "ann@192.0.2.1", ""},
        Row{"LongLocal", repeated(65) + "@example.com", ""},
        Row{"LongLabel", "ann@" + repeated(64) + ".com", ""},
        Row{"TooLong", "abcdefgh@" + labels(24) + ".cc", ""},
        Row{"BadUtf8", "\xff@example.com", ""}, Row{"BadUtf8Domain", "ann@\xff.com", ""},
        Row{"BrokenALabel", "ann@xn--\x2d.com", ""},
        Row{"C1Control",
            "a\xc2\x85"
            "b@example.com",
            ""},
        Row{"LineSeparator",
            "a\xe2\x80\xa8"
            "b@example.com",
            ""}),
    name_of);

class NameTable : public testing::TestWithParam<Row> {};

TEST_P(NameTable, HasOneSpelling) {
    EXPECT_EQ(normalise_name(GetParam().text).value_or(""), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Table, NameTable,
    testing::Values(Row{"Plain", "marketing", "marketing"}, Row{"Case", "Marketing", "marketing"},
                    Row{"Trimmed", " \tmarketing\r\n", "marketing"},
                    Row{"Marks", "a.b_c-9", "a.b_c-9"}, Row{"OneByte", "7", "7"},
                    Row{"Longest", repeated(64), repeated(64)}, Row{"TooLong", repeated(65), ""},
                    Row{"Empty", "", ""}, Row{"Blank", "  ", ""}, Row{"LeadingDot", ".a", ""},
                    Row{"LeadingHyphen", "-a", ""}, Row{"InnerBlank", "a b", ""},
                    Row{"Colon", "a:b", ""}, Row{"BeyondAscii", "caf\xc3\xa9", ""},
                    Row{"KelvinSign", "\xe2\x84\xaa", ""}, Row{"Nul", std::string("a\0", 2), ""}),
    name_of);

TEST(Ids, AreOneTo512BytesOfUtf8) {
    EXPECT_TRUE(is_id("x"));
    EXPECT_TRUE(is_id(" x\n"));
    EXPECT_TRUE(is_id(repeated(512)));
    EXPECT_TRUE(is_id("\xf0\x9f\x93\xac"));
    EXPECT_FALSE(is_id(""));
    EXPECT_FALSE(is_id(repeated(513)));
    EXPECT_FALSE(is_id("\xc3"));
    EXPECT_FALSE(is_id("\xed\xa0\x80"));
}

}  // namespace
}  // namespace postlane
