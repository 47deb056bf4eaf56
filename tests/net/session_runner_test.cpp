// SPDX-License-Identifier: Apache-2.0
// The runner, the gate, the approval book and the journal together, over real sockets: with a
// machine of one line a message, so that what is tested is not a protocol.
#include "userspace/net/session_runner.h"

#include "tests/net/runner.h"

#include <gtest/gtest.h>

#include <optional>

namespace chaperone::net {
namespace {

using session::Side;

// Each line of the client is asked for as a connection of its own; allowed lines come back as
// "+line", refused ones as "-line". "big N" is answered with N bytes.
class LineMachine final : public session::Machine {
public:
    explicit LineMachine(std::shared_ptr<const policy::SessionFacts> facts)
        : facts_(std::move(facts)) {}

    std::size_t on_received(Side, Bytes data, session::Actions& out) override {
        const auto end = as_text(data).find('\n');
        if (end == std::string_view::npos) return 0;
        const std::string_view line = as_text(data).substr(0, end + 1);
        if (!answer_) {
            policy::Request request;
            request.session = facts_;
            request.stage = policy::Stage::Connect;
            request.statement = line;
            request.now = now();
            asking_ = true;
            out.ask(request);
            return 0;
        }
        const bool allowed = answer_->verdict == session::Verdict::Allowed;
        out.send(Side::Client, as_bytes(allowed ? "+" : "-"));
        session::Outcome outcome;
        outcome.request = answer_->request;
        outcome.ok = allowed;
        if (line.starts_with("big ")) {
            const Buffer much(std::stoul(std::string{line.substr(4)}), std::byte{'x'});
            out.send(Side::Client, much);
        } else {
            out.send(Side::Client, data.first(end + 1));
        }
        out.record(outcome);
        answer_.reset();
        return end + 1;
    }
    void on_closed(Side, session::Actions& out) override {
        if (asking_) out.withdraw();
        out.end("closed");
    }
    void on_connected(Result<>, session::Actions&) override {}
    void on_tls_started(Side, Result<session::TlsInfo>, session::Actions&) override {}
    void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>>,
                    session::Actions&) override {}
    void on_held(session::Tag, std::string_view approval, Time, session::Actions& out) override {
        out.send(Side::Client, as_bytes("? " + std::string{approval} + "\n"));
    }
    void on_decided(const session::Answer& answer, session::Actions&) override {
        asking_ = false;
        answer_ = answer;
    }
    void on_cancel(session::Actions&) override {}
    void on_terminate(std::string_view reason, session::Actions& out) override {
        out.send(Side::Client, as_bytes("! " + std::string{reason} + "\n"));
        out.end(reason);
    }
    void on_tick(Time, session::Actions&) override {}
    bool wants(Side) const override { return !asking_; }

private:
    std::shared_ptr<const policy::SessionFacts> facts_;
    std::optional<session::Answer> answer_;
    bool asking_ = false;
};

// Each line "N…" is asked for with tag N while the others wait; "+N" or "-N" comes when it is
// known,
// "?N ID" when a person is asked. "wN" withdraws, "lN" leaves question N.
class TaggedMachine final : public session::Machine {
public:
    explicit TaggedMachine(std::shared_ptr<const policy::SessionFacts> facts)
        : facts_(std::move(facts)) {}

