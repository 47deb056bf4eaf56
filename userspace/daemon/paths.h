// SPDX-License-Identifier: Apache-2.0
// Where an instance keeps its things: all below one root, so that a test or a staging instance
// stands beside an installed one.
#pragma once

#include "userspace/base/error.h"

#include <filesystem>
#include <string>

namespace chaperone::daemon {

struct Paths {
    std::filesystem::path root{};
    std::filesystem::path config{};        // ROOT/etc/chaperone/chaperone.yaml
    std::filesystem::path bundle{};        // ROOT/etc/chaperone/bundle
    std::filesystem::path state{};         // ROOT/var/lib/chaperone
    std::filesystem::path run{};           // ROOT/run/chaperone
    std::filesystem::path socket{};        // ROOT/run/chaperone/api.sock
    std::filesystem::path ca{};            // state/ca
    std::filesystem::path trust{};         // ROOT/run/chaperone/trust.pem
    std::filesystem::path trust_ours{};    // ROOT/run/chaperone/ca-bundle.pem
    std::filesystem::path trust_java{};    // ROOT/run/chaperone/trust.jks
    std::filesystem::path trust_folder{};  // ROOT/run/chaperone/certs
    std::string tag{};                     // see control::tag_of
};

// Makes the root canonical. NotFound where it is no directory.
Result<Paths> paths_of(const std::filesystem::path& root);

// The directories that an instance needs. State may be passed through (0711): agents read the CA
// certificates below it; what is secret there is closed by itself.
Result<> make_directories(const Paths& paths);

}  // namespace chaperone::daemon
