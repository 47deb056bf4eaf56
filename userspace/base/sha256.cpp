// SPDX-License-Identifier: Apache-2.0
#include "userspace/base/sha256.h"

#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <stdexcept>

namespace chaperone {
namespace {

const unsigned char* raw(Bytes bytes) {
    return reinterpret_cast<const unsigned char*>(bytes.data());
}

unsigned char* raw(Digest& digest) {
    return reinterpret_cast<unsigned char*>(digest.data());
}

// Looked up once: for short messages that costs as much as the hash.
const EVP_MD* algorithm() {
    static const EVP_MD* const found = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return found;
}

}  // namespace

struct Sha256::State {
    EVP_MD_CTX* context = EVP_MD_CTX_new();

    State() {
        if (context == nullptr) throw std::bad_alloc();
        begin();
    }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
    ~State() { EVP_MD_CTX_free(context); }

    void begin() {
        if (EVP_DigestInit_ex2(context, algorithm(), nullptr) != 1)
            throw std::runtime_error("OpenSSL has no SHA-256");
    }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {}
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;
Sha256::~Sha256() = default;

Sha256& Sha256::add(Bytes bytes) {
    if (EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) != 1)
        throw std::runtime_error("SHA-256 failed");
    return *this;
}

Digest Sha256::finish() {
    Digest digest;
    if (EVP_DigestFinal_ex(state_->context, raw(digest), nullptr) != 1)
        throw std::runtime_error("SHA-256 failed");
    state_->begin();
    return digest;
}

Digest sha256(Bytes bytes) {
    return sha256(bytes, {});
}

// By the functions of the one algorithm: EVP costs twice as much for what is short, and memory for
// each message.
Digest sha256(Bytes first, Bytes second, Bytes third) {
    SHA256_CTX context;
    Digest digest;
    SHA256_Init(&context);
    for (const Bytes bytes : {first, second, third})
        SHA256_Update(&context, bytes.data(), bytes.size());
    SHA256_Final(raw(digest), &context);
    return digest;
}

Digest hmac_sha256(Bytes key, Bytes message) {
    Digest digest;
    unsigned size = digest.size();
    static constexpr unsigned char kNone = 0;  // OpenSSL takes a null key for "as before"
    const unsigned char* key_data = key.empty() ? &kNone : raw(key);
    if (HMAC(EVP_sha256(), key_data, static_cast<int>(key.size()), raw(message), message.size(),
             raw(digest), &size) == nullptr)
        throw std::runtime_error("HMAC failed");
    return digest;
}

Digest hkdf_sha256(Bytes key, Bytes salt, Bytes info) {
    const Digest extracted = hmac_sha256(salt, key);
    Buffer block = copy(info);
    block.push_back(std::byte{1});
    return hmac_sha256(extracted, block);  // one block is all that 32 bytes need
}

}  // namespace chaperone
