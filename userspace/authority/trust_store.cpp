// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/trust_store.h"

#include "userspace/authority/certificate.h"
#include "userspace/base/bytes.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <cstdio>

namespace chaperone::authority {
namespace {

constexpr std::size_t kMostTrusted = 2000;  // a system's store has 150

std::vector<Certificate> all_in(std::string_view pem) {
    std::vector<Certificate> found;
    BIO* text = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    while (text != nullptr && found.size() != kMostTrusted) {
        X509* next = PEM_read_bio_X509(text, nullptr, nullptr, nullptr);
        if (next == nullptr) {
            // A block that is none is passed over; without another one, this is the end.
            const bool end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
            ERR_clear_error();
            if (end || BIO_eof(text)) break;
            continue;
        }
        found.emplace_back(next);
    }
    BIO_free(text);
    return found;
}

void add_number(std::string& to, std::uint64_t value, int octets) {
    for (int shift = 8 * (octets - 1); shift >= 0; shift -= 8)
        to += static_cast<char>(value >> shift & 0xff);
}

void add_text(std::string& to, std::string_view text) {
    add_number(to, text.size(), 2);
    to += text;
}

std::string der_of(const X509& certificate) {
    unsigned char* out = nullptr;
    const int size = i2d_X509(&certificate, &out);
    if (size < 0) return {};
    std::string der{reinterpret_cast<const char*>(out), static_cast<std::size_t>(size)};
    OPENSSL_free(out);
    return der;
}

// The digest that the format ends with: of the password, a fixed phrase and all before it.
std::string digest_of(std::string_view store) {
    std::string text;
    for (const char c : std::string_view{"changeit"}) {
        text += '\0';
        text += c;
    }
    text += "Mighty Aphrodite";
    text += store;
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    EVP_Digest(text.data(), text.size(), digest.data(), &size, EVP_sha1(), nullptr);
    return {reinterpret_cast<const char*>(digest.data()), size};
}

}  // namespace

Result<std::string> java_store(std::string_view pem, Time now) {
    constexpr std::uint32_t kMagic = 0xfeedfeed, kVersion = 2, kTrusted = 2;
    const auto certificates = all_in(pem);
    if (certificates.empty()) return fail(Errc::Corrupt, "no certificate to trust");
    const auto made =
        std::chrono::duration_cast<std::chrono::milliseconds>(now.time_since_epoch()).count();
    std::string store;
    add_number(store, kMagic, 4);
    add_number(store, kVersion, 4);
    add_number(store, certificates.size(), 4);
    for (std::size_t i = 0; i != certificates.size(); ++i) {
        const std::string der = der_of(*certificates[i]);
        add_number(store, kTrusted, 4);
        add_text(store, "ca-" + std::to_string(i));
        add_number(store, static_cast<std::uint64_t>(made), 8);
        add_text(store, "X.509");
        add_number(store, der.size(), 4);
        store += der;
    }
    return store + digest_of(store);
}

Result<std::vector<std::pair<std::string, std::string>>> hashed_names(std::string_view pem) {
    std::vector<std::pair<std::string, std::string>> out;
    for (const Certificate& certificate : all_in(pem)) {
        std::array<char, 16> name{};
        std::snprintf(name.data(), name.size(), "%08lx", X509_subject_name_hash(certificate.get()));
        out.emplace_back(name.data(), to_pem(*certificate));
    }
    if (out.empty()) return fail(Errc::Corrupt, "no certificate to trust");
    return out;
}

}  // namespace chaperone::authority
