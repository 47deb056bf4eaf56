// SPDX-License-Identifier: Apache-2.0
// One secret as it lies on disk. The file: 8 octets "CHSECR1\n", 12 octets nonce, the ciphertext
// and 16 octets tag, AES-256-GCM. The additional data are the first 8 octets and the secret's name.
// The plaintext is 4 octets of length (big-endian), the secret, and zeros up to a multiple of 64,
// so that the file does not tell the length.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/secret.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace chaperone::credential {

constexpr std::size_t kKeySize = 32;

// `key` is kKeySize octets. The nonce is of chance: 96 bits are safe for 2^32 writes under one key.
Result<std::string> seal(std::string_view key, std::string_view name, std::string_view secret);
// Corrupt: not sealed with this key under this name, or altered.
Result<Secret> unseal(std::string_view key, std::string_view name, std::string_view file);

}  // namespace chaperone::credential
