// SPDX-License-Identifier: Apache-2.0
// Where a bundle comes from.
#pragma once

#include <filesystem>
#include <string>

namespace chaperone::policy::bundle {

// The commit that is checked out where this directory lies, as hex; empty: it lies in no git
// repository. What the files really hold the digest says: they may have been edited since. Reads
// git's own files (gitrepository-layout(5)), runs nothing.
std::string checked_out_commit(const std::filesystem::path& directory);

}  // namespace chaperone::policy::bundle
