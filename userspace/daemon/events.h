// SPDX-License-Identifier: Apache-2.0
// What the journal holds, as the API tells it. Pure.
#pragma once

#include "policy/request.h"
#include "userspace/approval/approval_book.h"
#include "userspace/base/clock.h"
#include "userspace/control/control.pb.h"
#include "userspace/net/proxy.h"
#include "userspace/record/index.h"
#include "userspace/record/reader.h"

namespace chaperone::daemon {

void set_time(google::protobuf::Timestamp& to, Time time);

v1::Event to_event(const record::Stored& stored);
// The session that an entry is about; empty: none.
std::string_view session_of(const record::Entry& entry);

v1::Session to_session(const record::SessionSummary& summary);
// What is known better of a session that is open: its state and its counts.
void add_live(v1::Session& session, const net::SessionSnapshot& live);
v1::Session to_session(const net::SessionSnapshot& live);

v1::Approval to_approval(const approval::Approval& approval);

}  // namespace chaperone::daemon
