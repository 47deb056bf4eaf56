// SPDX-License-Identifier: Apache-2.0
// The CA's key in a token, as the configuration names it. The token's module runs in a process of
// its own, which is this program with an argument that is for nobody else.
#pragma once

#include "userspace/authority/token_key.h"
#include "userspace/daemon/config.h"

#include <memory>
#include <string_view>

namespace chaperone::daemon {

constexpr std::string_view kTokenArgument = "--token-module";
constexpr int kTokenDescriptor = 3;

// Null: the key is not in a token. The errors of TokenKey::open().
Result<std::shared_ptr<authority::TokenKey>> open_ca_token(const CaConfig& config);

}  // namespace chaperone::daemon
