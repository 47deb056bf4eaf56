// SPDX-License-Identifier: Apache-2.0
// What is inside of records, as far as somebody looks at it.
#pragma once

#include "userspace/wire/dns/message.h"

#include <array>
#include <cstdint>
#include <vector>

namespace chaperone::wire::dns {

// IPv6 in network order; IPv4 as ::ffff:a.b.c.d.
using Ip = std::array<std::uint8_t, 16>;

// The address of an A or AAAA record; the hints of an SVCB or HTTPS record (RFC 9460, 7.3).
std::vector<Ip> addresses_of(const Record& record);

// The target of a CNAME.
std::optional<Name> target_of(const Record& record);

// Takes encrypted client hello out of an SVCB or HTTPS record, also out of its list of what is
// mandatory, so that the names of TLS connections stay visible. False: the record breaks RFC 9460
// and must not be passed on.
bool strip_ech(Record& record);

// The same for all records of a message; those that break the format are removed.
void strip_ech(Message& message);

// Record data at [at, at + size) of a message with all names in it written out in full.
Result<Buffer> read_data(Bytes message, std::size_t at, std::size_t size, std::uint16_t type);

}  // namespace chaperone::wire::dns
