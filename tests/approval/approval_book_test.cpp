// SPDX-License-Identifier: Apache-2.0
#include "userspace/approval/approval_book.h"

#include <gtest/gtest.h>

namespace chaperone::approval {
namespace {

using std::chrono::minutes;
using std::chrono::seconds;

const Time kStart{std::chrono::hours{480'000}};
const Approver kDana{.name = "dana", .uid = 2001, .groups = {"dba", "oncall"}};
const Approver kEmil{.name = "emil", .uid = 2002, .groups = {"dba"}};
const Approver kFay{.name = "fay", .uid = 2003, .groups = {"security"}};

class ApprovalBookTest : public testing::Test {
protected:
    static Held held() {
        Held made{.workload = "billing",
                  .subject = "agent:billing",
                  .resource = "orders",
                  .session = "s1",
                  .statement = "UPDATE t SET a = $1",
                  .requires_ = {{.rule = "writes", .by = {"group:dba"}, .count = 1}},
                  .uid = 1000,
                  .user = "agent"};
        made.digest.fill(std::byte{7});
        return made;
    }
    std::string ask(Held made, Time now = kStart) {
        const auto asked = book_.request(std::move(made), now,
                                         [this](const Approval& a) { told_.push_back(a.state); });
        EXPECT_TRUE(asked) << asked.error().message();
        EXPECT_FALSE(asked->covered);
        return asked->id;
    }
    bool covered(Held made, Time now) {
        const auto asked = book_.request(std::move(made), now, {});
        EXPECT_TRUE(asked);
        if (!asked->covered) EXPECT_TRUE(book_.cancel(asked->id, "", now));
        return asked->covered;
    }
    Errc grant_error(const std::string& id, const Approver& by) {
        const auto done = book_.grant(id, by, "", kStart);
        EXPECT_FALSE(done);
        return done ? Errc::System : done.error().code;
    }

    ApprovalBook book_;
    std::vector<State> told_;
};

TEST_F(ApprovalBookTest, AGrantLetsExactlyThisRequestPassOnce) {
    const auto made = held();
    const auto id = ask(made);
    Digest other{};
    EXPECT_FALSE(book_.use(id, made.digest, kStart)) << "not granted yet";
    EXPECT_EQ(*book_.grant(id, kDana, "fine", kStart), State::Granted);
    EXPECT_EQ(told_, std::vector{State::Granted});
    EXPECT_EQ(book_.use(id, other, kStart).error().code, Errc::Denied);
    EXPECT_TRUE(book_.use(id, made.digest, kStart));
    EXPECT_EQ(book_.use(id, made.digest, kStart).error().code, Errc::Denied) << "single use";
    EXPECT_EQ(book_.find(id)->state, State::Used);
    EXPECT_FALSE(covered(made, kStart)) << "an equal request asks again";
}

TEST_F(ApprovalBookTest, TheRequesterNeverDecides) {
    auto made = held();
    made.requires_[0].by = {"group:dba", "user:agent:billing", "user:agent"};
    const auto id = ask(made);
    Approver same_uid = kDana;
    same_uid.uid = 1000;
    Approver same_name = kDana;
    same_name.name = "agent";
    const Approver same_subject{
        .name = "x", .uid = 9, .subject = "agent:billing", .groups = {"dba"}};
    Approver governed = kDana;
    governed.governed = true;
    for (const auto& by : {same_uid, same_name, same_subject, governed}) {
        EXPECT_EQ(grant_error(id, by), Errc::Denied) << by.name;
        EXPECT_FALSE(book_.refuse(id, by, "", kStart));
    }
    EXPECT_EQ(book_.find(id)->state, State::Pending);
    EXPECT_TRUE(told_.empty());
}

TEST_F(ApprovalBookTest, AgentsOfRootAreApprovedBySomebodyElse) {
    auto made = held();
    made.uid = 0;
    const auto id = ask(made);
    EXPECT_EQ(grant_error(id, {.name = "root", .uid = 0, .groups = {"dba"}}), Errc::Denied);
    EXPECT_TRUE(book_.grant(id, kDana, "", kStart));
}

TEST_F(ApprovalBookTest, OnlyThoseNamedDecide) {
    const auto id = ask(held());
    EXPECT_EQ(grant_error(id, kFay), Errc::Denied);
    EXPECT_FALSE(book_.refuse(id, kFay, "", kStart));
    EXPECT_EQ(grant_error("nothing", kDana), Errc::NotFound);
}

TEST_F(ApprovalBookTest, OnePersonInTwoGroupsCountsOnce) {
    auto made = held();
    made.requires_ = {{.rule = "two", .by = {"group:dba", "group:oncall"}, .count = 2}};
    const auto id = ask(made);
    EXPECT_EQ(*book_.grant(id, kDana, "", kStart), State::Pending);
    EXPECT_EQ(grant_error(id, kDana), Errc::Exists);
    EXPECT_EQ(*book_.grant(id, kEmil, "", kStart), State::Granted);
}

TEST_F(ApprovalBookTest, EveryRulesDemandIsMet) {
    auto made = held();
    made.requires_.push_back({.rule = "pii", .by = {"group:security", "user:fay"}, .count = 1});
    const auto id = ask(made);
    EXPECT_EQ(*book_.grant(id, kDana, "", kStart), State::Pending);
    EXPECT_EQ(*book_.grant(id, kEmil, "", kStart), State::Pending);
    EXPECT_EQ(*book_.grant(id, kFay, "", kStart), State::Granted);
}

TEST_F(ApprovalBookTest, WhoIsInBothListsMeetsBothRules) {
    auto made = held();
    made.requires_.push_back({.rule = "night", .by = {"group:oncall"}, .count = 1});
    const auto id = ask(made);
    EXPECT_EQ(*book_.grant(id, kDana, "", kStart), State::Granted);
}

TEST_F(ApprovalBookTest, RefusalCancellationAndExpiryEndItForGood) {
    const auto refused = ask(held());
    EXPECT_TRUE(book_.refuse(refused, kDana, "not today", kStart));
    const auto cancelled = ask(held());
    EXPECT_TRUE(book_.cancel(cancelled, "client cancelled", kStart));
    const auto expired = ask(held());
    EXPECT_EQ(book_.next_expiry(), kStart + minutes{10});
    book_.expire(kStart + minutes{10} - seconds{1});
    EXPECT_EQ(book_.find(expired)->state, State::Pending);
    book_.expire(kStart + minutes{10});
    EXPECT_EQ(told_, (std::vector{State::Refused, State::Cancelled, State::Expired}));
    for (const auto& id : {refused, cancelled, expired}) {
        EXPECT_FALSE(book_.grant(id, kDana, "", kStart + minutes{10}));
        EXPECT_FALSE(book_.use(id, held().digest, kStart));
    }
    EXPECT_EQ(book_.next_expiry(), std::nullopt);
}

TEST_F(ApprovalBookTest, AnAnswerAfterItsTimeIsTooLateEvenBeforeExpireRuns) {
    const auto id = ask(held());
    EXPECT_EQ(book_.grant(id, kDana, "", kStart + minutes{10}).error().code, Errc::Expired);
    EXPECT_EQ(told_, std::vector{State::Expired});
}

TEST_F(ApprovalBookTest, AGrantNotUsedInTimeExpires) {
    const auto id = ask(held());
    ASSERT_TRUE(book_.grant(id, kDana, "", kStart));
    EXPECT_EQ(book_.use(id, held().digest, kStart + minutes{5}).error().code, Errc::Expired);
}

TEST_F(ApprovalBookTest, AWindowEndsAtItsOwnEndHoweverOftenItIsUsed) {
    auto made = held();
    made.scope = DurationScope{minutes{15}};
    const auto id = ask(made);
    ASSERT_TRUE(book_.grant(id, kDana, "", kStart));
    made.session = "s2";
    for (int minute = 0; minute != 15; ++minute) {
        EXPECT_TRUE(covered(made, kStart + minutes{minute})) << minute;
        EXPECT_TRUE(book_.use(id, made.digest, kStart + minutes{minute}));
    }
    EXPECT_FALSE(covered(made, kStart + minutes{15}));
    EXPECT_FALSE(book_.use(id, made.digest, kStart + minutes{15}));
}

TEST_F(ApprovalBookTest, AWindowCoversOnlyTheSameAskerAndRequest) {
    auto made = held();
    made.scope = DurationScope{minutes{15}};
    ASSERT_TRUE(book_.grant(ask(made), kDana, "", kStart));
    const auto differs = [&](auto change) {
        auto other = made;
        change(other);
        return !covered(other, kStart);
    };
    EXPECT_TRUE(differs([](Held& h) { h.workload = "other"; }));
    EXPECT_TRUE(differs([](Held& h) { h.subject = "agent:other"; }));
    EXPECT_TRUE(differs([](Held& h) { h.resource = "other"; }));
    EXPECT_TRUE(differs([](Held& h) { h.uid = 1001; }));
    EXPECT_TRUE(differs([](Held& h) { h.digest[0] = std::byte{0}; }));
    EXPECT_TRUE(differs([](Held& h) { h.requires_[0].count = 2; })) << "policy became stricter";
    EXPECT_TRUE(differs([](Held& h) { h.scope = StatementScope{}; }));
    EXPECT_FALSE(differs([](Held&) {}));
}

TEST_F(ApprovalBookTest, ASessionWindowEndsWithItsSession) {
    auto made = held();
    made.scope = SessionScope{};
    ASSERT_TRUE(book_.grant(ask(made), kDana, "", kStart));
    EXPECT_TRUE(covered(made, kStart + std::chrono::hours{30}));
    auto other = made;
    other.session = "s2";
    EXPECT_FALSE(covered(other, kStart));
    book_.end_session("s1", kStart + std::chrono::hours{30});
    EXPECT_FALSE(covered(made, kStart + std::chrono::hours{30}));
}

TEST_F(ApprovalBookTest, RevokingCutsAWindow) {
    auto made = held();
    made.scope = DurationScope{minutes{15}};
    const auto id = ask(made);
    ASSERT_TRUE(book_.grant(id, kDana, "", kStart));
    EXPECT_FALSE(book_.revoke(id, kFay, "", kStart));
    EXPECT_TRUE(book_.revoke(id, kEmil, "changed my mind", kStart));
    EXPECT_FALSE(covered(made, kStart));
    EXPECT_FALSE(book_.use(id, made.digest, kStart));
}

TEST_F(ApprovalBookTest, ASessionThatEndsWithdrawsWhatItAsked) {
    ask(held());
    auto other = held();
    other.session = "s2";
    const auto stays = ask(other);
    book_.end_session("s1", kStart);
    EXPECT_EQ(told_, std::vector{State::Cancelled});
    EXPECT_EQ(book_.find(stays)->state, State::Pending);
    EXPECT_EQ(book_.list(State::Pending).size(), 1u);
}

TEST_F(ApprovalBookTest, ImpossibleDemandsAreRefused) {
    auto none = held();
    none.requires_.clear();
    auto nobody = held();
    nobody.requires_[0].by.clear();
    auto zero = held();
    zero.requires_[0].count = 0;
    auto no_time = held();
    no_time.within = {};
    auto no_window = held();
    no_window.scope = DurationScope{};
    for (const auto& made : {none, nobody, zero, no_time, no_window})
        EXPECT_EQ(book_.request(made, kStart, {}).error().code, Errc::Invalid);
}

TEST_F(ApprovalBookTest, WhatWasLeftWaitsForAnEqualRequestOfAnySession) {
    const auto id = ask(held());
    book_.leave(id, {});
    book_.end_session("s1", kStart);
    EXPECT_EQ(book_.find(id)->state, State::Pending);
    auto again = held();
    again.session = "s2";
    auto joined = book_.request(again, kStart, {});
    ASSERT_TRUE(joined);
    EXPECT_EQ(joined->id, id);
    EXPECT_TRUE(joined->joined);
    EXPECT_FALSE(joined->covered);
    book_.leave(id, {});
    EXPECT_EQ(*book_.grant(id, kDana, "", kStart), State::Granted);
    auto other = again;
    other.digest.fill(std::byte{8});
    EXPECT_FALSE(covered(other, kStart)) << "another request";
    EXPECT_TRUE(covered(again, kStart));
    EXPECT_TRUE(book_.use(id, again.digest, kStart));
    EXPECT_FALSE(covered(again, kStart)) << "single use";
}

TEST_F(ApprovalBookTest, WhatIsWaitedForIsNotJoined) {
    const auto first = ask(held());
    EXPECT_NE(ask(held()), first);
}

TEST_F(ApprovalBookTest, IsBounded) {
    book_ = ApprovalBook{{.pending = 5, .pending_of_session = 3, .kept = 2}};
    for (int i = 0; i != 3; ++i) ask(held());
    EXPECT_EQ(book_.request(held(), kStart, {}).error().code, Errc::TooLarge);
    auto other = held();
    other.session = "s2";
    ask(other);
    ask(other);
    EXPECT_EQ(book_.request(other, kStart, {}).error().code, Errc::TooLarge);
    book_.expire(kStart + std::chrono::hours{1});
    EXPECT_EQ(book_.list().size(), 2u);
    EXPECT_TRUE(book_.request(held(), kStart, {}));
}

// What one workload asks leaves room for the others.
TEST_F(ApprovalBookTest, IsBoundedForEachWorkload) {
    book_ = ApprovalBook{{.pending_of_workload = 3}};
    auto one = held();
    for (const char* session : {"s1", "s2", "s3"}) {
        one.session = session;
        ask(one);
    }
    one.session = "s4";
    EXPECT_EQ(book_.request(one, kStart, {}).error().code, Errc::TooLarge);
    auto other = one;
    other.workload = "another";
    EXPECT_TRUE(book_.request(other, kStart, {}));
    book_.end_session("s1", kStart);
    EXPECT_TRUE(book_.request(one, kStart, {}));
}

TEST_F(ApprovalBookTest, IsBoundedInBytes) {
    book_ = ApprovalBook{{.bytes_of_workload = 1000, .kept_bytes = 500}};
    auto large = held();
    large.statement = std::string(300, 'x');
    large.parameters = {std::string(100, 'x')};
    ask(large);
    ask(large);
    EXPECT_EQ(book_.request(large, kStart, {}).error().code, Errc::TooLarge);
    book_.expire(kStart + std::chrono::hours{1});
    EXPECT_EQ(book_.list().size(), 1u) << "the older one is forgotten";
    EXPECT_TRUE(book_.request(large, kStart + std::chrono::hours{1}, {}));
    large.statement = std::string(2000, 'x');
    EXPECT_FALSE(book_.request(large, kStart + std::chrono::hours{1}, {}));
}

}  // namespace
}  // namespace chaperone::approval
