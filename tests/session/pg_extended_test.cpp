// SPDX-License-Identifier: Apache-2.0
// The extended protocol: pipelines, refusals in them, names, copies.
#include "tests/support/pg_fixture.h"

namespace chaperone::session::test {
namespace {

const std::string kRefusedText = "chaperone refused this statement";

TEST(PgExtended, APipelineIsAskedStepByStepAndForwardedWhole) {
    PgFixture f;
    const std::string all =
        parse("", "A") + bind_to("", "", "v1") + describe('P', "") + execute("") + kSync;
    f.open().client_sends(all).asks("A").decided(allowed(1)).asks("A");
    EXPECT_EQ(f.script.last.stage, policy::Stage::Execute);
    ASSERT_EQ(f.script.last.parameters.size(), 1u);
    EXPECT_EQ(f.script.last.parameters[0].text, "v1");
    f.script.decided(allowed(2)).sends(Side::Server, all);
    const std::string answer = msg('1') + msg('2') + row_description({{"x"}}) + row({"1"}) +
                               complete("SELECT 1") + ready();
    f.script.server_sends(answer).sends(Side::Client, answer);
    ASSERT_EQ(f.script.outcomes.size(), 2u);
    EXPECT_EQ(f.script.outcomes[1].request, 2u);
    EXPECT_EQ(f.script.outcomes[1].rows, 1u);
}

TEST(PgExtended, ARefusedParseFailsAndTheRestOfTheWindowIsSkippedUnasked) {
    PgFixture f;
    f.open().client_sends(parse("", "A") + bind_to("", "") + execute("") + parse("", "DROP") +
                          bind_to("", "") + execute("") + parse("", "C") + kSync);
    f.script.decided(allowed(1)).decided(allowed(2)).forget().decided(denied(3));
    f.script.sends(Side::Server, parse("", kRefusedText) + kSync).nothing_more();
    const std::string done = msg('1') + msg('2') + complete("INSERT 0 1");
    f.script.server_sends(done + error("42601") + ready('I'));
    EXPECT_TRUE(f.script.to_client.starts_with(done + "E"));
    EXPECT_TRUE(f.script.to_client.ends_with(ready('I')));
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "42501");
    f.script.forget().client_sends(query("B")).asks("B");
}

TEST(PgExtended, ARefusedNamedParseLeavesTheUnnamedStatementAlone) {
    PgFixture f;
    f.open().client_sends(parse("mine", "DROP") + kSync).decided(denied()).forget();
    EXPECT_EQ(f.script.to_server, "");
    PgFixture g;
    g.open().client_sends(parse("mine", "DROP")).decided(denied());
    g.script.sends(Side::Server, parse("chaperone_refused", kRefusedText));
}

TEST(PgExtended, ASubstituteThatTheServerSkipsLeavesNoTrace) {
    PgFixture f;
    f.open().client_sends(parse("", "A")).decided(allowed(1)).forget();
    f.script.client_sends(bind_to("", "")).decided(denied(2));
    f.script.sends(Side::Server, parse("chaperone_refused", kRefusedText));
    const std::string native = error("42P01", "no table");
    f.script.server_sends(native).sends(Side::Client, native).client_sends(kSync);
    f.script.sends(Side::Server, kSync).server_sends(ready()).sends(Side::Client, ready());
    f.script.client_sends(parse("", "B")).forget().decided(allowed(3)).server_sends(msg('1'));
    f.script.sends(Side::Client, msg('1'));
}

TEST(PgExtended, AnErrorWithdrawsTheQuestionThatTheServerWouldSkip) {
    PgFixture f;
    f.open().client_sends(parse("", "A")).decided(allowed(1)).forget();
    f.script.client_sends(parse("b", "B") + bind_to("", "b") + kSync).asks("B");
    f.script.server_sends(error("42P01")).does("withdraw");
    f.script.sends(Side::Server, kSync).server_sends(ready());
    EXPECT_TRUE(f.script.asked.empty());
}

// Each allowed request has an outcome, also when it is overtaken or never completes.
TEST(PgExtended, EveryAllowedRequestHasAnOutcome) {
    PgFixture f;
    std::uint64_t next = 0;
    f.open().gate([&](const policy::Request&) { return allowed(++next); });
    f.script.client_sends(parse("", "A") + bind_to("", "") + bind_to("", "") + execute("") +
                          parse("b", "B") + bind_to("", "b") + execute("") + kSync);
    f.script.server_sends(msg('1') + msg('2') + msg('2') + error("22012") + ready());
    f.script.client_sends(bind_to("c", "b") + kSync).closed(Side::Client);
    std::map<std::uint64_t, std::size_t> seen;
    for (const Outcome& outcome : f.script.outcomes) ++seen[outcome.request];
    EXPECT_EQ(next, 6u);
    for (std::uint64_t request = 1; request <= next; ++request) EXPECT_EQ(seen[request], 1u);
}

TEST(PgExtended, ARequestThatAnErrorOvertakesWhileItsAnswerIsOnTheWayHasAnOutcome) {
    PgFixture f;
    f.open().client_sends(parse("", "A")).decided(allowed(1)).forget();
    f.script.client_sends(parse("b", "B")).asks("B");
    f.script.decided_behind(allowed(2), error("42P01"));
    ASSERT_EQ(f.script.outcomes.size(), 2u);
    EXPECT_EQ(f.script.outcomes.back().request + f.script.outcomes.front().request, 3u);
}

TEST(PgExtended, PreparedOnceExecutedManyIsAskedEachTimeWithItsText) {
    PgFixture f;
    f.open().client_sends(parse("s", "A") + kSync).decided(allowed()).forget();
    f.script.server_sends(msg('1') + ready()).forget();
    for (int i = 0; i != 3; ++i) {
        f.script.client_sends(bind_to("", "s", "v") + execute("") + kSync).asks("A");
        f.script.decided(allowed()).forget();
        f.script.server_sends(msg('2') + complete("INSERT 0 1") + ready()).forget();
    }
    f.script.client_sends(close_of('S', "s") + kSync).server_sends(msg('3') + ready()).forget();
    // Closed: the server says that it is not there, and nobody is asked.
    f.script.client_sends(bind_to("", "s") + kSync).sends(Side::Server, bind_to("", "s") + kSync);
    f.script.server_sends(error("26000") + ready());
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "26000");
}

