// SPDX-License-Identifier: Apache-2.0
// A request of an agent, signed for AWS with a credential of ours instead of the agent's.
#pragma once

#include "userspace/net/http_credential.h"

#include <memory>

namespace chaperone::net {

struct AwsSigned {
    session::CredentialInjector::Step step{};
    std::unique_ptr<session::BodyFilter> body{};  // signs its pieces anew; null: it stays
};

// Invalid: neither the credential nor the agent's own signature tells region and service.
// Unsupported: a way of signing bodies that is not spoken here.
Result<AwsSigned> sign_for_aws(const HttpCredential& credential, const policy::http::Facts& facts,
                               Time now, session::HeadEdits& edits);

}  // namespace chaperone::net
