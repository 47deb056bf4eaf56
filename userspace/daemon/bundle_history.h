// SPDX-License-Identifier: Apache-2.0
// The bundles that were in force, numbered, with their files, so that an earlier one can be put
// back. A folder a generation below one directory. Not thread-safe.
#pragma once

#include "policy/bundle/bundle.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace chaperone::daemon {

struct Generation {
    std::uint64_t number = 0;  // from 1; 0: there is none
    std::string digest{};
    std::string commit{};  // of the git checkout it came from; empty: not known
    std::string signer{};  // empty: not signed
    Time since{};
};

class BundleHistory {
public:
    static constexpr std::size_t kKept = 16;

    // Generations that cannot be read are left out. An empty directory keeps nothing.
    explicit BundleHistory(std::filesystem::path directory);

    // Oldest first; the last is in force.
    const std::vector<Generation>& all() const noexcept { return all_; }

    // Numbers it and keeps it, unless the latest one is the same. The oldest beyond kKept goes.
    Result<Generation> add(Generation made, const std::vector<policy::bundle::SourceFile>& files);
    // NotFound: it is not kept.
    Result<std::vector<policy::bundle::SourceFile>> files(std::uint64_t number) const;

private:
    std::filesystem::path folder(std::uint64_t number) const;

    std::filesystem::path directory_;
    std::vector<Generation> all_;
};

}  // namespace chaperone::daemon
