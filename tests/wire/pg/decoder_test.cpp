// SPDX-License-Identifier: Apache-2.0
// Messages in and out; where the input is cut changes nothing.
#include "userspace/wire/pg/decoder.h"

#include "userspace/wire/pg/copy_rows.h"
#include "userspace/wire/pg/encoder.h"
#include "userspace/wire/pg/scram.h"
#include "userspace/wire/pg/utf8.h"

#include <gtest/gtest.h>

namespace chaperone::wire::pg {
namespace {

using namespace std::string_literals;

TEST(Peek, AsksForMoreAtEveryCut) {
    const auto input = "Q\0\0\0\x6y\0"s;
    for (std::size_t cut = 0; cut != input.size(); ++cut) {
        const auto got = peek(as_bytes(input).first(cut));
        ASSERT_TRUE(got.has_value());
        EXPECT_EQ(got->has_value(), cut >= kHeaderSize) << cut;
    }
    EXPECT_EQ(peek(as_bytes("Q\0\0\0\3"s)).error().code, Errc::Malformed);
    EXPECT_EQ(peek(as_bytes("Q\0\0\0\x41"s), {.message = 64}).error().code, Errc::TooLarge);
}

TEST(Startup, AsksForMoreAtEveryCut) {
    Buffer input;
    encode_startup(input, {{"user", "bob"}, {"database", "shop"}});
    for (std::size_t cut = 0; cut <= input.size(); ++cut) {
        const auto got = decode_startup(Bytes{input}.first(cut));
        ASSERT_TRUE(got.has_value()) << cut;
        EXPECT_EQ(got->has_value(), cut == input.size()) << cut;
    }
    const auto frame = decode_startup(input);
    const auto* message = std::get_if<StartupMessage>(&(*frame)->packet);
    ASSERT_NE(message, nullptr);
    EXPECT_EQ(message->find("user"), "bob");
    EXPECT_EQ((*frame)->size, input.size());
}

TEST(Bodies, EveryCutAndEveryTrailerIsMalformed) {
    const auto try_all = [](std::string body, auto decode) {
        EXPECT_TRUE(decode(as_bytes(body))) << body.size();
        for (std::size_t cut = 0; cut != body.size(); ++cut)
            EXPECT_FALSE(decode(as_bytes(body).first(cut))) << cut;
        body += '\0';
        EXPECT_FALSE(decode(as_bytes(body)));
    };
    Parse parse;
    Bind bind;
    Row row;
    RowDescription columns;
    try_all("sql\0"s, [](Bytes b) { return decode_query(b).has_value(); });
    try_all("s\0q\0\0\1\0\0\0\x19"s, [&](Bytes b) { return decode_parse(b, parse).has_value(); });
    try_all("p\0s\0\0\1\0\1\0\1\0\0\0\2ab\0\1\0\1"s,
            [&](Bytes b) { return decode_bind(b, bind).has_value(); });
    try_all("Sn\0"s, [](Bytes b) { return decode_target(b).has_value(); });
    try_all("p\0\0\0\0\7"s, [](Bytes b) { return decode_execute(b).has_value(); });
    FunctionCall call;
    try_all("\0\0\3\xb8\0\1\0\1\0\1\0\0\0\2ab\0\1"s,
            [&](Bytes b) { return decode_function_call(b, call).has_value(); });
    try_all("\0\2\0\0\0\1x\377\377\377\377"s,
            [&](Bytes b) { return decode_row(b, row).has_value(); });
    try_all("\0\1n\0\0\0\0\1\0\2\0\0\0\x17\0\4\377\377\377\377\0\1"s,
            [&](Bytes b) { return decode_row_description(b, columns).has_value(); });
    try_all("SERROR\0C42501\0\0"s, [](Bytes b) { return decode_diagnostic(b).has_value(); });
    try_all("\1\0\1\0\1"s, [](Bytes b) { return decode_copy_response(b).has_value(); });
}

TEST(Bind, ACountOfFormatsThatFitsNothingIsMalformed) {
    Bind bind;
    EXPECT_FALSE(decode_bind(as_bytes("\0\0\0\2\0\0\0\0\0\1\0\0\0\0\0\0"s), bind));
}

TEST(Scram, RefusesWhatAServerMayNotSay) {
    ScramClient client{"abc", ScramClient::Binding::None};
    EXPECT_EQ(client.first(), "n,,n=,r=abc");
    const Secret password{std::string{"pencil"}};
    EXPECT_FALSE(client.final("r=xyz,s=QUJD,i=4096", password));  // not our nonce
    EXPECT_FALSE(client.final("r=abc,s=QUJD,i=4096", password));  // nothing added
    EXPECT_FALSE(client.final("r=abcd,s=,i=4096", password));     // no salt
    EXPECT_FALSE(client.final("r=abcd,s=QUJD,i=0", password));
    EXPECT_FALSE(client.final("r=abcd,s=QUJD,i=99999999", password));  // too much work
    EXPECT_FALSE(client.final("m=x,r=abcd,s=QUJD,i=4096", password));  // an extension we must know
    const auto final = client.final("r=abcd,s=QUJD,i=4096", password);
    ASSERT_TRUE(final);
    // Worked out with another implementation (Python's hashlib).
    EXPECT_EQ(*final, "c=biws,r=abcd,p=LzzLaF+DEUAP8+Yy4v+zllXEufUfGl8RIlIvez06zhI=");
    EXPECT_TRUE(client.verify("v=/UmIQwPqfNaW8RFK4GR2hVgoyQiVlVMCUddb4T5iG6M="));
    EXPECT_FALSE(client.verify("v=AAAA"));
    EXPECT_FALSE(client.verify("e=invalid-proof"));
}

TEST(Scram, BindsTheChannel) {
    const Buffer hash(32, std::byte{7});
    ScramClient client{"abc", ScramClient::Binding::ServerEndPoint, hash};
    EXPECT_TRUE(client.first().starts_with("p=tls-server-end-point,,"));
}

TEST(Md5, IsThatOfTheServer) {
    // SELECT 'md5' || md5(md5('secret' || 'bob') || E'\x01\x02\x03\x04'), by md5sum.
    const auto answer = md5_password(Secret{std::string{"secret"}}, "bob", as_bytes("\1\2\3\4"));
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->expose(), "md5f21dfe33ff3a9e03dbc3e008251fe5cc");
    EXPECT_FALSE(md5_password(Secret{std::string{"x"}}, "bob", as_bytes("\1\2\3")));
}

TEST(Saslprep, MapsSpacesAndKeepsWhatItCannot) {
    const auto prepared = [](std::string text) {
        return std::string{saslprep(Secret{std::move(text)}).expose()};
    };
    EXPECT_EQ(prepared("I\xC2\xADX"), "IX");  // RFC 4013, section 3
    EXPECT_EQ(prepared("a\xC2\xA0"
                       "b"),
              "a b");
    EXPECT_EQ(prepared("\x07"), "\x07");  // prohibited: as it is
    EXPECT_EQ(prepared("\xFF"), "\xFF");  // not UTF-8: as it is
}

TEST(Utf8, TakesTheShortestFormOnly) {
    EXPECT_TRUE(is_utf8("\xE2\x82\xAC"));
    for (const auto* bad : {"\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\x80", "\xE2\x82"})
        EXPECT_FALSE(is_utf8(bad));
}

TEST(CopyRows, CsvRoundTripsOverQuotesAndNewlines) {
    const CopyStyle style{.csv = true, .delimiter = ',', .null_text = ""};
    const CopyValues values{"a,b", std::nullopt, "", "x\ny\"z", "plain"};
    std::string line;
    for (std::size_t i = 0; i != values.size(); ++i) {
        if (i != 0) line += ',';
        encode_value(line, values[i], style, false);
    }
    const std::string stream = line + "\nnext";
    LineScan scan;
    for (std::size_t cut = 0; cut <= line.size(); ++cut)
        EXPECT_FALSE(find_line(as_bytes(stream).first(cut), style, scan)) << cut;
    EXPECT_EQ(find_line(as_bytes(stream), style, scan), line.size() + 1);
    CopyValues got;
    ASSERT_TRUE(decode_line(line, style, got));
    EXPECT_EQ(got, values);
    EXPECT_FALSE(decode_line("\"open", style, got));
}

TEST(CopyRows, TextRoundTrips) {
    const CopyStyle style{};
    const CopyValues values{"tab\there", std::nullopt, "back\\slash", "new\nline", "\\N"};
    std::string line;
    for (std::size_t i = 0; i != values.size(); ++i) {
        if (i != 0) line += '\t';
        encode_value(line, values[i], style, false);
    }
    CopyValues got;
    ASSERT_TRUE(decode_line(line, style, got));
    EXPECT_EQ(got, values);
}

TEST(CopyRows, BinaryAsksForMoreAtEveryCut) {
    const std::string row = "\0\2\0\0\0\1x\377\377\377\377"s;
    Row values;
    for (std::size_t cut = 0; cut <= row.size(); ++cut) {
        const auto got = binary_row(as_bytes(row).first(cut), values);
        ASSERT_TRUE(got);
        EXPECT_EQ(got->has_value(), cut == row.size());
    }
    EXPECT_FALSE(binary_header(as_bytes("PGCOPX")));
    EXPECT_FALSE(binary_header(as_bytes(std::string{kCopySignature} + "\0\1\0\0\0\0\0\0"s)));
}

}  // namespace
}  // namespace chaperone::wire::pg
