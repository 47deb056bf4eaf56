// SPDX-License-Identifier: Apache-2.0
// What makes an agent's runtimes trust our CA with no change of theirs: certificate stores of the
// host, covered by ours inside the agent's mount namespace, and the variables that runtimes read.
// README.md lists which runtime is served by which.
#pragma once

#include "userspace/launch/launch.h"

#include <filesystem>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace chaperone::launch {

// Files and a folder that hold what agents are to trust; all but `bundle` hold the system's
// authorities, too.
struct TrustStores {
    std::filesystem::path bundle{};  // PEM, ours alone
    std::filesystem::path file{};    // PEM
    std::filesystem::path folder{};  // as OpenSSL reads it: a link HASH.0 to each; empty: none
    std::filesystem::path java{};    // a Java key store; empty: none
};

struct Trust {
    std::vector<Bind> binds{};
    std::vector<std::pair<std::string, std::string>> environment{};
};

// `environment` is the agent's, `home` its user's home: stores of virtual environments and of
// Pythons and Javas installed there are found by them.
Trust find_trust(const TrustStores& stores, const std::map<std::string, std::string>& environment,
                 const std::filesystem::path& home);

}  // namespace chaperone::launch
