// SPDX-License-Identifier: Apache-2.0
// Which rules and which branches inside their conditions the cases of a bundle have met.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/decision.h"
#include "policy/engine/engine.h"
#include "policy/request.h"
#include "policy/testing/run_tests.h"

#include <cstddef>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace chaperone::policy::testing {

class Coverage {
public:
    explicit Coverage(const bundle::Bundle& bundle);

    // Evaluates every rule for this request and notes what its conditions came to.
    void add(const Request& request, const Decision& decision);
    std::vector<RuleCoverage> take() const;

private:
    // What an operand (by its bytes in the source) came to.
    struct Seen {
        bool yes = false;
        bool no = false;
    };
    using Branch = std::pair<std::uint32_t, std::uint32_t>;
    struct PerRule {
        std::size_t matched = 0;
        std::size_t decided = 0;
        Seen whole{};
        std::map<Branch, Seen> branches{};
    };

    void note(const engine::CompiledRule& rule, PerRule& to, const Request& request) const;
    RuleCoverage report(const engine::CompiledRule& rule, const PerRule& from) const;

    const bundle::Bundle& bundle_;
    std::vector<PerRule> rules_;
};

}  // namespace chaperone::policy::testing
