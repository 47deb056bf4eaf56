// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/capabilities.h"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace chaperone {

std::uint64_t effective_capabilities() noexcept {
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
    if (::syscall(SYS_capget, &header, data) != 0) return 0;
    return std::uint64_t{data[1].effective} << 32 | data[0].effective;
}

}  // namespace chaperone
