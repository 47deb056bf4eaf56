// SPDX-License-Identifier: Apache-2.0
// Two bundles compared in meaning: which rules came, went, or say something else by proof rather
// than by text, and which requests would have another answer.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/testing/simulate.h"

#include <memory>
#include <string>
#include <vector>

namespace chaperone::policy::testing {

struct RuleChange {
    std::string rule{};  // "policy/rule"
    // added, removed, wider (matches more), narrower, same (written otherwise, matches the same),
    // changed (more here and less there, or no proof), effect (matches the same, does another
    // thing)
    std::string change{};
    std::string before{};  // effect and condition; empty where it is added
    std::string after{};
};

class Comparison {
public:
    Comparison(std::shared_ptr<const bundle::Bundle> before,
               std::shared_ptr<const bundle::Bundle> after);

    // Asks both. Needs a big stack (run_with_big_stack).
    void ask(const Question& question, std::string_view session = {});
    // Asks what both bundles' rules and tests tell apart.
    void ask_probes();

    const std::vector<RuleChange>& rules() const noexcept { return rules_; }
    const Simulation& requests() const noexcept { return simulation_; }
    bool same() const noexcept { return rules_.empty() && simulation_.changed() == 0; }

private:
    std::shared_ptr<const bundle::Bundle> before_;
    std::shared_ptr<const bundle::Bundle> after_;
    Asker asker_;
    Simulation simulation_;
    std::vector<RuleChange> rules_;
};

// {rules: [{rule, change, before, after}], requests, changed, changes: […]} as simulations are
// shown.
std::string to_json(const Comparison& comparison);
std::string to_table(const Comparison& comparison);

}  // namespace chaperone::policy::testing
