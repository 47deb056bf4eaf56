// SPDX-License-Identifier: Apache-2.0
// What the child says to the launcher before it is the agent, over a socket pair that ends by
// itself when the agent is executed.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/unique_fd.h"

#include <string>

namespace chaperone::launch {

struct Report {
    std::string error{};    // why it does not become the agent; empty: it does
    std::string why_not{};  // as in FilterListener
    UniqueFd listener{};
};

// One side reads, the other writes; both close on exec.
struct ReportEnds {
    UniqueFd read{};
    UniqueFd write{};
};
Result<ReportEnds> make_report_ends();

// False: nobody is there any more.
bool send_report(int fd, Report report);

// Waits until the other side is closed everywhere.
Report read_report(int fd);

}  // namespace chaperone::launch
