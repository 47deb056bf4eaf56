// SPDX-License-Identifier: Apache-2.0
// What rules do to each other: proofs, not guesses, with a request as the example where one of the
// ordinary ones shows it.
#pragma once

#include "policy/drift/situations.h"

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace chaperone::policy::drift {

class Overlaps {
public:
    Overlaps(const Overlaps&) = delete;
    Overlaps& operator=(const Overlaps&) = delete;
    Overlaps(const bundle::Bundle& bundle, const Situations& situations);

    struct Override {
        const engine::CompiledRule* by = nullptr;
        std::string example{};  // "DROP TABLE t" by billing on orders; empty: none was found
    };

    // No session of the bundle can send a request that the rule matches.
    bool impossible(std::size_t rule);
    // Another rule decides whatever this one matches.
    std::optional<Override> overridden(std::size_t rule);
    // A deny rule of another file that denies all of what this allow rule allows, or all of one
    // value that it allows by name; `value` says which.
    struct Contradiction : Override {
        std::string value{};
    };
    std::vector<Contradiction> contradicted(std::size_t rule);
    // Every request that the mask rule matches is denied, or allowed by nothing.
    bool unmet(std::size_t rule);

private:
    bool possible(const Situation& situation, std::size_t rule);
    bool overrides(std::size_t other, std::size_t rule) const;
    bool implied(const Situation& situation, std::size_t rule, std::size_t other,
                 const cel::World& world);
    bool refuted(const Situation& situation, std::size_t rule, std::size_t other,
                 bool with_empty) const;
    bool apart(std::size_t rule, std::size_t other) const;
    std::vector<cel::NamedValue> shared_names(std::size_t rule, std::size_t other) const;
    bool one_denies_all(std::size_t rule, std::size_t other, const cel::World& world);
    bool denied_together(std::size_t rule);
    std::string example(std::size_t rule, std::size_t other) const;

    const std::vector<engine::CompiledRule>& rules_;
    const Situations& situations_;
    using Named = std::map<std::string, std::set<std::string>>;
    std::vector<Named> named_;  // by rule: the values that its condition names, by path
    cel::World world_;
    std::size_t budget_ = 500'000;  // cases of all proofs; beyond it nothing more is claimed
};

}  // namespace chaperone::policy::drift
