// SPDX-License-Identifier: Apache-2.0
// OIDs of PostgreSQL's own types (src/include/catalog/pg_type.dat); they never change.
#pragma once

#include <cstdint>

namespace chaperone::session::oid {

constexpr std::uint32_t kBool = 16, kBytea = 17, kChar = 18, kName = 19, kInt8 = 20, kInt2 = 21,
                        kInt4 = 23, kRegproc = 24, kText = 25, kOid = 26, kXid = 28, kJson = 114,
                        kXml = 142, kCidr = 650, kFloat4 = 700, kFloat8 = 701, kUnknown = 705,
                        kMoney = 790, kMacaddr = 829, kInet = 869, kBpchar = 1042, kVarchar = 1043,
                        kDate = 1082, kTime = 1083, kTimestamp = 1114, kTimestamptz = 1184,
                        kInterval = 1186, kTimetz = 1266, kNumeric = 1700, kRefcursor = 1790,
                        kUuid = 2950, kJsonb = 3802, kCstring = 2275;
constexpr std::uint32_t kFirstUser = 16384;  // FirstNormalObjectId

}  // namespace chaperone::session::oid
