// SPDX-License-Identifier: Apache-2.0
// Asks one bundle many questions: those of one session share what was left of the rules in it,
// equal statements their analysis. Belongs to one thread, which needs a big stack
// (run_with_big_stack).
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/explain.h"
#include "policy/sql/analyzer.h"

#include <cstddef>
#include <list>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

namespace chaperone::policy::testing {

class Asker {
public:
    explicit Asker(std::shared_ptr<const bundle::Bundle> bundle) : bundle_(std::move(bundle)) {}

    // Questions with one session id (not empty) and login are of one session. Null: the bundle has
    // no such workload or resource.
    DecisionPtr ask(const Question& question, std::string_view session = {});

    // The request that the last question was; null after one that could not be asked.
    const Request* last() const noexcept { return last_ ? &last_->request : nullptr; }
    const bundle::Bundle& bundle() const noexcept { return *bundle_; }

private:
    struct Session {
        std::string key;
        std::shared_ptr<const SessionFacts> facts;
        SessionPolicy policy;
        DecisionPtr opened;
    };
    static constexpr std::size_t kSessions = 4'096;  // kept open; the oldest is closed first

    Session* open(const Question& question, std::string_view session);

    std::shared_ptr<const bundle::Bundle> bundle_;
    sql::AnalysisCache cache_{4'096, std::size_t{64} << 20};
    std::list<Session> sessions_;
    std::unordered_map<std::string_view, Session*> index_;
    std::optional<Asked> last_;
};

// One word for what became of a request: deny, approve, allow, or mask where it is allowed and
// values are masked.
std::string effect_of(const Decision& decision);

}  // namespace chaperone::policy::testing
