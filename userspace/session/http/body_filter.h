// SPDX-License-Identifier: Apache-2.0
// What masks do to bodies on their way. A filter sees one body in pieces; it holds back no more
// than it must and is bounded. One message, one thread.
#pragma once

#include "policy/decision.h"
#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/base/http.h"
#include "userspace/session/http/head_edits.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace chaperone::session {

class BodyFilter {
public:
    virtual ~BodyFilter() = default;
    // Appends to `out` what may go on of all that was pushed. `last`: the body ends here. An error:
    // nothing more of the body may go on, and the exchange is broken off.
    virtual Result<> push(Bytes data, bool last, Buffer& out) = 0;
    // At a border behind which something may come only much later (an event of a stream): appends
    // what can be told of it already.
    virtual Result<> flush(Buffer&) { return {}; }
    // Nothing of what may still be pushed goes on: the body is to be ended here.
    virtual bool over() const { return false; }
    // As many octets go on as were pushed: the length that the head says stays true.
    virtual bool keeps_length() const { return false; }
    // A field that comes behind the body: what may go on as its value; nullopt: it may not.
    virtual std::optional<std::string> trailer(std::string_view /*name*/,
                                               std::string_view /*value*/) {
        return std::nullopt;
    }
    virtual std::uint64_t masked() const { return 0; }  // values so far, for the record
};

// Makes filters for a decision's masks. Immutable, shared by sessions.
class Masking {
public:
    virtual ~Masking() = default;

    // A request under a decision with masks is about to go up: what must not stand in it, so that
    // the answer can be masked (codings that nobody here decodes, ranges).
    virtual void prepare(const policy::MaskSet& masks, const http::RequestHead& head,
                         HeadEdits& edits) const = 0;
    // Null: this body goes on as it is. An error: it cannot be masked, and must not be seen. The
    // edits keep the head honest: lengths, digests, validators, codings.
    virtual Result<std::unique_ptr<BodyFilter>> request(const policy::MaskSet& masks,
                                                        const http::RequestHead& head,
                                                        HeadEdits& edits) const = 0;
    virtual Result<std::unique_ptr<BodyFilter>> response(const policy::MaskSet& masks,
                                                         const http::RequestHead& request,
                                                         const http::ResponseHead& head,
                                                         HeadEdits& edits) const = 0;
};

}  // namespace chaperone::session
