// SPDX-License-Identifier: Apache-2.0
// Certificates and keys over OpenSSL: made, written as PEM and read back. For .cpp files of this
// layer only.
#pragma once

#include "userspace/authority/host_name.h"
#include "userspace/authority/token_key.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <openssl/evp.h>
#include <openssl/x509.h>

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::authority {

template <auto Free>
struct Delete {
    void operator()(auto* pointer) const noexcept { Free(pointer); }
};
using Certificate = std::unique_ptr<X509, Delete<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Delete<EVP_PKEY_free>>;

struct Issuer {
    Certificate certificate{};
    Key key{};  // null where it is in the token
    std::shared_ptr<TokenKey> token{};
};

Result<Key> make_key();  // EC P-256
Result<Certificate> make_ca(EVP_PKEY& key, Time from, Time until);
// The certificate of another CA of ours, signed by `issuer`, for as long as both hold.
Result<Certificate> make_cross(const Issuer& issuer, X509& other, Time from);
Result<Certificate> make_leaf(const Issuer& issuer, EVP_PKEY& key, std::span<const HostName> names,
                              Time from, Time until);

std::string to_pem(const X509& certificate);
Result<std::string> to_pem(const EVP_PKEY& key);
// All certificates in the text, at most 16; other blocks are passed over. Corrupt: none that can be
// read where one begins.
Result<std::vector<Certificate>> certificates_in(std::string_view pem);
Result<Key> key_in(std::string_view pem);  // without a passphrase

// That `certificate` may sign leaves and that `key` is its key.
Result<> check_issuer(const Issuer& issuer);
bool is_self_signed(const X509& certificate);
Time not_before(const X509& certificate);
Time not_after(const X509& certificate);
std::string fingerprint_of(const X509& certificate);
std::string subject_of(const X509& certificate);

}  // namespace chaperone::authority
