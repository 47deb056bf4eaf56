// SPDX-License-Identifier: Apache-2.0
// Bytes as text and back: hex (lower case), base64 and base64url (RFC 4648). Decoding is strict:
// wrong length, foreign characters and non-zero padding bits are Malformed.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <string>
#include <string_view>

namespace chaperone {

std::string to_hex(Bytes bytes);
Result<Buffer> from_hex(std::string_view text);
std::string to_base64(Bytes bytes);
Result<Buffer> from_base64(std::string_view text);
std::string to_base64url(Bytes bytes);  // without padding
Result<Buffer> from_base64url(std::string_view text);

}  // namespace chaperone
