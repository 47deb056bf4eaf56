// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/token_signature.h"

#include "userspace/authority/certificate.h"
#include "userspace/base/sha256.h"

#include <openssl/bn.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/rand.h>

#include <array>
#include <new>

namespace chaperone::authority {
namespace {

using EcdsaSig = std::unique_ptr<ECDSA_SIG, Delete<ECDSA_SIG_free>>;
using Context = std::unique_ptr<EVP_PKEY_CTX, Delete<EVP_PKEY_CTX_free>>;

Result<TokenScheme> scheme_of(const EVP_PKEY& key) {
    if (EVP_PKEY_is_a(&key, "EC")) return TokenScheme::Ecdsa;
    if (EVP_PKEY_is_a(&key, "RSA")) return TokenScheme::Rsa;
    return fail(Errc::Unsupported, "the CA's key in a token must be an EC or an RSA key");
}

const unsigned char* octets(Bytes bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

// From r and s as PKCS#11 has them to the DER of RFC 3279.
Result<Buffer> der_of(Bytes raw) {
    const auto half = static_cast<int>(raw.size() / 2);
    EcdsaSig sig{ECDSA_SIG_new()};
    BIGNUM* r = BN_bin2bn(octets(raw), half, nullptr);
    BIGNUM* s = BN_bin2bn(octets(raw) + half, half, nullptr);
    if (!sig || r == nullptr || s == nullptr) throw std::bad_alloc();
    ECDSA_SIG_set0(sig.get(), r, s);
    Buffer der(static_cast<std::size_t>(i2d_ECDSA_SIG(sig.get(), nullptr)));
    auto* to = reinterpret_cast<unsigned char*>(der.data());
    i2d_ECDSA_SIG(sig.get(), &to);
    return der;
}

bool verifies(EVP_PKEY& key, const Digest& digest, Bytes signature, TokenScheme scheme) {
    const Context context{EVP_PKEY_CTX_new(&key, nullptr)};
    const bool good =
        context && EVP_PKEY_verify_init(context.get()) == 1 &&
        (scheme != TokenScheme::Rsa ||
         EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PADDING) == 1) &&
        EVP_PKEY_CTX_set_signature_md(context.get(), EVP_sha256()) == 1 &&
        EVP_PKEY_verify(context.get(), octets(signature), signature.size(),
                        reinterpret_cast<const unsigned char*>(digest.data()), digest.size()) == 1;
    ERR_clear_error();
    return good;
}

// A signature as X.509 has it, known to be good.
Result<Buffer> signature_of(const Digest& digest, EVP_PKEY& key, TokenKey& token,
                            TokenScheme scheme) {
    auto signature = token.sign(scheme, digest);
    if (!signature) return signature;
    const bool ecdsa = scheme == TokenScheme::Ecdsa;
    const bool odd = signature->empty() || (ecdsa && signature->size() % 2 != 0);
    if (!odd && ecdsa) signature = der_of(*signature);
    if (odd || !verifies(key, digest, *signature, scheme))
        return fail(Errc::Corrupt, token.describe() +
                                       " is not the key of ca.pem: name the right one in the URI, "
                                       "or put its certificate into ca.pem");
    return signature;
}

// OpenSSL signs with keys of its own only; so the two algorithm fields and the signature, which it
// shows as const, are filled in where they lie, as X509_sign() would.
void set_algorithm(const X509_ALGOR* at, TokenScheme scheme) {
    const bool rsa = scheme == TokenScheme::Rsa;
    X509_ALGOR_set0(const_cast<X509_ALGOR*>(at),
                    OBJ_nid2obj(rsa ? NID_sha256WithRSAEncryption : NID_ecdsa_with_SHA256),
                    rsa ? V_ASN1_NULL : V_ASN1_UNDEF, nullptr);
}

}  // namespace

Result<> sign_by_token(X509& certificate, EVP_PKEY& key, TokenKey& token) {
    const auto scheme = scheme_of(key);
    if (!scheme) return fail(scheme.error());
    const ASN1_BIT_STRING* place = nullptr;
    const X509_ALGOR* algorithm = nullptr;
    X509_get0_signature(&place, &algorithm, &certificate);
    set_algorithm(algorithm, *scheme);
    set_algorithm(X509_get0_tbs_sigalg(&certificate), *scheme);
    unsigned char* encoded = nullptr;
    const int size = i2d_re_X509_tbs(&certificate, &encoded);
    if (size <= 0) return fail(Errc::System, "write a certificate");
    const auto digest =
        sha256(Bytes{reinterpret_cast<std::byte*>(encoded), static_cast<std::size_t>(size)});
    OPENSSL_free(encoded);
    const auto signature = signature_of(digest, key, token, *scheme);
    if (!signature) return fail(signature.error());
    auto* to = const_cast<ASN1_BIT_STRING*>(place);
    if (ASN1_STRING_set(to, signature->data(), static_cast<int>(signature->size())) != 1)
        throw std::bad_alloc();
    to->flags &= ~(ASN1_STRING_FLAG_BITS_LEFT | 0x07);
    to->flags |= ASN1_STRING_FLAG_BITS_LEFT;  // whole octets, the last one's zero bits included
    return {};
}

Result<> prove_token(EVP_PKEY& key, TokenKey& token) {
    const auto scheme = scheme_of(key);
    if (!scheme) return fail(scheme.error());
    Digest digest{};
    if (RAND_bytes(reinterpret_cast<unsigned char*>(digest.data()), digest.size()) != 1)
        return fail(Errc::System, "no random numbers");
    if (auto signature = signature_of(digest, key, token, *scheme); !signature)
        return fail(signature.error());
    return {};
}

}  // namespace chaperone::authority
