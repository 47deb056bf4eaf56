// SPDX-License-Identifier: Apache-2.0
// How a resource's credential gets into HTTP requests: what the agent sent of its own is taken out,
// ours put in, and what comes back of it is blotted out.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/secret.h"
#include "userspace/credential/aws_sigv4.h"
#include "userspace/net/registry.h"
#include "userspace/net/tokens.h"
#include "userspace/session/http/credential.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::bundle {
struct Resource;
}
namespace chaperone::credential {
class SecretStore;
}

namespace chaperone::net {

struct Shared;

// Immutable; shared by the sessions of a resource that open together.
struct HttpCredential {
    enum class Kind { Field, Query, Oauth2, Aws };

    Kind kind = Kind::Field;
    std::string name{};  // of the field or the parameter
    Secret value{};      // of it, with its prefix
    std::shared_ptr<const TokenSource> source{};
    std::string access_key{};
    Secret secret_key{};
    Secret session_token{};
    credential::AwsScope scope{};   // empty fields: the agent's
    std::vector<Secret> blotted{};  // what must not come back
};

// Null: none is needed. NotFound: it names a secret that is not there. Invalid: a secret that
// cannot stand in a request.
Result<std::shared_ptr<const HttpCredential>> make_http_credential(
    const policy::bundle::Resource& resource, const credential::SecretStore& secrets);

// The query without the parameters whose decoded names `drop` takes; the others as they were sent.
std::string query_without(std::string_view query,
                          const std::function<bool(std::string_view)>& drop);

std::shared_ptr<session::CredentialInjector> make_injector(
    Shared& shared, std::shared_ptr<const HttpCredential> credential, LivePtr live);

}  // namespace chaperone::net
