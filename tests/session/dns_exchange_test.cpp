// SPDX-License-Identifier: Apache-2.0
// What becomes of questions and of answers, without a socket.
#include "userspace/session/dns/exchange.h"

#include "tests/wire/dns/bytes.h"
#include "userspace/base/encoding.h"

#include <array>

namespace chaperone::session::dns {
namespace {

using namespace wire::dns::testing;
using wire::dns::decode;
using wire::dns::encode;
using wire::dns::Message;

Buffer wire_of(const Message& message) {
    return encode(message, wire::dns::kMostMessage);
}

Query query_of(const Message& message, bool stream = false) {
    auto taken = take(wire_of(message), stream);
    EXPECT_TRUE(taken.query);
    return taken.query ? *std::move(taken.query) : Query{};
}

Message asked(std::string_view owner, std::uint16_t type, std::uint16_t edns_size = 0) {
    Message made = question(owner, type);
    if (edns_size != 0) made.edns.emplace().size = edns_size;
    return made;
}

Message answered(const Message& query, std::vector<wire::dns::Record> records) {
    Message made = query;
    made.response = made.recursion_available = true;
    made.answers = std::move(records);
    return made;
}

TEST(DnsTake, MakesFacts) {
    const Query query = query_of(asked("DB.Internal", wire::dns::kHttps, 1400));
    EXPECT_EQ(query.facts.name, "db.internal");
    EXPECT_EQ(query.facts.type, "HTTPS");
    EXPECT_EQ(query.facts.class_, "IN");
    EXPECT_EQ(query.most, 1400U);
}

TEST(DnsTake, KnowsHowMuchItsSenderTakes) {
    EXPECT_EQ(query_of(asked("x", 1)).most, 512U);
    EXPECT_EQ(query_of(asked("x", 1, 100)).most, 512U);
    EXPECT_EQ(query_of(asked("x", 1, 65535)).most, kMostDatagram);
    EXPECT_EQ(query_of(asked("x", 1), true).most, 65535U);
}

TEST(DnsTake, AnswersAtOnceWhatIsNoQuestion) {
    struct Case {
        std::string_view what;
        Buffer message;
        int rcode;  // -1: silence
    };
    Message response = question("x", 1);
    response.response = true;
    Message update = question("x", 6);
    update.opcode = 5;
    Message two = question("x", 1);
    two.questions.push_back(two.questions[0]);
    Message none;
    Message answers = answered(question("x", 1), {record("x", 1, "\1\2\3\4")});
    answers.response = false;
    Message chaos = question("version.bind", 16);
    chaos.questions[0].class_ = 3;
    Message later = asked("x", 1, 512);
    later.edns->version = 1;
    Buffer garbage = wire_of(question("x", 1));
    garbage.push_back(std::byte{0});
    const Buffer whole = wire_of(question("x", 1));
    const std::array cases{
        Case{"an answer", wire_of(response), -1},
        Case{"nothing", {}, -1},
        Case{"half a header", copy(Bytes{whole}.first(11)), -1},
        Case{"an update", wire_of(update), wire::dns::kNotImp},
        Case{"two questions", wire_of(two), wire::dns::kFormErr},
        Case{"no question", wire_of(none), wire::dns::kFormErr},
        Case{"a question with an answer", wire_of(answers), wire::dns::kFormErr},
        Case{"bytes behind it", garbage, wire::dns::kFormErr},
        Case{"a header alone", copy(Bytes{whole}.first(12)), wire::dns::kFormErr},
        Case{"another class", wire_of(chaos), wire::dns::kRefused},
        Case{"a transfer", wire_of(question("x", wire::dns::kAxfr)), wire::dns::kRefused},
        Case{"type 0", wire_of(question("x", 0)), wire::dns::kRefused},
        Case{"EDNS of another version", wire_of(later), wire::dns::kBadVers}};
    for (const Case& one : cases) {
        const Taken taken = take(one.message, false);
        EXPECT_FALSE(taken.query) << one.what;
        const auto reply = decode(taken.reply);
        ASSERT_EQ(reply.has_value(), one.rcode >= 0) << one.what;
        if (!reply) continue;
        EXPECT_EQ(reply->rcode, one.rcode) << one.what;
        EXPECT_TRUE(reply->response) << one.what;
        EXPECT_LE(taken.reply.size(), one.message.size() + 70) << one.what << " amplifies";
    }
}

TEST(DnsRefusal, SaysWhyWhereItCan) {
    const auto reply = decode(refused(query_of(asked("x", 1, 512)), "because"));
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->rcode, wire::dns::kRefused);
    EXPECT_EQ(reply->id, 0x1234);
    EXPECT_TRUE(reply->recursion_desired && reply->recursion_available);
    EXPECT_EQ(reply->questions, question("x", 1).questions);
    ASSERT_TRUE(reply->edns);
    EXPECT_EQ(as_text(reply->edns->options.at(0).data),
              "\0\x0f"
              "because"sv);
    const auto plain = decode(refused(query_of(asked("x", 1)), "because"));
    ASSERT_TRUE(plain);
    EXPECT_FALSE(plain->edns) << "the sender does not know EDNS";
    EXPECT_EQ(decode(absent(query_of(asked("x", 1)), ""))->rcode, wire::dns::kNxDomain);
    const auto failure = decode(failed(query_of(asked("x", 1, 512)), 22, "late"));
    EXPECT_EQ(failure->rcode, wire::dns::kServFail);
    EXPECT_EQ(as_text(failure->edns->options.at(0).data),
              "\0\x16"
              "late"sv);
}

TEST(DnsLocal, IsAnAddressAndNothingElse) {
    const auto one =
        decode(local(query_of(asked("chaperone.internal", wire::dns::kA)), "192.0.2.7"));
    ASSERT_TRUE(one);
    EXPECT_EQ(one->rcode, wire::dns::kNoError);
    ASSERT_EQ(one->answers.size(), 1U);
    EXPECT_EQ(to_hex(one->answers.front().data), "c0000207");
    const auto none =
        decode(local(query_of(asked("chaperone.internal", wire::dns::kAaaa)), "192.0.2.7"));
    ASSERT_TRUE(none);
    EXPECT_EQ(none->rcode, wire::dns::kNoError);
    EXPECT_TRUE(none->answers.empty());
}

TEST(DnsUpstream, IsAskedNothingButTheQuestion) {
    Message message = asked("x", 1, 512);
    message.edns->dnssec_ok = true;
    message.checking_disabled = true;
    message.edns->options.push_back({10, bytes("a secret")});
    message.additionals.push_back(record("x", wire::dns::kTxt, "\6secret"));
    const Message sent = to_resolver(query_of(message), 7);
    EXPECT_EQ(sent.id, 7);
    EXPECT_TRUE(sent.recursion_desired && sent.checking_disabled && sent.edns->dnssec_ok);
    EXPECT_TRUE(sent.edns->options.empty() && sent.additionals.empty());
}

TEST(DnsUpstream, OnlyTheAnswerToTheQuestionIsOne) {
    const Message query = question("x", 1);
    Message got = answered(query, {});
    EXPECT_TRUE(answers(query, got));
    Message other_case = answered(question("X", 1), {});
    EXPECT_TRUE(answers(query, other_case));
    Message id = got, name = answered(question("y", 1), {}), type = answered(question("x", 28), {});
    id.id ^= 1;
    Message no_response = got, no_question = got;
    no_response.response = false;
    no_question.questions.clear();
    for (const Message& wrong : {id, name, type, no_response, no_question})
        EXPECT_FALSE(answers(query, wrong));
    no_question.rcode = wire::dns::kFormErr;
    EXPECT_TRUE(answers(query, no_question));
}

TEST(DnsAnswer, TeachesTheAddressesOfTheNameAndItsAliases) {
    const Query query = query_of(asked("db.internal", 1, 1232));
    const Answer made = answer(
        query,
        answered(query.message,
                 {record("DB.internal", wire::dns::kCname, "\1a\1x\0"sv),
                  record("a.x", wire::dns::kCname, "\1b\1x\0"sv),
                  record("b.x", 1, "\x0a\1\2\3"sv, 30), record("evil.example", 1, "\6\6\6\6"sv),
                  record("b.x", 28, "\xfd\0\0\0\0\0\0\0\0\0\0\0\0\0\0\7"sv)}));
    ASSERT_EQ(made.learned.size(), 2U);
    EXPECT_EQ(made.learned[0].address, "10.1.2.3");
    EXPECT_EQ(made.learned[0].ttl, std::chrono::seconds{30});
    EXPECT_EQ(made.learned[1].address, "fd00::7");
    EXPECT_EQ(made.summary, "10.1.2.3 fd00::7");
    const auto reply = decode(made.reply);
    ASSERT_TRUE(reply);
    EXPECT_EQ(reply->id, 0x1234);
    EXPECT_EQ(reply->answers.size(), 5U);
}

TEST(DnsAnswer, TeachesNothingOfOtherSections) {
    const Query query = query_of(asked("db.internal", 1, 1232));
    Message got = answered(query.message, {});
    got.authorities.push_back(record("db.internal", 1, "\6\6\6\6"));
    got.additionals.push_back(record("db.internal", 1, "\6\6\6\6"));
    EXPECT_TRUE(answer(query, got).learned.empty());
}

TEST(DnsAnswer, AliasesThatGoRoundEnd) {
    const Query query = query_of(asked("a", 1));
    const Answer made =
        answer(query, answered(query.message, {record("a", wire::dns::kCname, "\1b\0"sv),
                                               record("b", wire::dns::kCname, "\1a\0"sv)}));
    EXPECT_TRUE(made.learned.empty());
}

TEST(DnsAnswer, HasNoEchAndItsHintsAreLearned) {
    const Query query = query_of(asked("x", wire::dns::kHttps, 1232));
    const Answer made = answer(
        query, answered(query.message,
                        {record("x", wire::dns::kHttps, "\0\1\0\0\4\0\4\1\2\3\4\0\5\0\2hi"sv)}));
    const auto reply = decode(made.reply);
    ASSERT_TRUE(reply);
    EXPECT_EQ(as_text(reply->answers.at(0).data), "\0\1\0\0\4\0\4\1\2\3\4"sv);
    ASSERT_EQ(made.learned.size(), 1U);
    EXPECT_EQ(made.learned[0].address, "1.2.3.4");
}

TEST(DnsAnswer, IsCutWhereItDoesNotFitAndKeptNoLongerThanWeDo) {
    const Query query = query_of(asked("x", 1));
    std::vector<wire::dns::Record> many(50, record("x", 1, "\1\2\3\4", 0x7fffffff));
    const auto cut = decode(answer(query, answered(query.message, many)).reply);
    ASSERT_TRUE(cut);
    EXPECT_TRUE(cut->truncated);
    const Query stream = query_of(asked("x", 1), true);
    const auto whole = decode(answer(stream, answered(stream.message, many)).reply);
    ASSERT_TRUE(whole);
    EXPECT_FALSE(whole->truncated);
    EXPECT_EQ(whole->answers.at(49).ttl, kMostTtl);
}

}  // namespace
}  // namespace chaperone::session::dns
