// SPDX-License-Identifier: Apache-2.0
// layer: net
// A line of the file of names: refused, or written again as it was.
#include "userspace/net/names_file.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::net;
    const std::string_view line{reinterpret_cast<const char*>(data), size};
    const auto known = parse_names_line(line);
    if (known && names_line(*known) != std::string{line} + '\n') std::abort();
    return 0;
}
