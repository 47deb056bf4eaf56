// SPDX-License-Identifier: Apache-2.0
// Where a session goes and how: a Resource of the bundle, put together with where the agent meant
// to go and with the credential to use there. Immutable; lives as long as its sessions.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/secret.h"
#include "userspace/net/proxy.h"
#include "userspace/net/tls.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace chaperone::policy::bundle {
struct Resource;
}
namespace chaperone::policy::proto {
class Schema;
}

namespace chaperone::net {

struct HttpCredential;

enum class TlsMode { Disable, Require, VerifyCa, VerifyFull };

struct Target {
    std::string resource{};
    std::string protocol{};
    std::string host{};                // name or address that is dialled
    std::vector<std::string> hosts{};  // of the resource, patterns included
    // Of the name that the agent means: tried where nobody answers at `host`. The agent cannot do
    // so itself, since its connection is to us and was accepted.
    std::vector<std::string> elsewhere{};
    std::uint16_t port{};
    TlsMode tls_mode = TlsMode::VerifyFull;
    tls::ClientOptions tls{};
    bool inspect = true;   // false: relayed as it is, once it has been decided
    bool resume_tls{};     // agents may take up their TLS sessions again
    bool tls_given{};      // the resource says how TLS is spoken: it is, whatever the agent speaks
    bool tunnel_pinned{};  // of agents that do not accept our certificate
    std::shared_ptr<const HttpCredential> http_credential{};  // null: none, or the agent's own
    std::shared_ptr<const policy::proto::Schema> schema{};    // of gRPC; null: not known
    std::string user{};
    Secret password{};
    bool pass_through{};  // the agent's own login is relayed; we have no credential
    std::vector<std::string> databases{};  // that may be opened; empty: any
    // For each socket of ours before it connects; empty: nothing.
    std::function<Result<>(int socket)> before_connect{};
};

// Where a resource's upstream is, for an agent that meant to go there.
policy::Destination upstream_of(const policy::bundle::Resource& resource,
                                const policy::Destination& destination);

// NotFound: the credential names a secret that is not there.
Result<std::shared_ptr<const Target>> make_target(const policy::bundle::Resource& resource,
                                                  const policy::Destination& destination,
                                                  const credential::SecretStore& secrets,
                                                  std::vector<std::string> elsewhere = {},
                                                  std::function<Result<>(int)> before_connect = {});

}  // namespace chaperone::net
