// SPDX-License-Identifier: Apache-2.0
// Rules about one HTTP resource, and a session that asks them.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/engine/session_policy.h"
#include "policy/http/facts.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

namespace chaperone::policy::http {

inline constexpr std::string_view kBundle = R"(
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: api}
spec: {protocol: http, hosts: [api.example.com]}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: agent}
spec: {identity: {subject: "agent:one"}}
---
apiVersion: chaperone.dev/v1
kind: Policy
metadata: {name: p}
spec:
  rules:
)";

class RulesTest : public testing::Test {
protected:
    // The rules of the bundle's one policy, indented by two.
    void rules(std::string_view text) {
        auto loaded = bundle::load({{"b.yaml", std::string{kBundle} + std::string{text}}});
        ASSERT_TRUE(loaded.bundle) << loaded.issues.front().message;
        auto session = std::make_shared<SessionFacts>();
        session->workload = "agent";
        session->resource = "api";
        session->protocol = "http";
        session->identity.subject = "agent:one";
        session->destination.name = "api.example.com";
        policy_ = std::make_unique<SessionPolicy>(loaded.bundle, session);
        session_ = session;
    }

    std::unique_ptr<SessionPolicy> policy_;
    std::shared_ptr<const SessionFacts> session_;
};

}  // namespace chaperone::policy::http
