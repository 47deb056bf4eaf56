// SPDX-License-Identifier: Apache-2.0
// Which key in which token, as a PKCS#11 URI says it (RFC 7512).
#pragma once

#include "userspace/base/error.h"

#include <optional>
#include <string>
#include <string_view>

namespace chaperone::authority {

// What is empty or unset is not asked for.
struct TokenUri {
    std::string token{};  // the token's label
    std::string manufacturer{};
    std::string model{};
    std::string serial{};
    std::string object{};  // the key's label
    std::string id{};      // the key's CKA_ID, raw
    std::optional<unsigned long> slot{};
    std::string module{};      // module-path: the library that speaks for the token, absolute
    std::string pin_source{};  // an absolute path of a file whose first line is the PIN

    // Without secrets, for people: `key "ca" in token "hsm"`.
    std::string describe() const;
};

// Invalid: not such a URI, an attribute that is unknown, said twice or would need a program
// (pin-source=|…), a PIN in the URI itself, neither object nor id. pin-source is also taken where
// drafts of the standard had it, among the attributes before the '?'.
Result<TokenUri> read_token_uri(std::string_view text);

}  // namespace chaperone::authority
