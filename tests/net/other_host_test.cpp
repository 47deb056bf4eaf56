// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/other_host.h"

#include "policy/bundle/bundle.h"
#include "policy/decision.h"

#include <gtest/gtest.h>

namespace chaperone::net {
namespace {

constexpr std::string_view kBundle = R"(
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: public}
spec: {protocol: http, hosts: [10.0.0.1, "fd00::1", cdn.example], ports: [80]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: admin}
spec: {protocol: http, hosts: [admin.example, "*.admin.example"], ports: [80, 8443]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: rest}
spec: {protocol: http, hosts: ["*"], ports: [80]}
)";

class OtherHost : public testing::Test {
protected:
    void SetUp() override {
        auto loaded = policy::bundle::load({{"b.yaml", std::string{kBundle}}});
        ASSERT_TRUE(loaded.bundle) << loaded.issues.front().message;
        bundle_ = loaded.bundle;
        session_.resource = "public";
        session_.destination = {.address = "10.0.0.1", .port = 80};
    }
    bool other(const std::string& host, std::uint16_t port = 80) const {
        return is_other_host(*bundle_, session_, host, port);
    }
    std::shared_ptr<const policy::bundle::Bundle> bundle_;
    policy::SessionFacts session_{};
};

TEST_F(OtherHost, IsANameOfAnotherResource) {
    EXPECT_TRUE(other("admin.example"));
    EXPECT_TRUE(other("x.admin.example"));
    EXPECT_FALSE(other("cdn.example"));
    EXPECT_FALSE(other("nobodys.example"));
    session_.resource = "rest";
    EXPECT_TRUE(other("admin.example"));
    EXPECT_TRUE(other("cdn.example"));
    EXPECT_FALSE(other("nobodys.example"));
    session_.resource = "admin";
    EXPECT_FALSE(other("admin.example"));
}

TEST_F(OtherHost, IsOneAtThePortThatTheRequestNames) {
    session_.destination.port = 8080;
    EXPECT_TRUE(other("admin.example", 8443));
    EXPECT_FALSE(other("admin.example", 9000)) << "nobody claims it there";
}

TEST_F(OtherHost, IsAnotherAddress) {
    EXPECT_FALSE(other("10.0.0.1"));
    EXPECT_TRUE(other("10.0.0.2"));
    EXPECT_TRUE(other("::1"));
    session_.destination.address = "fd00::1";
    EXPECT_FALSE(other("fd00::1"));
    session_.destination.address = "::ffff:10.0.0.1";
    EXPECT_FALSE(other("10.0.0.1"));
    session_.destination.address = "";
    EXPECT_TRUE(other("10.0.0.1")) << "what was dialled is not known";
}

}  // namespace
}  // namespace chaperone::net
