// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/ca_token.h"

namespace chaperone::daemon {

Result<std::shared_ptr<authority::TokenKey>> open_ca_token(const CaConfig& config) {
    if (config.key.empty()) return nullptr;
    auto uri = authority::read_token_uri(config.key);
    if (!uri) return fail(uri.error());
    if (!config.module.empty()) uri->module = config.module;
    return authority::TokenKey::open({.uri = *std::move(uri),
                                      .timeout = config.timeout,
                                      // Also after an upgrade has put another program in its place.
                                      .helper = {"/proc/self/exe", std::string{kTokenArgument}}});
}

}  // namespace chaperone::daemon
