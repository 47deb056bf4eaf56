// SPDX-License-Identifier: Apache-2.0
#include "userspace/credential/sealed.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <cstdint>
#include <memory>
#include <new>

namespace chaperone::credential {
namespace {

constexpr std::string_view kMagic = "CHSECR1\n";
constexpr std::size_t kNonce = 12, kTag = 16, kLength = 4, kBlock = 64;

struct FreeCipher {
    void operator()(EVP_CIPHER_CTX* context) const noexcept { EVP_CIPHER_CTX_free(context); }
};
using Cipher = std::unique_ptr<EVP_CIPHER_CTX, FreeCipher>;

const unsigned char* raw(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}
unsigned char* raw(std::string& text) {
    return reinterpret_cast<unsigned char*>(text.data());
}
int length(std::string_view text) {
    return static_cast<int>(text.size());
}

Cipher new_cipher() {
    Cipher cipher{EVP_CIPHER_CTX_new()};
    if (!cipher) throw std::bad_alloc();
    return cipher;
}

std::string padded(std::string_view secret) {
    const std::size_t whole = (kLength + secret.size() + kBlock - 1) / kBlock * kBlock;
    std::string text;
    text.reserve(whole);  // never moved: no copy is left behind
    for (int shift = 24; shift >= 0; shift -= 8)
        text += static_cast<char>(secret.size() >> shift & 0xff);
    text += secret;
    text.resize(whole);
    return text;
}

bool encrypt(std::string_view key, std::string_view nonce, std::string_view bound,
             std::string_view plain, std::string& out, std::string& tag) {
    const Cipher cipher = new_cipher();
    int done = 0, more = 0;
    return EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key), raw(nonce)) ==
               1 &&
           EVP_EncryptUpdate(cipher.get(), nullptr, &done, raw(bound), length(bound)) == 1 &&
           EVP_EncryptUpdate(cipher.get(), raw(out), &done, raw(plain), length(plain)) == 1 &&
           EVP_EncryptFinal_ex(cipher.get(), raw(out) + done, &more) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, kTag, tag.data()) == 1;
}

bool decrypt(std::string_view key, std::string_view nonce, std::string_view bound,
             std::string_view sealed, std::string tag, std::string& out) {
    const Cipher cipher = new_cipher();
    int done = 0, more = 0;
    return EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key), raw(nonce)) ==
               1 &&
           EVP_DecryptUpdate(cipher.get(), nullptr, &done, raw(bound), length(bound)) == 1 &&
           EVP_DecryptUpdate(cipher.get(), raw(out), &done, raw(sealed), length(sealed)) == 1 &&
           EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, kTag, tag.data()) == 1 &&
           EVP_DecryptFinal_ex(cipher.get(), raw(out) + done, &more) == 1;
}

}  // namespace

Result<std::string> seal(std::string_view key, std::string_view name, std::string_view secret) {
    if (key.size() != kKeySize) return fail(Errc::Corrupt, "key file is not of 32 octets");
    std::string nonce(kNonce, '\0'), tag(kTag, '\0');
    if (RAND_bytes(raw(nonce), kNonce) != 1) return fail(Errc::System, "no random numbers");
    const std::string bound = std::string{kMagic} + std::string{name};
    Secret plain{padded(secret)};
    std::string sealed(plain.expose().size(), '\0');
    if (!encrypt(key, nonce, bound, plain.expose(), sealed, tag)) {
        ERR_clear_error();
        return fail(Errc::System, "encrypt a secret");
    }
    return std::string{kMagic} + nonce + sealed + tag;
}

Result<Secret> unseal(std::string_view key, std::string_view name, std::string_view file) {
    if (key.size() != kKeySize) return fail(Errc::Corrupt, "key file is not of 32 octets");
    if (!file.starts_with(kMagic) || file.size() < kMagic.size() + kNonce + kBlock + kTag)
        return fail(Errc::Corrupt, "not a sealed secret");
    file.remove_prefix(kMagic.size());
    const std::string_view nonce = file.substr(0, kNonce);
    const std::string_view sealed = file.substr(kNonce, file.size() - kNonce - kTag);
    const std::string bound = std::string{kMagic} + std::string{name};
    std::string text(sealed.size(), '\0');
    const bool good =
        decrypt(key, nonce, bound, sealed, std::string{file.substr(file.size() - kTag)}, text);
    const Secret plain = Secret::take(text);
    ERR_clear_error();
    if (!good) return fail(Errc::Corrupt, "altered, or sealed with another key");
    std::uint32_t size = 0;
    for (std::size_t i = 0; i != kLength; ++i)
        size = size << 8 | static_cast<unsigned char>(plain.expose()[i]);
    if (size > plain.expose().size() - kLength) return fail(Errc::Corrupt, "length of a secret");
    return Secret{std::string{plain.expose().substr(kLength, size)}};
}

}  // namespace chaperone::credential
