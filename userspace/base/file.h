// SPDX-License-Identifier: Apache-2.0
// Small files, read and written whole.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <cstddef>
#include <filesystem>
#include <string>

namespace chaperone {

constexpr std::size_t kMaxFile = std::size_t{64} << 20;

// The error names the file. TooLarge over `limit`; NotFound where there is none.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit = kMaxFile);

// Through a temporary beside it, fsync and rename: readers see the old file or the new one.
Result<> write_file(const std::filesystem::path& path, std::string_view content, int mode = 0644);

}  // namespace chaperone
