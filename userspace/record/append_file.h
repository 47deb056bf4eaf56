// SPDX-License-Identifier: Apache-2.0
// A file that only grows: leaves and checkpoints beside a segment. One thread at a time.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"

#include <cstdint>
#include <filesystem>

namespace chaperone::record {

// It is good up to `end`, and cut there before the next write if the last one failed.
struct AppendFile {
    UniqueFd fd{};
    std::uint64_t end = 0;

    Result<> open(const std::filesystem::path& path, std::uint64_t good_end);
    // With the kernel when it returns. `what` it holds is named in errors.
    Result<> append(Bytes bytes, const char* what);
};

}  // namespace chaperone::record
