// SPDX-License-Identifier: Apache-2.0
// The public keys of an issuer: a JSON Web Key Set (RFC 7517, 7518, 8037). Immutable once made, so
// that threads may share it.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

struct evp_pkey_st;  // OpenSSL's EVP_PKEY

namespace chaperone::identity {

// What a signature may be made with. `none` and the HS family do not exist here on purpose.
enum class Algorithm : std::uint8_t {
    Rs256,
    Rs384,
    Rs512,
    Ps256,
    Ps384,
    Ps512,
    Es256,
    Es384,
    Es512,
    EdDsa
};

std::string_view name_of(Algorithm algorithm) noexcept;  // "RS256"
std::optional<Algorithm> algorithm_named(std::string_view name) noexcept;

// A key may only be used with algorithms of its own kind: this is what stops key confusion.
enum class KeyKind : std::uint8_t { Rsa, P256, P384, P521, Ed25519 };

KeyKind kind_for(Algorithm algorithm) noexcept;

struct Key {
    std::string id{};  // kid, or empty
    KeyKind kind{};
    std::optional<Algorithm> only{};  // alg: the key is for this algorithm and no other
    std::shared_ptr<evp_pkey_st> public_key{};
};

class KeySet {
public:
    static constexpr std::size_t kMaxText = 512 * 1024;  // big federations publish ~100 KiB
    static constexpr std::size_t kMaxKeys = 256;

    KeySet() = default;

    // Keys that are not for us are left out, as RFC 7517 section 5 asks: unknown kty or curve, use
    // other than sig, unknown alg. So are keys that must not be trusted: RSA below 2048 bits or
    // with an even or oversized exponent, points off their curve, keys published with their private
    // half. Malformed: not a key set, duplicate members, two keys that one token could mean.
    // Invalid: no usable key is left.
    static Result<KeySet> parse(std::string_view json);

    // The key a token with this header means. Without kid: only if one key fits.
    const Key* find(std::optional<std::string_view> key_id, Algorithm algorithm) const noexcept;

    const std::vector<Key>& keys() const noexcept { return keys_; }
    // Why keys were left out, for the log: "key 'a1': RSA modulus of 1024 bits".
    const std::vector<std::string>& left_out() const noexcept { return left_out_; }

private:
    std::vector<Key> keys_;
    std::vector<std::string> left_out_;
};

// Whether `signature` (raw as in JWS: R‖S for ECDSA) is good for `message`. The key's kind must be
// the algorithm's.
bool verify_signature(const Key& key, Algorithm algorithm, Bytes message, Bytes signature);

}  // namespace chaperone::identity
