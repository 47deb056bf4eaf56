// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/tcp_session.h"

#include "tests/support/session_script.h"

namespace chaperone::session::test {
namespace {

Answer answer(Verdict verdict) {
    auto decision = std::make_shared<policy::Decision>();
    decision->reason = "not there";
    Answer made;
    made.verdict = verdict;
    made.decision = std::move(decision);
    made.request = 7;
    return made;
}

struct TcpSession : testing::TestWithParam<std::size_t> {
    std::unique_ptr<Machine> machine =
        make_tcp_session(std::make_shared<const policy::SessionFacts>());
    SessionScript script{*machine, GetParam()};

    void open() {
        script.starts().asks("").decided(answer(Verdict::Allowed)).does("connect");
        script.connected().does("opened");
    }
};

TEST_P(TcpSession, RelaysWhatEitherSideSays) {
    open();
    script.server_sends("220 hello\r\n").sends(Side::Client, "220 hello\r\n");
    script.client_sends("EHLO x\r\n").sends(Side::Server, "EHLO x\r\n").nothing_more();
}

TEST_P(TcpSession, NothingPassesBeforeTheAnswer) {
    script.starts().asks("");
    EXPECT_EQ(script.last.stage, policy::Stage::Connect);
    script.client_sends("early").nothing_more();
    script.decided(answer(Verdict::Allowed)).does("connect").nothing_more();
    script.connected().does("opened").sends(Side::Server, "early").nothing_more();
}

TEST_P(TcpSession, HalvesEndAlone) {
    open();
    script.client_sends("question").closed(Side::Client).does("finish server");
    script.sends(Side::Server, "question");
    script.server_sends("answer").sends(Side::Client, "answer");
    EXPECT_FALSE(script.ended);
    script.closed(Side::Server);
    EXPECT_TRUE(script.ended);
    ASSERT_EQ(script.outcomes.size(), 1U);
    EXPECT_EQ(script.outcomes[0].request, 7U);
    EXPECT_TRUE(script.outcomes[0].ok);
    EXPECT_EQ(script.outcomes[0].bytes_up, 8U);
    EXPECT_EQ(script.outcomes[0].bytes_down, 6U);
}

TEST_P(TcpSession, IsDroppedWhenItIsNotAllowed) {
    for (const auto verdict : {Verdict::Denied, Verdict::Refused, Verdict::Expired,
                               Verdict::Cancelled, Verdict::Unavailable}) {
        auto other = make_tcp_session(std::make_shared<const policy::SessionFacts>());
        SessionScript denied{*other, GetParam()};
        denied.starts().client_sends("secret").decided(answer(verdict)).does("drop");
        EXPECT_TRUE(denied.ended);
        EXPECT_EQ(denied.end_reason, "not there");
        EXPECT_EQ(denied.to_server, "");
        ASSERT_EQ(denied.outcomes.size(), 1U);
        EXPECT_FALSE(denied.outcomes[0].ok);
    }
}

TEST_P(TcpSession, IsDroppedWhenNobodyIsThere) {
    script.starts().decided(answer(Verdict::Allowed)).does("connect");
    script.connected(fail(Errc::Unavailable, "refused")).does("drop");
    EXPECT_EQ(script.end_reason, "refused");
}

TEST_P(TcpSession, AClientThatLeavesTakesItsQuestionBack) {
    script.starts().asks("").closed(Side::Client).does("withdraw");
    EXPECT_TRUE(script.ended);
    script.decided(answer(Verdict::Allowed));
    EXPECT_TRUE(std::ranges::find(script.events, "connect") == script.events.end());
}

TEST_P(TcpSession, EndsWhenAnOperatorSaysSo) {
    open();
    script.client_sends("x").terminated("killed");
    EXPECT_TRUE(script.ended);
    EXPECT_EQ(script.outcomes.at(0).bytes_up, 1U);
    script.server_sends("late");
    EXPECT_EQ(script.to_client, "");
}

INSTANTIATE_TEST_SUITE_P(Cuts, TcpSession, testing::Values(1, 3, 1024));

}  // namespace
}  // namespace chaperone::session::test
