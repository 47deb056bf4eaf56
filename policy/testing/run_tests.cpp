// SPDX-License-Identifier: Apache-2.0
#include "policy/testing/run_tests.h"

#include "policy/testing/coverage.h"

#include <algorithm>
#include <chrono>
#include <set>

namespace chaperone::policy::testing {
namespace {

using bundle::Expectation;
using bundle::TestCase;

std::set<std::string> masks_of(const Decision& decision) {
    const auto names = mask_names(decision);
    return {names.begin(), names.end()};
}

std::string list(const std::set<std::string>& all) {
    std::string text = "[";
    for (const std::string& one : all) text += (text.size() == 1 ? "" : ", ") + one;
    return text + "]";
}

// "policy/rule" or "rule", whichever way either is written.
bool same_rule(const std::string& wanted, const std::string& got) {
    return wanted == got || got.ends_with("/" + wanted) || wanted.ends_with("/" + got);
}

std::string shown(const Decision& decision) {
    std::string text{to_text(decision.effect)};
    if (!decision.rule.empty()) text += " by " + decision.rule;
    if (!decision.reason.empty()) text += " (" + decision.reason + ")";
    return text;
}

// What differs; empty if the case passes.
std::string difference(const Expectation& expected, const Decision& got) {
    std::string why;
    if (got.effect != expected.effect)
        why = "expected " + std::string{to_text(expected.effect)} + ", got " + shown(got);
    else if (expected.rule &&
             !(got.rule.empty() ? expected.rule->empty() : same_rule(*expected.rule, got.rule)))
        why = "expected rule " + *expected.rule + ", got " + shown(got);
    if (!expected.masks) return why;
    const std::set<std::string> wanted{expected.masks->begin(), expected.masks->end()};
    const std::set<std::string> masks = masks_of(got);
    if (masks != wanted)
        why +=
            (why.empty() ? "" : "; ") + ("expected masks " + list(wanted)) + ", got " + list(masks);
    return why;
}

CaseResult run_case(const std::shared_ptr<const bundle::Bundle>& bundle, const TestCase& one,
                    Coverage& coverage) {
    CaseResult result{.name = one.name, .line = one.at.line};
    result.file = bundle->files()[one.at.file].path;
    const auto began = std::chrono::steady_clock::now();
    const auto asked = ask(*bundle, question_of(one, *bundle));
    if (!asked) {
        result.why = asked.error().message();
    } else {
        SessionPolicy policy{bundle, asked->request.session};
        result.got = decide_all(policy, asked->request);
        result.why = difference(one.expect, *result.got);
        coverage.add(asked->request, *result.got);
    }
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
    result.seconds = took.count();
    result.pass = result.why.empty();
    return result;
}

}  // namespace

Question question_of(const TestCase& one, const bundle::Bundle& bundle) {
    Question question{.workload = one.workload, .resource = one.resource, .statement = one.sql};
    if (one.http) {
        question.http = HttpQuestion{.method = one.http->method, .url = one.http->url};
        for (const auto& field : one.http->headers) question.http->headers.push_back(field);
        question.http->body = one.http->body;
    }
    if (one.ws) question.message = MessageQuestion{.up = !one.ws->down, .text = one.ws->text};
    if (one.tool_call) {
        question.tool_call =
            ToolCallQuestion{.name = one.tool_call->name, .arguments = one.tool_call->arguments};
        if (!one.tool_call->type.empty()) question.tool_call->type = one.tool_call->type;
    }
    question.command = one.command;
    question.dns = one.dns;
    if (!one.dns_type.empty()) question.dns_type = one.dns_type;
    if (one.has_parameters) question.parameters = one.parameters;
    question.database = one.database;
    question.user = one.user;
    question.application = one.application;
    question.replication = one.replication;
    question.tls = one.tls;
    question.tables = one.tables;
    question.now = one.now.value_or(kTestTime);
    if (one.subject || one.groups) {
        const bundle::Workload* workload = bundle.workload(one.workload);
        Identity identity;
        identity.subject = one.subject.value_or(workload ? workload->subject : std::string{});
        identity.groups =
            one.groups.value_or(workload ? workload->groups : std::vector<std::string>{});
        question.identity = std::move(identity);
    }
    return question;
}

std::size_t Report::failed() const noexcept {
    return static_cast<std::size_t>(std::ranges::count(cases, false, &CaseResult::pass));
}

std::size_t Report::rules_matched() const noexcept {
    return static_cast<std::size_t>(
        std::ranges::count_if(coverage, [](const RuleCoverage& r) { return r.matched != 0; }));
}

Report run_tests(const std::shared_ptr<const bundle::Bundle>& bundle) {
    Report report;
    Coverage coverage{*bundle};
    for (const bundle::PolicyTest& test : bundle->tests())
        for (const TestCase& one : test.cases) {
            CaseResult result = run_case(bundle, one, coverage);
            result.suite = test.metadata.name;
            report.cases.push_back(std::move(result));
        }
    report.coverage = coverage.take();
    return report;
}

}  // namespace chaperone::policy::testing
