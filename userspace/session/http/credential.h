// SPDX-License-Identifier: Apache-2.0
// How the resource's credential gets into requests. Implemented beside the credential store; the
// agent and the journal see nothing of it. One session, one thread.
#pragma once

#include "policy/http/facts.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/session/http/body_filter.h"
#include "userspace/session/http/head_edits.h"

#include <cstddef>
#include <memory>
#include <span>

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
    // What is to be done to the body of the request that was just injected into: pieces of it are
    // signed, too. Null: nothing.
    virtual std::unique_ptr<BodyFilter> request() { return nullptr; }
    // Blots ours out of a text that is there whole: an interim response, a message of a WebSocket.
    // True: there was something.
    virtual bool scrub(std::span<std::byte>) { return false; }
    // The server answered 401: a token that was fetched may be stale. For the next request.
    virtual void rejected() {}
};

}  // namespace chaperone::session
