// SPDX-License-Identifier: Apache-2.0
// The rules that are left for one session, and deciding by them. What is constant in a session is
// evaluated once, when this is made; sessions that are alike share what is left. decide() costs
// about a hash look-up for a statement that was decided before.
// One thread at a time; the bundle and what is left of it are shared and immutable.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/decision.h"
#include "policy/request.h"

#include <memory>

namespace chaperone::policy {

class SessionPolicy {
public:
    // Both are kept alive. The facts must not change afterwards.
    SessionPolicy(std::shared_ptr<const bundle::Bundle> bundle,
                  std::shared_ptr<const SessionFacts> session);
    SessionPolicy(SessionPolicy&&) noexcept;
    SessionPolicy& operator=(SessionPolicy&&) noexcept;
    ~SessionPolicy();

    // What policy answers to this request of this session; request.session is not looked at.
    // Never null, never throws; what cannot be evaluated decides closed. By stage:
    //   Connect    rules that look at the session alone; some rule must be able to allow something
    //   Prepare    nothing runs yet: deny counts, approvals are not asked, values are not known
    //   Statement, Execute, Http, Message   all
    // Over HTTP the answer may be `needs_body`, where the body was not seen.
    DecisionPtr decide(const Request& request);

    const bundle::Bundle& bundle() const noexcept;
    const std::shared_ptr<const bundle::Bundle>& shared_bundle() const noexcept;
    const SessionFacts& session() const noexcept;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace chaperone::policy
