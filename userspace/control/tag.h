// SPDX-License-Identifier: Apache-2.0
// What tells the host-wide names (pins, cgroups) of instances below different roots apart.
#pragma once

#include <filesystem>
#include <string>

namespace chaperone::control {

// Of a canonical root: empty for "/", else the first 8 hex digits of the SHA-256 of its path.
std::string tag_of(const std::filesystem::path& root);

}  // namespace chaperone::control
