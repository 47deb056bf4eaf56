// SPDX-License-Identifier: Apache-2.0
// Characters beyond ASCII that some reader takes for ones within it, or for nothing: spaces that
// are trimmed, what normalisation (NFKC) or a conversion between code pages makes of them, letters
// whose other case is a letter of ASCII. Pure.
#pragma once

#include <string>
#include <string_view>

namespace chaperone::policy::http {

// "/ａdmı\u200bn\u00a0" -> "/admin". Other characters, and bytes that are no UTF-8, stay.
std::string plain_letters(std::string_view text);

}  // namespace chaperone::policy::http
