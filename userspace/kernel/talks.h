// SPDX-License-Identifier: Apache-2.0
// The datagrams that verdicts let through, as the kernel counts them. Stateless; any thread.
#pragma once

#include "userspace/kernel/programs.h"
#include "userspace/kernel/redirector.h"

#include <optional>
#include <vector>

namespace chaperone::kernel {

// As Redirector::talks().
std::vector<Talk> read_talks(const Programs& programs);
// As Redirector::end_talk().
Result<Talk> take_talk(const Programs& programs, const Talk& talk);

}  // namespace chaperone::kernel
