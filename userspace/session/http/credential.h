// SPDX-License-Identifier: Apache-2.0
// How the resource's credential gets into requests. Implemented beside the credential store; the
// agent and the journal see nothing of it. One session, one thread.
#pragma once

#include "policy/http/facts.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/session/http/body_filter.h"
#include "userspace/session/http/head_edits.h"

#include <memory>

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
    // Of the final response to a request that was injected into: what of its head would give ours
    // away goes into the edits, and the filter does the same for its body. Null: it needs none.
    virtual std::unique_ptr<BodyFilter> response(const http::ResponseHead&, HeadEdits&) {
        return nullptr;
    }
    // The server answered 401: a token that was fetched may be stale. For the next request.
    virtual void rejected() {}
};

}  // namespace chaperone::session
