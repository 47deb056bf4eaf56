// SPDX-License-Identifier: Apache-2.0
// The values of a Bind as an approver and the journal see them. They are shown, never sent: what
// the server receives is the untouched message. Pure.
#pragma once

#include "policy/request.h"
#include "userspace/wire/pg/message.h"

#include <cstddef>
#include <span>
#include <vector>

namespace chaperone::session {

// `types`: OIDs as far as Parse or the server named them; may be shorter than the values.
// `max_text`: bytes of one value's text; longer ones are marked truncated.
void read_parameters(const wire::pg::Bind& bind, std::span<const std::uint32_t> types,
                     std::size_t max_text, std::vector<policy::Parameter>& into);

// The text form of a binary value: bool, the integers and floats, numeric, the text types, bytea,
// uuid, date, timestamp, timestamptz, json and jsonb; "\x…" for others and for lengths that do not
// fit the type.
std::string binary_as_text(std::uint32_t type, Bytes value);

}  // namespace chaperone::session
