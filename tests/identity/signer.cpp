// SPDX-License-Identifier: Apache-2.0
#include "tests/identity/signer.h"

#include "userspace/base/encoding.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <stdexcept>

namespace chaperone::identity {
namespace {

EVP_PKEY* generate(KeyKind kind, unsigned bits) {
    switch (kind) {
    case KeyKind::Rsa: return EVP_RSA_gen(bits);
    case KeyKind::P256: return EVP_EC_gen("P-256");
    case KeyKind::P384: return EVP_EC_gen("P-384");
    case KeyKind::P521: return EVP_EC_gen("P-521");
    case KeyKind::Ed25519: return EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519");
    }
    return nullptr;
}

std::size_t field_octets(KeyKind kind) {
    switch (kind) {
    case KeyKind::P256: return 32;
    case KeyKind::P384: return 48;
    case KeyKind::P521: return 66;
    case KeyKind::Rsa:
    case KeyKind::Ed25519: break;
    }
    return 0;
}

const EVP_MD* hash_for(Algorithm algorithm) {
    const std::string_view name = name_of(algorithm);
    if (name.ends_with("256")) return EVP_sha256();
    if (name.ends_with("384")) return EVP_sha384();
    if (name.ends_with("512")) return EVP_sha512();
    return nullptr;
}

void check(bool good) {
    if (!good) throw std::runtime_error("OpenSSL failed in a test");
}

Buffer raw_of_der(const Buffer& der, std::size_t octets) {
    const auto* data = reinterpret_cast<const unsigned char*>(der.data());
    ECDSA_SIG* pair = d2i_ECDSA_SIG(nullptr, &data, static_cast<long>(der.size()));
    check(pair != nullptr);
    Buffer raw(2 * octets);
    auto* out = reinterpret_cast<unsigned char*>(raw.data());
    BN_bn2binpad(ECDSA_SIG_get0_r(pair), out, static_cast<int>(octets));
    BN_bn2binpad(ECDSA_SIG_get0_s(pair), out + octets, static_cast<int>(octets));
    ECDSA_SIG_free(pair);
    return raw;
}

}  // namespace

std::string encoded(std::string_view text) {
    return to_base64url(as_bytes(text));
}

Signer::Signer(KeyKind kind, std::string id, unsigned bits)
    : kind_(kind), id_(std::move(id)), key_(generate(kind, bits), EVP_PKEY_free) {
    check(key_ != nullptr);
}

std::string Signer::number(const char* parameter, std::size_t octets) const {
    BIGNUM* value = nullptr;
    check(EVP_PKEY_get_bn_param(key_.get(), parameter, &value) == 1);
    Buffer bytes(octets != 0 ? octets : static_cast<std::size_t>(BN_num_bytes(value)));
    BN_bn2binpad(value, reinterpret_cast<unsigned char*>(bytes.data()),
                 static_cast<int>(bytes.size()));
    BN_free(value);
    return to_base64url(bytes);
}

std::string Signer::jwk(std::string_view more) const {
    std::string text = "{";
    if (!id_.empty()) text += R"("kid":")" + id_ + R"(",)";
    if (kind_ == KeyKind::Rsa) {
        text += R"("kty":"RSA","n":")" + number(OSSL_PKEY_PARAM_RSA_N) + R"(","e":")" +
                number(OSSL_PKEY_PARAM_RSA_E) + '"';
    } else if (kind_ == KeyKind::Ed25519) {
        Buffer x(32);
        std::size_t size = x.size();
        check(EVP_PKEY_get_raw_public_key(key_.get(), reinterpret_cast<unsigned char*>(x.data()),
                                          &size) == 1);
        text += R"("kty":"OKP","crv":"Ed25519","x":")" + to_base64url(x) + '"';
    } else {
        const std::size_t octets = field_octets(kind_);
        text += R"("kty":"EC","crv":"P-)" + std::to_string(octets == 66 ? 521 : octets * 8) +
                R"(","x":")" + number(OSSL_PKEY_PARAM_EC_PUB_X, octets) + R"(","y":")" +
                number(OSSL_PKEY_PARAM_EC_PUB_Y, octets) + '"';
    }
    return text + std::string{more} + "}";
}

std::string Signer::jwks(std::string_view more) const {
    return R"({"keys":[)" + jwk(more) + "]}";
}

Buffer Signer::sign(Algorithm algorithm, std::string_view message) const {
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_PKEY_CTX* parameters = nullptr;
    check(EVP_DigestSignInit(context, &parameters, hash_for(algorithm), nullptr, key_.get()) == 1);
    if (name_of(algorithm).starts_with("PS")) {
        check(EVP_PKEY_CTX_set_rsa_padding(parameters, RSA_PKCS1_PSS_PADDING) == 1);
        check(EVP_PKEY_CTX_set_rsa_pss_saltlen(parameters, RSA_PSS_SALTLEN_DIGEST) == 1);
    }
    std::size_t size = 0;
    const auto* text = reinterpret_cast<const unsigned char*>(message.data());
    check(EVP_DigestSign(context, nullptr, &size, text, message.size()) == 1);
    Buffer signature(size);
    check(EVP_DigestSign(context, reinterpret_cast<unsigned char*>(signature.data()), &size, text,
                         message.size()) == 1);
    EVP_MD_CTX_free(context);
    signature.resize(size);
    const std::size_t octets = field_octets(kind_);
    return octets == 0 ? signature : raw_of_der(signature, octets);
}

std::string Signer::token(Algorithm algorithm, std::string_view header,
                          std::string_view claims) const {
    const std::string text = encoded(header) + "." + encoded(claims);
    return text + "." + to_base64url(sign(algorithm, text));
}

std::string Signer::token(Algorithm algorithm, std::string_view claims) const {
    std::string header = R"({"alg":")" + std::string{name_of(algorithm)} + R"(","typ":"JWT")";
    if (!id_.empty()) header += R"(,"kid":")" + id_ + '"';
    return token(algorithm, header + "}", claims);
}

}  // namespace chaperone::identity
