// SPDX-License-Identifier: Apache-2.0
#include "userspace/identity/public_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <new>

namespace chaperone::identity {
namespace {

constexpr int kLeastModulus = 2048;  // RFC 7518 section 3.3
constexpr int kMostModulus = 8192;
constexpr std::size_t kMostExponent = 8;  // octets; OpenSSL takes no longer ones either

template <auto Free>
struct Delete {
    void operator()(auto* pointer) const noexcept { Free(pointer); }
};
template <class T, auto Free>
using Owned = std::unique_ptr<T, Delete<Free>>;

using Number = Owned<BIGNUM, BN_free>;
using KeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using Builder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using SignatureContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using EcSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;

const unsigned char* raw(Bytes bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

Number number(Bytes bytes) {
    Number value{BN_bin2bn(raw(bytes), static_cast<int>(bytes.size()), nullptr)};
    if (!value) throw std::bad_alloc();
    return value;
}

// OpenSSL's error queue is per thread; what we leave there would be blamed on somebody else.
std::unexpected<Error> refuse(std::string why) {
    ERR_clear_error();
    return fail(Errc::Invalid, std::move(why));
}

Result<PublicKey> from_params(const char* type, OSSL_PARAM_BLD* builder) {
    const Params params{OSSL_PARAM_BLD_to_param(builder)};
    const KeyContext context{EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr)};
    EVP_PKEY* key = nullptr;
    if (!params || !context || EVP_PKEY_fromdata_init(context.get()) != 1 ||
        EVP_PKEY_fromdata(context.get(), &key, EVP_PKEY_PUBLIC_KEY, params.get()) != 1)
        return refuse("not a key");
    PublicKey owned{key, EVP_PKEY_free};
    const KeyContext check{EVP_PKEY_CTX_new(key, nullptr)};
    if (!check || EVP_PKEY_public_check(check.get()) != 1) return refuse("not a valid key");
    return owned;
}

struct Curve {
    const char* group;
    std::size_t octets;
};

Curve curve_of(KeyKind kind) {
    switch (kind) {
    case KeyKind::P256: return {"P-256", 32};
    case KeyKind::P384: return {"P-384", 48};
    case KeyKind::P521: return {"P-521", 66};
    case KeyKind::Rsa:
    case KeyKind::Ed25519: break;
    }
    return {"", 0};
}

const EVP_MD* hash_of(Algorithm algorithm) {
    switch (algorithm) {
    case Algorithm::Rs256:
    case Algorithm::Ps256:
    case Algorithm::Es256: return EVP_sha256();
    case Algorithm::Rs384:
    case Algorithm::Ps384:
    case Algorithm::Es384: return EVP_sha384();
    case Algorithm::Rs512:
    case Algorithm::Ps512:
    case Algorithm::Es512: return EVP_sha512();
    case Algorithm::EdDsa: break;
    }
    return nullptr;  // Ed25519 hashes by itself
}

bool is_pss(Algorithm algorithm) {
    return algorithm == Algorithm::Ps256 || algorithm == Algorithm::Ps384 ||
           algorithm == Algorithm::Ps512;
}

// RFC 7518 section 3.4: R and S in the field's full length; OpenSSL wants them in DER.
Buffer der_of(Bytes signature, std::size_t octets) {
    if (signature.size() != 2 * octets) return {};
    const EcSignature pair{ECDSA_SIG_new()};
    Number r = number(signature.first(octets)), s = number(signature.subspan(octets));
    if (!pair || ECDSA_SIG_set0(pair.get(), r.get(), s.get()) != 1) throw std::bad_alloc();
    r.release();
    s.release();
    const int size = i2d_ECDSA_SIG(pair.get(), nullptr);
    if (size <= 0) return {};
    Buffer der(static_cast<std::size_t>(size));
    auto* out = reinterpret_cast<unsigned char*>(der.data());
    i2d_ECDSA_SIG(pair.get(), &out);
    return der;
}

}  // namespace

Result<PublicKey> rsa_public_key(Bytes modulus, Bytes exponent) {
    const Number n = number(modulus), e = number(exponent);
    const int bits = BN_num_bits(n.get());
    if (bits < kLeastModulus || bits > kMostModulus)
        return refuse("RSA modulus of " + std::to_string(bits) + " bits");
    if (exponent.size() > kMostExponent || !BN_is_odd(e.get()) || BN_is_one(e.get()))
        return refuse("RSA exponent");
    if (!BN_is_odd(n.get())) return refuse("RSA modulus");
    const Builder builder{OSSL_PARAM_BLD_new()};
    if (!builder || OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) != 1 ||
        OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) != 1)
        throw std::bad_alloc();
    return from_params("RSA", builder.get());
}

Result<PublicKey> ec_public_key(KeyKind kind, Bytes x, Bytes y) {
    const Curve curve = curve_of(kind);
    if (x.size() != curve.octets || y.size() != curve.octets)
        return refuse("coordinate length");  // RFC 7518 section 6.2.1.2
    Buffer point{std::byte{4}};              // uncompressed
    append(point, x);
    append(point, y);
    const Builder builder{OSSL_PARAM_BLD_new()};
    if (!builder ||
        OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve.group,
                                        0) != 1 ||
        OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(),
                                         point.size()) != 1)
        throw std::bad_alloc();
    return from_params("EC", builder.get());
}

Result<PublicKey> ed25519_public_key(Bytes x) {
    constexpr std::size_t kOctets = 32;
    if (x.size() != kOctets) return refuse("coordinate length");
    PublicKey key{EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(x), x.size()),
                  EVP_PKEY_free};
    if (!key) return refuse("not a key");
    return key;
}

bool verify_signature(const Key& key, Algorithm algorithm, Bytes message, Bytes signature) {
    if (key.kind != kind_for(algorithm) || !key.public_key) return false;
    Buffer der;
    if (const Curve curve = curve_of(key.kind); curve.octets != 0) {
        der = der_of(signature, curve.octets);
        if (der.empty()) return false;
        signature = der;
    }
    const SignatureContext context{EVP_MD_CTX_new()};
    if (!context) throw std::bad_alloc();
    EVP_PKEY_CTX* parameters = nullptr;  // owned by context
    bool good = EVP_DigestVerifyInit(context.get(), &parameters, hash_of(algorithm), nullptr,
                                     key.public_key.get()) == 1;
    if (good && is_pss(algorithm))
        good = EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1 &&
               EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1;
    good = good && EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(message),
                                    message.size()) == 1;
    ERR_clear_error();
    return good;
}

}  // namespace chaperone::identity
