// SPDX-License-Identifier: Apache-2.0
// Bundles written in the test, and requests to them.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/engine/session_policy.h"
#include "policy/explain.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::policy {

// Two workloads and two resources that most tests use.
inline constexpr std::string_view kHouse = R"(apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: orders, labels: {env: prod}}
spec: {protocol: postgresql, hosts: [db.internal]}
---
apiVersion: chaperone.dev/v1
kind: Resource
metadata: {name: scratch}
spec: {protocol: postgresql, hosts: [scratch.internal]}
---
apiVersion: chaperone.dev/v1
kind: Workload
metadata: {name: billing, labels: {team: payments}}
spec: {identity: {subject: "agent:billing", groups: [agents]}}
)";

inline std::string policy_text(std::string_view name, std::string_view spec) {
    std::string text = "apiVersion: chaperone.dev/v1\nkind: Policy\nmetadata: {name: ";
    text += name;
    text += "}\nspec:\n";
    return text.append(spec);
}

inline bundle::Loaded load_files(std::vector<bundle::SourceFile> files) {
    return bundle::load(std::move(files));
}

inline bundle::Loaded load_text(std::string policy, std::string_view house = kHouse) {
    return load_files({{"house.yaml", std::string{house}}, {"policy.yaml", std::move(policy)}});
}

// The bundle of these rules (indented by two), which must be right.
inline std::shared_ptr<const bundle::Bundle> bundle_of(std::string_view spec) {
    bundle::Loaded loaded = load_text(policy_text("p", spec));
    EXPECT_TRUE(loaded.bundle) << bundle::to_text(loaded.issues);
    return loaded.bundle;
}

inline Question about(std::string sql, std::string resource = "orders") {
    Question question{.workload = "billing", .resource = std::move(resource)};
    question.statement = std::move(sql);
    question.tables = {{"public.customers", {"id", "email", "ssn"}},
                       {"public.log", {"id", "note"}}};
    return question;
}

inline DecisionPtr decide(const std::shared_ptr<const bundle::Bundle>& bundle,
                          const Question& question) {
    const auto asked = ask(*bundle, question);
    EXPECT_TRUE(asked) << asked.error().message();
    if (!asked || !bundle) return std::make_shared<const Decision>();
    SessionPolicy policy{bundle, asked->request.session};
    return decide_all(policy, asked->request);
}

// "allow reads", "deny", "approve writes": the effect and the rule.
inline std::string verdict(const std::shared_ptr<const bundle::Bundle>& bundle,
                           const Question& question) {
    const DecisionPtr decision = decide(bundle, question);
    std::string text{to_text(decision->effect)};
    return decision->rule.empty() ? text : text + " " + decision->rule;
}

}  // namespace chaperone::policy
