// SPDX-License-Identifier: Apache-2.0
// What a candidate bundle would have answered to requests that were recorded: each is asked anew,
// and those with another answer are grouped by what changes, rule and workload. The database's
// catalog of then is not known, so what only it tells (the columns of `*`) may be judged closed.
// Pure; belongs to one thread, which needs a big stack (run_with_big_stack).
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/explain.h"
#include "policy/testing/asker.h"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace chaperone::policy::testing {

// One request as the journal has it.
struct Recorded {
    Question question{};
    std::string session{};
    std::string effect{};  // deny, approve, mask, allow
    std::string rule{};
    std::set<std::string> masks{};  // columns patterns and kinds, of effect mask
};

struct Change {
    std::string workload{};
    std::string resource{};
    std::string before{};  // effect; "unknown": it had no such workload or resource; where only the
    std::string after{};   // masks differ, "mask" and what is masked
    std::string rule{};    // that decides now; where it has none, the one that decided then
    std::uint64_t requests = 0;
    std::vector<std::string> examples{};  // statements, at most kExamples, different ones
    std::string session{};                // of the first
};

// What a bundle answers, as it would have been recorded; effect "unknown": it has no such workload
// or resource.
Recorded answer_of(Asker& asker, const Question& question, std::string_view session = {});

class Simulation {
public:
    static constexpr std::size_t kExamples = 3;
    static constexpr std::size_t kExample = 200;  // bytes of a statement

    explicit Simulation(std::shared_ptr<const bundle::Bundle> candidate)
        : candidate_(std::move(candidate)) {}

    void add(const Recorded& recorded);
    std::uint64_t requests() const noexcept { return requests_; }
    std::uint64_t changed() const noexcept;
    // Those with most requests first.
    std::vector<Change> changes() const;

private:
    using Key = std::tuple<std::string, std::string, std::string, std::string, std::string>;

    Asker candidate_;
    std::uint64_t requests_ = 0;
    std::map<Key, Change> changes_;
};

// {requests, changed, changes: [{workload, resource, before, after, rule, requests, examples,
// session}]}
std::string to_json(const Simulation& simulation);
std::string to_table(const Simulation& simulation);

}  // namespace chaperone::policy::testing
