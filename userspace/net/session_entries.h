// SPDX-License-Identifier: Apache-2.0
// What a session writes into the journal, from the words that policy has for it. Pure but for the
// time of an approval's entry.
#pragma once

#include "policy/request.h"
#include "userspace/approval/approval_book.h"
#include "userspace/base/bytes.h"
#include "userspace/base/clock.h"
#include "userspace/record/encoder.h"
#include "userspace/record/record.pb.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace chaperone::net {

// Bytes of a statement, in one entry and to an approver; what is longer is cut, and its digest
// covers the whole.
inline constexpr std::size_t kMaxRecorded = 256 * 1024;

std::string_view kind_of(policy::Stage stage);
std::int64_t nanoseconds(Time time);  // since the epoch

// That it began, as views of the facts; the bundle, the client's end and a refusal are the caller's
// to add.
record::StartFields start_of(const policy::SessionFacts& facts);
// The facts of HTTP or of a question to a resolver, for record::RequestFields::more; empty: the
// request has none.
Buffer facts_of(const policy::Request& request);
// At now(). What a person decided is recorded, with the person, where it was decided.
record::Entry approval_entry(const std::string& session, std::uint64_t request,
                             const std::string& approval, record::ApprovalEntry::State state,
                             const std::string& reason);
record::ApprovalEntry::State entry_state(approval::State state);

}  // namespace chaperone::net