TEST(PgExtended, ABindOnANameThatShouldNotExistMustFail) {
    PgFixture f;
    f.open().client_sends(bind_to("", "ghost") + execute("") + kSync).server_sends(msg('2'));
    EXPECT_TRUE(f.script.ended);
}

TEST(PgExtended, AStatementOfAnUnansweredWindowIsWaitedFor) {
    PgFixture f;
    f.open().client_sends(parse("s", "A") + kSync + bind_to("", "s") + kSync).asks("A");
    f.script.decided(allowed()).sends(Side::Server, parse("s", "A") + kSync).nothing_more();
    f.script.server_sends(msg('1') + ready()).asks("A");
}

TEST(PgExtended, CopyInStreamsAndSwallowsNoSync) {
    PgFixture f;
    f.open().client_sends(parse("", "COPY") + bind_to("", "") + execute("") + kSync);
    f.script.decided(allowed()).decided(allowed()).forget();
    const std::string begin = msg('1') + msg('2') + msg('G', "\0"s + be16(0));
    f.script.server_sends(begin).sends(Side::Client, begin);
    const std::string data = msg('d', "1\n") + msg('d', "2\n") + msg('c') + kSync;
    f.script.client_sends(data).sends(Side::Server, data);
    f.script.server_sends(complete("COPY 2") + ready())
        .sends(Side::Client, complete("COPY 2") + ready());
    EXPECT_FALSE(f.script.ended);
    EXPECT_EQ(f.script.outcomes.back().rows, 2u);
    f.script.server_sends(ready());
    EXPECT_TRUE(f.script.ended);
}

