// SPDX-License-Identifier: Apache-2.0
#include "userspace/control/router.h"
#include "tests/control/fake_service.h"

#include <gtest/gtest.h>

namespace chaperone::control {
namespace {

const Caller kRoot{.pid = 1, .uid = 0, .user = "root", .operates = true, .governed = false};
const Caller kAgentAsRoot{.pid = 2, .uid = 0, .user = "root", .operates = true, .governed = true};
const Caller kUser{.pid = 3, .uid = 1000, .user = "alice", .groups = {"dba"}, .governed = false};

struct Routes : testing::Test {
    FakeService service;

    Reply ask(const Caller& caller, std::string method, std::string_view target,
              std::string body = "") {
        HttpRequest request{.method = std::move(method), .body = std::move(body)};
        EXPECT_TRUE(parse_target(target, request));
        return route(request, caller, service);
    }
};

TEST_F(Routes, GiveListsAsObjectsWithEveryField) {
    const Reply reply = ask(kRoot, "GET", "/v1/sessions?workload=w&limit=3&shadow=true");
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body,
              R"({"sessions":[{"id":"01A","workload":"","subject":"","resource":"","protocol":"",)"
              R"("destination":{"address":"","port":5432,"name":""},"pid":0,"uid":0,"comm":"",)"
              R"("state":"","requests":0,"rows":0,"bytesUp":0,"bytesDown":5000000000,"effect":"",)"
              R"("endReason":"","shadow":false,"peer":""}]})");
    EXPECT_EQ(service.listed.workload(), "w");
    EXPECT_EQ(service.listed.limit(), 3U);
    EXPECT_TRUE(service.listed.shadow());
}

TEST_F(Routes, RefuseWhatTheyDoNotKnow) {
    EXPECT_EQ(ask(kRoot, "GET", "/v1/sessions?worklaod=w").status, 400);
    EXPECT_EQ(ask(kRoot, "GET", "/v1/sessions?limit=-1").status, 400);
    EXPECT_EQ(ask(kRoot, "GET", "/v1/sessions?since=yesterday").status, 400);
    EXPECT_EQ(ask(kRoot, "GET", "/v1/status?x=1").status, 400);
    EXPECT_EQ(ask(kRoot, "POST", "/v1/workloads", R"({"nmae":"x"})").status, 400);
    EXPECT_EQ(ask(kRoot, "POST", "/v1/workloads", "{").status, 400);
    EXPECT_EQ(ask(kRoot, "GET", "/v1/nothing").status, 404);
    EXPECT_EQ(ask(kRoot, "GET", "/").status, 404);
    EXPECT_EQ(ask(kRoot, "DELETE", "/v1/sessions").status, 405);
}

TEST_F(Routes, TakeTheNameFromThePathAlone) {
    EXPECT_EQ(ask(kRoot, "POST", "/v1/sessions/01A:kill", R"({"id":"other"})").status, 200);
    EXPECT_EQ(service.named, "01A");
    EXPECT_EQ(ask(kRoot, "POST", "/v1/workloads/w:bind", R"({"name":"v","cgroup":"/c"})").status,
              200);
    EXPECT_EQ(service.named, "w/c");
    EXPECT_EQ(ask(kRoot, "PUT", "/v1/secrets/db", R"({"value":"cHc="})").status, 200);
    EXPECT_EQ(service.secret, "db=pw");
}

TEST_F(Routes, SayWhatFailedAndWhatToDo) {
    const Reply reply = ask(kRoot, "GET", "/v1/sessions/01B");
    EXPECT_EQ(reply.status, 404);
    EXPECT_EQ(reply.body, R"({"error":{"code":"not_found","message":"session 01B",)"
                          R"("hint":"list what there is with the noun's `list`"}})");
}

TEST_F(Routes, AnswerAGovernedProcessNothingButStatus) {
    EXPECT_EQ(ask(kAgentAsRoot, "GET", "/v1/status").status, 200);
    for (const auto& [method, target] :
         std::vector<std::pair<std::string, std::string>>{{"GET", "/v1/sessions"},
                                                          {"GET", "/metrics"},
                                                          {"GET", "/v1/approvals"},
                                                          {"POST", "/v1/approvals/1:grant"},
                                                          {"POST", "/v1/workloads"},
                                                          {"GET", "/v1/secrets"},
                                                          {"PUT", "/v1/bundle"},
                                                          {"GET", "/v1/events"},
                                                          {"POST", "/v1/ca:rotate"}})
        EXPECT_EQ(ask(kAgentAsRoot, method, target).status, 403) << method << target;
}

TEST_F(Routes, LetAUserDecideApprovalsAndNothingElse) {
    EXPECT_EQ(ask(kUser, "GET", "/v1/status").status, 200);
    EXPECT_EQ(ask(kUser, "GET", "/v1/approvals").status, 200);
    const Reply granted = ask(kUser, "POST", "/v1/approvals/7:grant", R"({"reason":"fine"})");
    EXPECT_EQ(granted.status, 200);
    EXPECT_NE(granted.body.find("fine by alice"), std::string::npos);
    EXPECT_EQ(ask(kUser, "POST", "/v1/approvals/7:refuse").status, 410);
    EXPECT_EQ(ask(kUser, "GET", "/v1/sessions").status, 403);
    EXPECT_EQ(ask(kUser, "GET", "/v1/workloads").status, 403);
}

}  // namespace
}  // namespace chaperone::control
