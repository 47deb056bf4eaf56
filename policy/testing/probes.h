// SPDX-License-Identifier: Apache-2.0
// Requests that tell a bundle's rules apart: the ordinary statements of each kind, on the objects
// that conditions and masks name, and those of the bundle's own tests. Examples for findings, and
// what `policy diff` asks beside what was recorded.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/explain.h"

#include <set>
#include <string>
#include <vector>

namespace chaperone::policy::testing {

class Probes {
public:
    // Adds what this bundle's documents name.
    void add(const bundle::Bundle& bundle);

    // Statements that a workload might send there; the first asks only to connect.
    std::vector<Question> of(const bundle::Workload& workload,
                             const bundle::Resource& resource) const;
    // The tests of the bundles that were added.
    const std::vector<Question>& tests() const noexcept { return tests_; }

private:
    void name(const std::string& text);
    void add_http(const bundle::Resource& resource, Question question,
                  std::vector<Question>& all) const;

    std::set<std::string> tables_;  // schema.table
    std::set<std::string> columns_;
    std::set<std::string> functions_;
    std::set<std::string> paths_;  // of HTTP requests
    std::vector<Question> tests_;
};

}  // namespace chaperone::policy::testing