    std::size_t on_received(Side, Bytes data, session::Actions& out) override {
        const auto end = as_text(data).find('\n');
        if (end == std::string_view::npos) return 0;
        const std::string_view line = as_text(data).substr(0, end);
        if (line[0] == 'w') {
            out.withdraw(static_cast<session::Tag>(line[1] - '0'));
        } else if (line[0] == 'l') {
            out.leave(static_cast<session::Tag>(line[1] - '0'));
        } else {
            policy::Request request;
            request.session = facts_;
            request.stage = policy::Stage::Statement;
            request.statement = line;
            request.now = now();
            out.ask(request, static_cast<session::Tag>(line[0] - '0'));
        }
        return end + 1;
    }
    void on_closed(Side, session::Actions& out) override { out.end("closed"); }
    void on_connected(Result<>, session::Actions&) override {}
    void on_tls_started(Side, Result<session::TlsInfo>, session::Actions&) override {}
    void on_catalog(Result<std::shared_ptr<const policy::sql::Catalog>>,
                    session::Actions&) override {}
    void on_held(session::Tag tag, std::string_view approval, Time,
                 session::Actions& out) override {
        say("?" + std::to_string(tag) + " " + std::string{approval}, out);
    }
    void on_decided(const session::Answer& answer, session::Actions& out) override {
        const bool allowed = answer.verdict == session::Verdict::Allowed;
        say((allowed ? "+" : "-") + std::to_string(answer.tag), out);
    }
    void on_cancel(session::Actions&) override {}
    void on_terminate(std::string_view reason, session::Actions& out) override { out.end(reason); }
    void on_tick(Time, session::Actions&) override {}
    bool wants(Side) const override { return true; }

private:
    static void say(const std::string& text, session::Actions& out) {
        out.send(Side::Client, as_bytes(text + "\n"));
    }
    std::shared_ptr<const policy::SessionFacts> facts_;
};

class Lines : public Runner {
protected:
    Stream begin(const std::string& subject) {
        return Runner::begin(
            subject, [](auto facts) { return std::make_unique<LineMachine>(std::move(facts)); });
    }
    Stream begin_tagged(const std::string& subject) {
        return Runner::begin(
            subject, [](auto facts) { return std::make_unique<TaggedMachine>(std::move(facts)); });
    }
};

TEST_F(Lines, AnswersEachLineHoweverItIsCut) {
    Stream agent = begin("agent:one");
    const auto script = [&]() -> asio::awaitable<void> {
        for (const char c : std::string_view{"one\ntwo\nthr"})
            co_await write_all(agent, as_bytes({&c, 1}));
        EXPECT_EQ(co_await line(agent), "+one\n");
        EXPECT_EQ(co_await line(agent), "+two\n");
        co_await write_all(agent, as_bytes("ee\nfour\n"));
        EXPECT_EQ(co_await line(agent), "+three\n");
        EXPECT_EQ(co_await line(agent), "+four\n");
        agent.close();
    };
    play(script());
    EXPECT_EQ(live_->requests, 4U);
    EXPECT_EQ(shared_.registry.size(), 0U);
    // start, four requests, four outcomes, end
    EXPECT_EQ(journal_->position().size, 10U);
}

TEST_F(Lines, AnOutcomeIsWrittenAtOnce) {
    Stream agent = begin("agent:one");
    const auto script = [&]() -> asio::awaitable<void> {
        co_await write_all(agent, as_bytes("one\n"));
        EXPECT_EQ(co_await line(agent), "+one\n");
        EXPECT_EQ(journal_->position().size, 3U);  // start, request, outcome
        agent.close();
    };
    play(script());
}

TEST_F(Lines, RefusesByPolicyAndGoesOn) {
    Stream agent = begin("agent:bad");
    const auto script = [&]() -> asio::awaitable<void> {
        co_await write_all(agent, as_bytes("a\nb\n"));
        EXPECT_EQ(co_await line(agent), "-a\n");
        EXPECT_EQ(co_await line(agent), "-b\n");
        agent.close();
    };
    play(script());
    EXPECT_EQ(shared_.tally.denied, 2U);
}

TEST_F(Lines, HoldsUntilAPersonGrantsAndKeepsWhatFollows) {
    Stream agent = begin("agent:held");
    const auto script = [&]() -> asio::awaitable<void> {
        co_await write_all(agent, as_bytes("a\nb\n"));
        const std::string notice = co_await line(agent);
        EXPECT_TRUE(notice.starts_with("? ")) << notice;
        EXPECT_STREQ(live_->state, "held");
        approval::Approver person;
        person.name = "ann";
        person.uid = 1000;
        person.groups = {"dba"};
        const std::string id = notice.substr(2, notice.size() - 3);
        const auto granted = approvals_->with(
            [&](approval::ApprovalBook& book) { return book.grant(id, person, "fine", now()); });
        EXPECT_TRUE(granted);
        EXPECT_EQ(co_await line(agent), "+a\n");
        agent.close();
    };
    play(script());
}

TEST_F(Lines, WithdrawsWhatWaitsWhenTheClientLeaves) {
    Stream agent = begin("agent:held");
    std::string id;
    const auto script = [&]() -> asio::awaitable<void> {
        co_await write_all(agent, as_bytes("a\n"));
        const std::string notice = co_await line(agent);
        id = notice.substr(2, notice.size() - 3);
        agent.close();
    };
    play(script());
    const auto state =
        approvals_->with([&](approval::ApprovalBook& book) { return book.find(id)->state; });
    EXPECT_EQ(state, approval::State::Cancelled);
}

TEST_F(Lines, KeepsSeveralQuestionsOpenAtOnce) {
    Stream agent = begin_tagged("agent:held");
    const auto script = [&]() -> asio::awaitable<void> {
        co_await write_all(agent, as_bytes("1 a\n2 b\n3 c\n"));
        const std::string first = co_await line(agent);
        const std::string second = co_await line(agent);
        const std::string third = co_await line(agent);
        EXPECT_TRUE(second.starts_with("?2 ")) << second;
        EXPECT_TRUE(grant(std::string_view{second}.substr(3, second.size() - 4)));
        EXPECT_EQ(co_await line(agent), "+2\n");
        EXPECT_STREQ(live_->state, "held") << "two others wait";
        co_await write_all(agent, as_bytes("w1\n"));
        EXPECT_TRUE(grant(std::string_view{third}.substr(3, third.size() - 4)));
        EXPECT_EQ(co_await line(agent), "+3\n");
        EXPECT_FALSE(grant(std::string_view{first}.substr(3, first.size() - 4))) << "withdrawn";
        agent.close();
    };
    play(script());
    // start, three requests with what became of their approvals (1: asked, withdrawn; 2 and 3:
    // asked, used), end
    EXPECT_EQ(journal_->position().size, 11U);
}

TEST_F(Lines, WhatWasLeftAnswersAnEqualQuestionLater) {
    Stream agent = begin_tagged("agent:held");
    const auto script = [&]() -> asio::awaitable<void> {
        co_await write_all(agent, as_bytes("1 a\n"));
        const std::string held = co_await line(agent);
        co_await write_all(agent, as_bytes("l1\n2 b\n"));
        const std::string other = co_await line(agent);
        EXPECT_TRUE(other.starts_with("?2 ")) << other;
        EXPECT_TRUE(grant(std::string_view{held}.substr(3, held.size() - 4)));
        co_await write_all(agent, as_bytes("1 a\n"));
        EXPECT_EQ(co_await line(agent), "+1\n");
        agent.close();
    };
    play(script());
}

TEST_F(Lines, SendsMuchToASlowReaderWithoutLosingAByte) {
    Stream agent = begin("agent:one");
    constexpr std::size_t kMuch = std::size_t{20} << 20;
    const auto script = [&]() -> asio::awaitable<void> {
        co_await write_all(agent, as_bytes("big " + std::to_string(kMuch) + "\nafter\n"));
        const Buffer got = co_await read_up_to(agent, kMuch + 1);
        EXPECT_EQ(got.size(), kMuch + 1);
        EXPECT_EQ(co_await line(agent), "+after\n");
        agent.close();
    };
    play(script());
}

TEST_F(Lines, EndsWithTheReasonWhenItIsKilled) {
    Stream agent = begin("agent:one");
    const auto script = [&]() -> asio::awaitable<void> {
        co_await write_all(agent, as_bytes("a\n"));
        EXPECT_EQ(co_await line(agent), "+a\n");
        live_->post([](SessionRunner& runner) { runner.terminate("by ann"); });
        EXPECT_EQ(co_await line(agent), "! by ann\n");
        EXPECT_EQ(co_await line(agent), "");
    };
    play(script());
    EXPECT_EQ(shared_.registry.size(), 0U);
}

TEST_F(Lines, DoesNotBeginWhatCannotBeRecorded) {
    ASSERT_TRUE(journal_->close());
    Wire wire = connected(context_);
    auto facts = std::make_shared<policy::SessionFacts>();
    facts->id = "unrecorded";
    const Opening opening{facts, std::make_shared<Target>(), {}};
    auto live = std::make_shared<LiveSession>(facts->id, [](auto) {}, facts);
    auto runner = std::make_shared<SessionRunner>(
        ServerPool::of(context_), shared_, std::move(wire.theirs), live, opening, CancelKey{1, 2});
    EXPECT_FALSE(runner->start(std::make_unique<LineMachine>(facts)));
    EXPECT_EQ(shared_.tally.unrecordable, 1U);
}

}  // namespace
}  // namespace chaperone::net
