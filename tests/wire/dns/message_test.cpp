// SPDX-License-Identifier: Apache-2.0
#include "tests/wire/dns/bytes.h"

#include <array>

namespace chaperone::wire::dns::testing {
namespace {

// www.x A?, answered by a CNAME to y.x and its address, all names compressed; EDNS with DO.
constexpr auto kAnswer =
    "\x12\x34\x81\xa0\x00\x01\x00\x02\x00\x00\x00\x01"
    "\x03www\x01x\x00\x00\x01\x00\x01"
    "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01y\xc0\x10"
    "\xc0\x23\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\xc0\x00\x02\x07"
    "\x00\x00\x29\x04\xd0\x00\x00\x80\x00\x00\x06\x00\x0f\x00\x02\x00\x0f"sv;

TEST(DnsMessage, Decodes) {
    const auto message = decode(as_bytes(kAnswer));
    ASSERT_TRUE(message) << message.error().message();
    EXPECT_EQ(message->id, 0x1234);
    EXPECT_TRUE(message->response && message->recursion_desired && message->recursion_available);
    EXPECT_TRUE(message->authentic_data);
    ASSERT_EQ(message->questions.size(), 1U);
    EXPECT_EQ(message->questions[0].name.text(), "www.x");
    ASSERT_EQ(message->answers.size(), 2U);
    EXPECT_EQ(target_of(message->answers[0])->text(), "y.x");
    EXPECT_EQ(message->answers[1].name.text(), "y.x");
    ASSERT_TRUE(message->edns);
    EXPECT_EQ(message->edns->size, 1232);
    EXPECT_TRUE(message->edns->dnssec_ok);
    ASSERT_EQ(message->edns->options.size(), 1U);
    EXPECT_EQ(message->edns->options[0].code, kOptionEde);
}

TEST(DnsMessage, CutAnywhereIsAnError) {
    for (std::size_t size = 0; size != kAnswer.size(); ++size)
        EXPECT_FALSE(decode(as_bytes(kAnswer.substr(0, size)))) << size;
}

TEST(DnsMessage, RefusesWhatBreaksTheFormat) {
    const auto with = [](std::size_t at, std::string_view bytes) {
        std::string made{kAnswer};
        return made.replace(at, bytes.size(), bytes);
    };
    struct Case {
        std::string_view what;
        std::string message;
    };
    const std::array cases{Case{"bytes behind it", std::string{kAnswer} + "x"},
                           Case{"more records than there are", with(7, "\x03"sv)},
                           Case{"an OPT among the answers", with(0x2a, "\x29"sv)},
                           Case{"an OPT with a name",
                                std::string{kAnswer}.replace(kAnswer.size() - 17, 1, "\xc0\x0c")},
                           Case{"a second OPT", std::string{with(11, "\x02"sv)}.append(
                                                    kAnswer.substr(kAnswer.size() - 17))},
                           Case{"an address of three bytes", with(0x32, "\x03"sv)},
                           Case{"a CNAME longer than its data", with(0x22, "\x05"sv)}};
    for (const Case& one : cases) EXPECT_FALSE(decode(as_bytes(one.message))) << one.what;
}

TEST(DnsMessage, WhatIsEncodedIsDecodedAgain) {
    Message message = question("Www.Example.com", kHttps);
    message.response = message.truncated = message.authoritative = message.checking_disabled = true;
    message.opcode = 4;
    message.rcode = kBadVers;
    message.answers.push_back(record("Www.Example.com", kCname,
                                     "\x01y\x07"
                                     "example\x03"
                                     "com\x00"sv));
    message.answers.push_back(record("y.example.com", kTxt, "\x02hi"sv));
    message.authorities.push_back(record("example.com", kNs, "\x02ns\x00"sv, 7));
    message.additionals.push_back(record("ns", kA, "\x7f\0\0\x01"sv));
    message.edns.emplace();
    message.edns->dnssec_ok = true;
    message.edns->add_error(kEdeBlocked, "no");
    const Buffer wire = encode(message, kMostMessage);
    const auto back = decode(wire);
    ASSERT_TRUE(back) << back.error().message();
    EXPECT_EQ(back->opcode, 4);
    EXPECT_EQ(back->rcode, kBadVers);
    EXPECT_TRUE(back->truncated && back->authoritative && back->checking_disabled);
    EXPECT_EQ(back->questions[0].name.wire(), message.questions[0].name.wire());
    ASSERT_EQ(back->answers.size(), 2U);
    EXPECT_EQ(back->answers[0].data, message.answers[0].data);
    ASSERT_EQ(back->authorities.size(), 1U);
    EXPECT_EQ(back->authorities[0].ttl, 7U);
    ASSERT_EQ(back->additionals.size(), 1U);
    EXPECT_EQ(as_text(back->edns->options.at(0).data), "\0\x0fno"sv);
    EXPECT_EQ(encode(*back, kMostMessage), wire);
}

TEST(DnsMessage, OwnersAreWrittenOnce) {
    Message message = question("a.rather.long.name.example.com", kA);
    for (int i = 0; i != 4; ++i)
        message.answers.push_back(record("a.rather.long.name.example.com", kA, "\x01\x02\x03\x04"));
    EXPECT_EQ(encode(message, kMostUdp).size(), 12 + 32 + 4 + 4 * 16U);
}

TEST(DnsMessage, AnswersThatDoNotFitAreLeftOutAndSaidToBe) {
    Message message = question("x", kTxt);
    message.response = true;
    const std::string text = "\xc8" + std::string(200, 't');
    for (int i = 0; i != 3; ++i) message.answers.push_back(record("x", kTxt, text));
    message.edns.emplace();
    const auto cut = decode(encode(message, kMostUdp));
    ASSERT_TRUE(cut);
    EXPECT_TRUE(cut->truncated);
    EXPECT_TRUE(cut->answers.empty());
    EXPECT_TRUE(cut->edns);
    const auto whole = decode(encode(message, 1232));
    ASSERT_TRUE(whole);
    EXPECT_FALSE(whole->truncated);
    EXPECT_EQ(whole->answers.size(), 3U);
}

TEST(DnsMessage, AdditionalsThatDoNotFitAreLeftOutSilently) {
    Message message = question("x", kA);
    message.answers.push_back(record("x", kA, "\x01\x02\x03\x04"));
    message.additionals.push_back(record("y", kTxt, std::string(600, 'x')));
    const auto cut = decode(encode(message, kMostUdp));
    ASSERT_TRUE(cut);
    EXPECT_FALSE(cut->truncated);
    EXPECT_EQ(cut->answers.size(), 1U);
    EXPECT_TRUE(cut->additionals.empty());
}

TEST(DnsMessage, NamesInsideOfDataAreWrittenOut) {
    // x SOA with both names compressed, x SRV and x NAPTR with a compressed target
    const auto wire =
        "\0\1\x80\0\0\1\0\3\0\0\0\0\1x\0\0\6\0\1"
        "\xc0\x0c\0\6\0\1\0\0\0\1\0\x18\xc0\x0c\xc0\x0c\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5"
        "\xc0\x0c\0\x21\0\1\0\0\0\1\0\x08\0\1\0\2\x15\x38\xc0\x0c"
        "\xc0\x0c\0\x23\0\1\0\0\0\1\0\x0a\0\1\0\2\1s\0\0\xc0\x0c"sv;
    const auto message = decode(as_bytes(wire));
    ASSERT_TRUE(message) << message.error().message();
    EXPECT_EQ(message->answers[0].data.size(), 2 * 3 + 20U);
    EXPECT_EQ(as_text(message->answers[1].data).substr(6), "\1x\0"sv);
    EXPECT_EQ(as_text(message->answers[2].data).substr(8), "\1x\0"sv);
}

}  // namespace
}  // namespace chaperone::wire::dns::testing
