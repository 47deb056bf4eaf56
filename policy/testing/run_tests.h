// SPDX-License-Identifier: Apache-2.0
// Runs the PolicyTest documents of a bundle through the same engine as the daemon.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/decision.h"
#include "policy/explain.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace chaperone::policy::testing {

struct CaseResult {
    std::string suite{};  // the PolicyTest's name
    std::string name{};
    std::string file{};
    std::uint32_t line = 0;
    bool pass = false;
    std::string why{};  // of a failure: what was expected and what came
    DecisionPtr got{};  // null if the request could not be made
    double seconds = 0;
};

struct RuleCoverage {
    std::string rule{};  // "policy/rule"
    std::string file{};
    std::uint32_t line = 0;
    std::size_t matched = 0;  // by how many cases
    std::size_t decided = 0;  // was the rule that decided, or one of its masks was applied
    std::size_t branches =
        0;  // outcomes (true and false) of the operands of && || ?: and of the whole
    std::size_t branches_seen = 0;
    std::vector<std::string> not_seen{};  // "line:col `sub-expression` was never true"
};

struct Report {
    std::vector<CaseResult> cases{};
    std::vector<RuleCoverage> coverage{};  // every rule of the bundle, sorted

    std::size_t failed() const noexcept;
    std::size_t rules_matched() const noexcept;
};

// What `now` is where nobody says: the same in every run. 2026-01-01T12:00:00Z.
constexpr Time kTestTime{std::chrono::seconds{1'767'268'800}};

// The question that a case asks.
Question question_of(const bundle::TestCase& one, const bundle::Bundle& bundle);

Report run_tests(const std::shared_ptr<const bundle::Bundle>& bundle);

std::string to_table(const Report& report);
std::string to_json(const Report& report);
// As the de facto schema that CI systems read: testsuites > testsuite > testcase > failure.
std::string to_junit(const Report& report);

}  // namespace chaperone::policy::testing
