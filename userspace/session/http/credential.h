// SPDX-License-Identifier: Apache-2.0
// How the resource's credential gets into requests. Implemented beside the credential store; the
// agent and the journal see nothing of it. One session, one thread.
#pragma once

#include "policy/http/facts.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/session/http/head_edits.h"

namespace chaperone::session {

class CredentialInjector {
public:
    virtual ~CredentialInjector() = default;

    enum class Step {
        Done,      // the edits hold all that is needed
        Wait,      // a token is fetched; ask again when the machine is woken (Machine::on_wake)
        NeedBody,  // a signature covers the body: ask again when facts.body is Whole
    };
    // For an allowed request that is about to go up. An error: it must not go up without.
    virtual Result<Step> inject(const policy::http::Facts& facts, Time now, HeadEdits& edits) = 0;
    // The server answered 401: a token that was fetched may be stale. For the next request.
    virtual void rejected() {}
};

}  // namespace chaperone::session
