// SPDX-License-Identifier: Apache-2.0
// Text of a session made fit to be shown: an agent may send anything. Pure.
#pragma once

#include <string>
#include <string_view>

namespace chaperone::record {

// Valid UTF-8 (RFC 3629); each byte that is not part of any becomes U+FFFD.
std::string to_utf8(std::string_view text);

// The same, on one line and without control characters: they are written as \n, \t, \xNN, so that
// nothing acts on a terminal or forges a line. C1 controls and bidirectional overrides too.
std::string to_visible(std::string_view text);

}  // namespace chaperone::record
