// SPDX-License-Identifier: Apache-2.0
// Errors of BPF system calls and of libbpf. Any thread.
#pragma once

#include "userspace/base/error.h"

#include <string_view>

namespace chaperone::kernel {

// Kernel, with the text of the error number: "attach chap_connect4: Operation not permitted".
std::unexpected<Error> kernel_error(std::string_view what, int error_number);

// Keeps libbpf from writing to standard error; its warnings on this thread are kept instead.
void silence_libbpf();
// What libbpf warned of on this thread, in one line of bounded length; then forgotten.
std::string take_libbpf_warnings();

}  // namespace chaperone::kernel
