// SPDX-License-Identifier: Apache-2.0
// The result of a test run as a table for people, as JSON, and as JUnit XML for CI systems.
#include "policy/testing/run_tests.h"

#include "policy/explain.h"
#include "policy/yaml/text.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <algorithm>
#include <array>
#include <cstdio>
#include <map>

namespace chaperone::policy::testing {
namespace {

namespace json = boost::json;

std::string padded(std::string text, std::size_t width) {
    const std::size_t size = yaml::code_points(text);
    if (size < width) text.append(width - size, ' ');
    return text;
}

std::string seconds(double value) {
    std::array<char, 32> out{};
    std::snprintf(out.data(), out.size(), "%.3f", value);
    return out.data();
}

// XML 1.0 text; characters that XML does not have become '?'.
std::string escaped(std::string_view text) {
    std::string made;
    while (!text.empty()) {
        const yaml::CodePoint next = yaml::first_code_point(text);
        const std::size_t size = next.size == 0 ? 1 : next.size;
        switch (next.value) {
        case '&': made += "&amp;"; break;
        case '<': made += "&lt;"; break;
        case '>': made += "&gt;"; break;
        case '"': made += "&quot;"; break;
        case '\n': made += "&#10;"; break;
        case '\t': made += "&#9;"; break;
        case '\r': made += "&#13;"; break;
        case 0xfffe:
        case 0xffff: made += '?'; break;
        default:
            if (next.size == 0 || next.value < 0x20)
                made += '?';
            else
                made += text.substr(0, size);
        }
        text.remove_prefix(size);
    }
    return made;
}

std::string coverage_table(const Report& report) {
    std::size_t width = 0;
    for (const RuleCoverage& rule : report.coverage) width = std::max(width, rule.rule.size());
    std::string text;
    for (const RuleCoverage& rule : report.coverage) {
        if (rule.matched != 0 && rule.branches_seen == rule.branches) continue;
        text += "  " + padded(rule.rule, width) + "  " +
                (rule.matched == 0 ? "never matched" : "matched");
        if (rule.branches != 0)
            text += ", " + std::to_string(rule.branches_seen) + " of " +
                    std::to_string(rule.branches) + " outcomes";
        text += "  " + rule.file + ":" + std::to_string(rule.line) + "\n";
        if (rule.matched != 0)
            for (const std::string& where : rule.not_seen) text += "      " + where + "\n";
    }
    return text;
}

}  // namespace

std::string to_table(const Report& report) {
    std::size_t suite = 0;
    for (const CaseResult& one : report.cases)
        suite = std::max(suite, yaml::code_points(one.suite));
    std::string text;
    for (const CaseResult& one : report.cases) {
        text += std::string{one.pass ? "ok    " : "FAIL  "} + padded(one.suite, suite) + "  " +
                yaml::one_line(one.name) + "\n";
        if (!one.pass)
            text += "      " + one.file + ":" + std::to_string(one.line) + ": " +
                    yaml::one_line(one.why) + "\n";
    }
    const std::size_t failed = report.failed();
    text += std::to_string(report.cases.size()) + " cases, " + std::to_string(failed) +
            " failed; " + std::to_string(report.rules_matched()) + " of " +
            std::to_string(report.coverage.size()) + " rules matched\n";
    if (const std::string missing = coverage_table(report); !missing.empty())
        text += "not covered:\n" + missing;
    return text;
}

std::string to_json(const Report& report) {
    json::array cases;
    for (const CaseResult& one : report.cases) {
        json::object made{{"suite", one.suite}, {"name", one.name}, {"pass", one.pass}};
        made["file"] = one.file;
        made["line"] = one.line;
        if (!one.why.empty()) made["why"] = one.why;
        if (one.got) made["decision"] = json::parse(policy::to_json(*one.got));
        cases.push_back(std::move(made));
    }
    json::array rules;
    for (const RuleCoverage& rule : report.coverage) {
        json::object made{{"rule", rule.rule}, {"file", rule.file}, {"line", rule.line}};
        made["matched"] = rule.matched;
        made["decided"] = rule.decided;
        made["outcomes"] = rule.branches;
        made["outcomesSeen"] = rule.branches_seen;
        json::array missing;
        for (const std::string& where : rule.not_seen) missing.push_back(json::string{where});
        made["notSeen"] = std::move(missing);
        rules.push_back(std::move(made));
    }
    return json::serialize(json::object{
        {"cases", std::move(cases)}, {"failed", report.failed()}, {"coverage", std::move(rules)}});
}

std::string to_junit(const Report& report) {
    std::vector<std::string> order;
    std::map<std::string, std::vector<const CaseResult*>> suites;
    for (const CaseResult& one : report.cases) {
        auto& cases = suites[one.suite];
        if (cases.empty()) order.push_back(one.suite);
        cases.push_back(&one);
    }
    std::string text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites tests=\"" +
                       std::to_string(report.cases.size()) + "\" failures=\"" +
                       std::to_string(report.failed()) + "\">\n";
    for (const std::string& name : order) {
        const auto& cases = suites[name];
        const auto failed = std::ranges::count(cases, false, &CaseResult::pass);
        text += "  <testsuite name=\"" + escaped(name) + "\" tests=\"" +
                std::to_string(cases.size()) + "\" failures=\"" + std::to_string(failed) + "\">\n";
        for (const CaseResult* one : cases) {
            text += "    <testcase classname=\"" + escaped(name) + "\" name=\"" +
                    escaped(one->name) + "\" file=\"" + escaped(one->file) + "\" line=\"" +
                    std::to_string(one->line) + "\" time=\"" + seconds(one->seconds) + "\"";
            text += one->pass ? "/>\n"
                              : ">\n      <failure message=\"" + escaped(one->why) +
                                    "\"/>\n    </testcase>\n";
        }
        text += "  </testsuite>\n";
    }
    return text + "</testsuites>\n";
}

}  // namespace chaperone::policy::testing
