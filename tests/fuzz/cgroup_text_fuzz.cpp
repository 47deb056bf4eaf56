// SPDX-License-Identifier: Apache-2.0
// layer: kernel
// The texts of /proc that say where cgroups are: any text is parsed or refused, and what is found
// is an absolute path.
#include "userspace/kernel/cgroup.h"

#include <cstddef>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::kernel;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    (void)parse_cgroup2_mount(text);
    const auto path = parse_cgroup_line(text);
    if (path && !path->starts_with('/')) std::abort();
    return 0;
}
