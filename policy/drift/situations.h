// SPDX-License-Identifier: Apache-2.0
// The sessions of a bundle as its rules see them: workloads and resources between which no
// condition tells a difference are one situation. In each, what is left of every rule, and which of
// the example requests it matches. What differs from session to session (tokens, logins, times) is
// open.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/cel/program.h"
#include "policy/cel/reason.h"
#include "policy/engine/engine.h"
#include "policy/explain.h"
#include "policy/testing/probes.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::drift {

// Nothing is known: what folds to a constant here is one whatever is asked.
class Nothing final : public cel::Activation {
public:
    cel::Value variable(std::size_t) const override { return cel::Value::unknown(); }
};

// One bit an example.
class Bits {
public:
    void push(bool bit) {
        if (size_ % 64 == 0) words_.push_back(0);
        if (bit) words_.back() |= std::uint64_t{1} << (size_ % 64);
        ++size_;
    }
    bool at(std::size_t i) const { return (words_[i / 64] >> (i % 64) & 1U) != 0; }
    const std::vector<std::uint64_t>& words() const noexcept { return words_; }
    bool any() const {
        for (const std::uint64_t word : words_)
            if (word != 0) return true;
        return false;
    }

private:
    std::vector<std::uint64_t> words_;
    std::size_t size_ = 0;
};

// The condition of a rule in one situation, its policy's included.
struct Standing {
    enum class State : std::uint8_t { Never, Always, Open };
    State state = State::Open;
    std::optional<cel::Program> left{};  // State::Open
    Bits met{};
    Bits missed{};  // certainly false

    cel::Claim claim(bool holds) const;  // of left; not for State::Never
};

struct Situation {
    const bundle::Workload* workload = nullptr;  // null: the bundle has none
    const bundle::Resource* resource = nullptr;
    std::vector<Standing> rules{};  // as Engine::rules()
    std::vector<Question> examples{};
    Bits denied{};
    Bits empty{};                // statements that do nothing
    std::vector<bool> scopes{};  // as Engine::scopes(): false: such a policy is not about it
};

class Situations {
public:
    explicit Situations(const bundle::Bundle& bundle);

    const std::vector<Situation>& all() const noexcept { return all_; }
    // False: there were more than could be looked at, and nothing can be said of all of them.
    bool complete() const noexcept { return complete_; }
    const cel::World& world() const noexcept { return world_; }

    // No session of the bundle is what a policy with this condition is about.
    bool out_of_scope(std::size_t scope) const;
    // The values that a path can have, unquoted; empty: any.
    std::vector<std::string> values_of(std::string_view path) const;

private:
    std::optional<cel::Program> whole(const engine::CompiledRule& rule) const;
    void add(const bundle::Workload* workload, const bundle::Resource* resource);
    void try_examples(Situation& situation);

    const bundle::Bundle& bundle_;
    testing::Probes probes_;
    std::vector<std::optional<cel::Program>> wholes_;  // as Engine::rules(); none: always true
    std::vector<Situation> all_;
    cel::World world_;
    bool complete_ = true;
};

}  // namespace chaperone::policy::drift
