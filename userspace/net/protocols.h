// SPDX-License-Identifier: Apache-2.0
// The protocol table: from a connection's origin to its resource, its facts and its machine. A new
// protocol is one line in the table of protocols.cpp.
#pragma once

#include "userspace/net/asked_name.h"
#include "userspace/net/proxy.h"
#include "userspace/net/shared.h"
#include "userspace/net/target.h"
#include "userspace/session/machine.h"

#include <memory>

namespace chaperone::net {

struct Opening {
    std::shared_ptr<const policy::SessionFacts> facts{};
    std::shared_ptr<const Target> target{};
    // Why there can be no session: no resource claims the destination, the workload's identity
    // cannot be established, the credential is missing. Empty: none of it.
    std::string refusal{};
    bool desk = false;                                       // it is for us: chaperone.internal
    std::shared_ptr<const policy::bundle::Bundle> bundle{};  // that told the resource
    std::uint64_t generation{};                              // of the bundle at the latest
};

// Whether the name that the client asks for must be known to tell the resource: then its first
// bytes are read before the session is opened.
bool wants_asked_name(const Shared& shared, const Origin& origin);

Opening open_session(Shared& shared, const Origin& origin, const AskedName& asked = {});

// Whether the protocol has clients that cancel what runs over another connection, by a key.
bool may_cancel(const Opening& opening);

// What a machine may need of the session that it is of.
struct Place {
    CancelKey key{};  // that its client may cancel with
    LivePtr live{};
    std::shared_ptr<WorkloadRoom> room;  // of its workload; never null
};
// Null: nobody here speaks the protocol, so that even a refusal cannot be put into its words.
std::unique_ptr<session::Machine> make_machine(Shared& shared, const Opening& opening,
                                               const Place& place);

}  // namespace chaperone::net
