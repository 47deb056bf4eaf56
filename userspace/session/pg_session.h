// SPDX-License-Identifier: Apache-2.0
// A PostgreSQL session between an agent and a server: what it is told when it begins. The machine
// itself is made by make_pg_session and driven through machine.h.
//
// What a runner must know beyond machine.h: after any event, bytes of a side that were not consumed
// are given again as soon as wants() of that side is true; on_decided may be called from within
// ask(); bytes left over when start_tls was asked for belong to the handshake.
#pragma once

#include "policy/detect/detector.h"
#include "policy/mask.h"
#include "policy/request.h"
#include "policy/sql/analyzer.h"
#include "userspace/base/secret.h"
#include "userspace/session/machine.h"

#include <functional>
#include <memory>
#include <string>

namespace chaperone::session {

// Each bounds what one session may cost us; beyond it the request or the session is refused.
struct PgLimits {
    std::size_t statement =
        32 * 1024 * 1024;  // as sql::Limits::text: longer texts cannot be analysed
    std::size_t bind = std::size_t{64} * 1024 * 1024;    // the values of one execution, held whole
    std::size_t row = std::size_t{64} * 1024 * 1024;     // a row or COPY line that must be masked
    std::size_t control = std::size_t{4} * 1024 * 1024;  // any other message that is read whole
    std::size_t replies = 65'536;  // answers that the server owes; then the client is not read
    std::size_t names = 10'000;    // prepared statements; then Parse is refused
    std::size_t names_bytes = std::size_t{64} * 1024 * 1024;  // of their texts
    std::size_t parameter_text = 4'096;  // of one value, as the approver and the journal see it
};

enum class Credential {
    Ours,         // log in as `user` with `password`; the agent needs none
    PassThrough,  // the agent's own login is relayed
};

// Finds the detector for a mask of a decision; null: it cannot be had, and every text is masked.
using DetectorSource =
    std::function<std::shared_ptr<const detect::Detector>(const policy::DetectMask& mask)>;

struct PgSessionConfig {
    policy::SessionFacts facts{};  // database, user, application, replication are filled in here

    // What the agent is given to cancel with: this secret, and the server's own pid, since clients
    // compare that with pg_backend_pid() and with the sender of notifications. `pid`: the one given
    // where the server tells none.
    std::uint32_t pid{};
    Buffer cancel_secret{};  // 4 random bytes

    bool client_tls = true;  // a certificate can be shown to the agent; else SSLRequest gets 'N'
    bool server_tls = true;  // towards the server, however it is verified; 'N' ends the session
    Credential credential = Credential::Ours;
    std::string user{};      // upstream; empty: the one that the agent names
    Secret password{};       // empty: only a certificate or trust can log in
    std::string database{};  // upstream; empty: the one that the agent names
    std::string nonce{};     // for SCRAM: 18 fresh random bytes or more, in base64

    Buffer mask_key{};           // the installation's: makes pseudonyms and hashes
    std::string mask_scope{};    // what pseudonyms are stable within, e.g. the resource
    DetectorSource detectors{};  // empty: the built-in recognisers

    const policy::sql::Analyzer* analyzer = nullptr;  // null: postgresql()
    policy::sql::AnalysisCache* cache = nullptr;      // of this thread; null: one of its own
    PgLimits limits{};
};

// A machine that waits for the client's first byte.
std::unique_ptr<Machine> make_pg_session(PgSessionConfig config);

}  // namespace chaperone::session