TEST(PgExtended, ACopyThatFailsGivesOneReadyForItsSync) {
    PgFixture f;
    f.open().client_sends(parse("", "COPY") + bind_to("", "") + execute("") + kSync);
    f.script.decided(allowed()).decided(allowed()).server_sends(msg('1') + msg('2') +
                                                                msg('G', "\0"s + be16(0)));
    f.script.client_sends(msg('d', "bad\n")).server_sends(error("22P02"));
    f.script.client_sends(msg('d', "more\n") + msg('c') + kSync).server_sends(ready()).forget();
    f.script.client_sends(query("B")).asks("B");
    EXPECT_FALSE(f.script.ended);
}

TEST(PgExtended, OtherMessagesDuringCopyInEndTheSession) {
    PgFixture f;
    f.open().client_sends(query("COPY")).decided(allowed()).server_sends(msg('G', "\0"s + be16(0)));
    f.script.forget().client_sends(query("DROP TABLE t"));
    EXPECT_TRUE(f.script.ended);
    EXPECT_EQ(f.script.to_server, "");
}

TEST(PgExtended, AStreamForReplicationMustHaveBeenAskedForAtTheStart) {
    PgFixture f;
    f.open()
        .client_sends(query("START"))
        .decided(allowed())
        .server_sends(msg('W', "\0"s + be16(0)));
    EXPECT_TRUE(f.script.ended);
}

TEST(PgExtended, AnOversizedBindIsRefusedAndTheSessionLives) {
    PgFixture f;
    f.open()
        .client_sends(parse("", "A") + kSync)
        .decided(allowed())
        .server_sends(msg('1') + ready());
    f.script.forget().client_sends(bind_to("", "", std::string(9'000, 'v')) + execute("") + kSync);
    f.script.forget().decided(allowed());
    f.script.sends(Side::Server, parse("chaperone_refused", kRefusedText) + kSync);
    f.script.server_sends(error("42601") + ready());
    EXPECT_EQ(field_of(f.script.to_client, 'C'), "54000");
    f.script.forget().client_sends(query("B")).asks("B");
}

// The answers do not depend on how the bytes of either side are cut.
TEST(PgExtended, CutAnywhereItDoesTheSame) {
    const auto play = [](std::size_t piece) {
        PgFixture f{piece};
        f.script.gate([](const policy::Request& request) {
            return request.statement == "DROP" ? denied() : allowed();
        });
        f.open();
        f.script.client_sends(parse("", "A") + bind_to("", "", "v") + execute("") + kSync +
                              query("DROP") + parse("", "DROP") + bind_to("", "") + kSync);
        f.script.server_sends(msg('1') + msg('2') + row({"1"}) + complete("SELECT 1") + ready() +
                              error("42601") + ready() + error("42601") + ready());
        EXPECT_FALSE(f.script.ended);
        return f.script.to_server + "|" + f.script.to_client;
    };
    const std::string whole = play(SIZE_MAX);
    EXPECT_EQ(whole.find("DROP"), std::string::npos);
    for (const std::size_t piece : {1u, 2u, 3u, 5u, 7u, 11u}) EXPECT_EQ(play(piece), whole);
}

// What pgx's batches and libpq's pipelines do.
TEST(PgExtended, APipelineDefinesTheUnnamedStatementAsOftenAsItLikes) {
    PgFixture f;
    f.open().gate([](const policy::Request&) { return std::optional{allowed()}; });
    std::string window;
    for (int i = 0; i != 10'500; ++i) window += parse("", "A");
    f.script.client_sends(window + kSync).sends(Side::Server, window + kSync);
    for (int i = 0; i != 10'000; ++i) f.script.client_sends(parse("s" + std::to_string(i), "A"));
    f.script.forget().client_sends(parse("one_too_many", "A"));
    EXPECT_EQ(f.script.to_server.find("one_too_many"), std::string::npos);
}

}  // namespace
}  // namespace chaperone::session::test
