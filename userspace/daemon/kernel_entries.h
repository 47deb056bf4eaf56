// SPDX-License-Identifier: Apache-2.0
// What the kernel refused or let through, as entries of the journal. Pure.
#pragma once

#include "policy/decision.h"
#include "policy/request.h"
#include "userspace/control/control.pb.h"
#include "userspace/kernel/redirector.h"
#include "userspace/record/record.pb.h"

#include <cstdint>
#include <string_view>

namespace chaperone::daemon {

// `count` attempts that were alike, the last of them being this.
record::Entry denial_entry(const kernel::Denial& denial, std::uint64_t count);

// So many refusals are not told one by one: why.
record::Entry untold_entry(std::uint64_t count, std::string_view why);

// What seccomp refused, as `chaperone run` reported it; and that it will report nothing.
record::Entry attempt_entry(const v1::ReportAttemptsRequest& report, const v1::Attempt& attempt);
record::Entry unrecorded_entry(const v1::ReportAttemptsRequest& report);

record::Entry start_entry(const policy::SessionFacts& facts, const kernel::Direct& direct,
                          std::string_view bundle);
// The decision that the kernel carried out.
record::Entry decision_entry(const policy::SessionFacts& facts, const kernel::Direct& direct,
                             const policy::Decision& decision);
// `reason`: why it was ended from here; empty: it ended by itself.
record::Entry end_entry(const std::string& session, const kernel::Direct& direct,
                        const std::string& reason);
record::Entry reached_entry(const std::string& session, const kernel::Direct& direct);

}  // namespace chaperone::daemon
