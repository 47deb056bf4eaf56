// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/pg/scram.h"

#include "userspace/base/encoding.h"
#include "userspace/base/sha256.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include <array>
#include <charconv>
#include <optional>

namespace chaperone::wire::pg {
namespace {

Bytes view(const Digest& digest) {
    return Bytes{digest};
}

// The value of "x=…" at the front of `rest`, up to the next comma; removes it from `rest`.
std::optional<std::string_view> attribute(std::string_view& rest, char name) {
    if (rest.size() < 2 || rest[0] != name || rest[1] != '=') return std::nullopt;
    const auto end = rest.find(',');
    const auto value = rest.substr(2, end == std::string_view::npos ? end : end - 2);
    rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
    return value;
}

// RFC 5802, Hi(): PBKDF2 with HMAC-SHA-256.
Digest salted_password(const Secret& password, Bytes salt, std::uint32_t iterations) {
    Digest out{};
    const auto text = password.expose();
    PKCS5_PBKDF2_HMAC(text.data(), static_cast<int>(text.size()),
                      reinterpret_cast<const unsigned char*>(salt.data()),
                      static_cast<int>(salt.size()), static_cast<int>(iterations), EVP_sha256(),
                      static_cast<int>(out.size()), reinterpret_cast<unsigned char*>(out.data()));
    return out;
}

std::optional<std::string> md5_hex(std::string_view text, Bytes more) {
    std::array<std::byte, EVP_MAX_MD_SIZE> out{};
    unsigned size = 0;
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    const bool done =
        EVP_DigestInit_ex(context, EVP_md5(), nullptr) == 1 &&
        EVP_DigestUpdate(context, text.data(), text.size()) == 1 &&
        EVP_DigestUpdate(context, more.data(), more.size()) == 1 &&
        EVP_DigestFinal_ex(context, reinterpret_cast<unsigned char*>(out.data()), &size) == 1;
    EVP_MD_CTX_free(context);
    if (!done) return std::nullopt;  // a FIPS provider has no md5
    return to_hex(Bytes{out}.first(size));
}

}  // namespace

ScramClient::ScramClient(std::string nonce, Binding binding, Bytes end_point)
    : nonce_(std::move(nonce)) {
    switch (binding) {
    case Binding::None: gs2_ = "n,,"; break;
    case Binding::Unused: gs2_ = "y,,"; break;
    case Binding::ServerEndPoint: gs2_ = "p=tls-server-end-point,,"; break;
    }
    Buffer data = copy(as_bytes(gs2_));
    if (binding == Binding::ServerEndPoint) append(data, end_point);
    binding_ = to_base64(data);
}

std::string ScramClient::first() const {
    return gs2_ + "n=,r=" + nonce_;
}

Result<std::string> ScramClient::final(std::string_view server_first, const Secret& password) {
    std::string_view rest = server_first;
    const auto nonce = attribute(rest, 'r');
    const auto salt_text = nonce ? attribute(rest, 's') : std::nullopt;
    const auto count_text = salt_text ? attribute(rest, 'i') : std::nullopt;
    if (!count_text) return fail(Errc::Malformed, "SCRAM server-first-message");
    if (nonce->size() <= nonce_.size() || !nonce->starts_with(nonce_))
        return fail(Errc::Denied, "the server's SCRAM nonce does not continue ours");
    const auto salt = from_base64(*salt_text);
    if (!salt || salt->empty()) return fail(Errc::Malformed, "SCRAM salt");
    std::uint32_t iterations = 0;
    const auto [end, error] =
        std::from_chars(count_text->data(), count_text->data() + count_text->size(), iterations);
    if (error != std::errc{} || end != count_text->data() + count_text->size() || iterations == 0)
        return fail(Errc::Malformed, "SCRAM iteration count");
    if (iterations > kMaxIterations) return fail(Errc::TooLarge, "SCRAM iteration count");

    Digest salted = salted_password(saslprep(password), *salt, iterations);
    Digest client_key = hmac_sha256(view(salted), as_bytes("Client Key"));
    const Digest server_key = hmac_sha256(view(salted), as_bytes("Server Key"));
    const Digest stored_key = sha256(view(client_key));

    const std::string without_proof = "c=" + binding_ + ",r=" + std::string{*nonce};
    const std::string auth_message =
        "n=,r=" + nonce_ + "," + std::string{server_first} + "," + without_proof;
    const Digest signature = hmac_sha256(view(stored_key), as_bytes(auth_message));
    Digest proof = client_key;
    for (std::size_t i = 0; i != proof.size(); ++i) proof[i] ^= signature[i];
    const Digest server_signature = hmac_sha256(view(server_key), as_bytes(auth_message));
    server_signature_ = copy(view(server_signature));

    OPENSSL_cleanse(salted.data(), salted.size());
    OPENSSL_cleanse(client_key.data(), client_key.size());
    return without_proof + ",p=" + to_base64(view(proof));
}

Result<> ScramClient::verify(std::string_view server_final) const {
    std::string_view rest = server_final;
    const auto text = attribute(rest, 'v');
    if (!text) return fail(Errc::Denied, "SCRAM refused by the server");
    const auto signature = from_base64(*text);
    if (!signature || server_signature_.empty() || signature->size() != server_signature_.size() ||
        CRYPTO_memcmp(signature->data(), server_signature_.data(), signature->size()) != 0)
        return fail(Errc::Denied, "the server's SCRAM signature is wrong");
    return {};
}

Result<Secret> md5_password(const Secret& password, std::string_view user, Bytes salt) {
    if (salt.size() != 4) return fail(Errc::Malformed, "md5 salt");
    const auto inner = md5_hex(password.expose(), as_bytes(user));
    if (!inner) return fail(Errc::Unsupported, "md5 is not available here");
    const auto outer = md5_hex(*inner, salt);
    if (!outer) return fail(Errc::Unsupported, "md5 is not available here");
    return Secret{"md5" + *outer};
}

}  // namespace chaperone::wire::pg
