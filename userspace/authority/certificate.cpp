// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/certificate.h"

#include "userspace/authority/token_signature.h"
#include "userspace/base/encoding.h"

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <new>

namespace chaperone::authority {
namespace {

constexpr std::size_t kMaxCertificates = 16;
constexpr std::size_t kMaxCommonName = 64;  // ub-common-name, RFC 5280 appendix A

using Bio = std::unique_ptr<BIO, Delete<BIO_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Delete<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Delete<GENERAL_NAMES_free>>;

std::unexpected<Error> openssl_error(std::string_view what) {
    const unsigned long code = ERR_peek_last_error();
    const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
    ERR_clear_error();
    return fail(Errc::System,
                std::string{what} + (reason == nullptr ? "" : std::string{": "} + reason));
}

std::time_t seconds(Time time) {
    return std::chrono::system_clock::to_time_t(
        std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
}

std::string random_hex(std::size_t octets) {
    Buffer bytes(octets);
    if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(octets)) != 1)
        return {};
    return to_hex(bytes);
}

// 127 bits of chance: positive, and never the same twice.
bool set_serial(X509& certificate) {
    std::array<unsigned char, 16> octets{};
    if (RAND_bytes(octets.data(), octets.size()) != 1) return false;
    octets[0] = static_cast<unsigned char>((octets[0] & 0x7f) | 0x40);
    BIGNUM* number = BN_bin2bn(octets.data(), octets.size(), nullptr);
    const bool good =
        number != nullptr && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(&certificate));
    BN_free(number);
    return good;
}

bool add_name(X509_NAME* name, const char* field, std::string_view text) {
    return X509_NAME_add_entry_by_txt(name, field, MBSTRING_UTF8,
                                      reinterpret_cast<const unsigned char*>(text.data()),
                                      static_cast<int>(text.size()), -1, 0) == 1;
}

bool add_extension(X509& certificate, X509& issuer, int nid, const char* value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, &issuer, &certificate, nullptr, nullptr, 0);
    const Extension extension{X509V3_EXT_conf_nid(nullptr, &context, nid, value)};
    return extension && X509_add_ext(&certificate, extension.get(), -1) == 1;
}

bool add_alternative_names(X509& certificate, std::span<const HostName> names, bool critical) {
    const Names list{GENERAL_NAMES_new()};
    if (!list) return false;
    for (const HostName& name : names) {
        const bool is_address = !name.address.empty();
        const std::string_view octets = is_address ? as_text(name.address) : name.text;
        ASN1_STRING* value = is_address ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
        GENERAL_NAME* entry = GENERAL_NAME_new();
        if (value == nullptr || entry == nullptr) throw std::bad_alloc();
        ASN1_STRING_set(value, octets.data(), static_cast<int>(octets.size()));
        GENERAL_NAME_set0_value(entry, is_address ? GEN_IPADD : GEN_DNS, value);
        if (sk_GENERAL_NAME_push(list.get(), entry) == 0) throw std::bad_alloc();
    }
    return X509_add1_ext_i2d(&certificate, NID_subject_alt_name, list.get(), critical ? 1 : 0,
                             X509V3_ADD_APPEND) == 1;
}

// Version, serial, validity and key: what every certificate has.
Certificate begin_certificate(EVP_PKEY& key, Time from, Time until) {
    Certificate made{X509_new()};
    if (!made) throw std::bad_alloc();
    if (X509_set_version(made.get(), X509_VERSION_3) != 1 || !set_serial(*made) ||
        ASN1_TIME_set(X509_getm_notBefore(made.get()), seconds(from)) == nullptr ||
        ASN1_TIME_set(X509_getm_notAfter(made.get()), seconds(until)) == nullptr ||
        X509_set_pubkey(made.get(), &key) != 1)
        return nullptr;
    return made;
}

const EVP_MD* hash_for(const EVP_PKEY& key) {
    const bool hashes_itself = EVP_PKEY_is_a(&key, "ED25519") || EVP_PKEY_is_a(&key, "ED448");
    return hashes_itself ? nullptr : EVP_sha256();
}

// OpenSSL would ask on the terminal.
int no_passphrase(char*, int, int, void*) {
    return -1;
}

Bio reader(std::string_view text) {
    Bio bio{BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))};
    if (!bio) throw std::bad_alloc();
    return bio;
}

std::string content_of(BIO& bio) {
    char* data = nullptr;
    const long size = BIO_get_mem_data(&bio, &data);
    return size > 0 ? std::string{data, static_cast<std::size_t>(size)} : std::string{};
}

}  // namespace

Result<Key> make_key() {
    Key key{EVP_EC_gen("P-256")};
    if (!key) return openssl_error("make a key");
    return key;
}

Result<Certificate> make_ca(EVP_PKEY& key, Time from, Time until) {
    Certificate made = begin_certificate(key, from, until);
    // The name differs from CA to CA: clients that know two find the right one by it.
    const std::string mark = random_hex(4);
    if (!made || mark.empty()) return openssl_error("make the CA");
    X509_NAME* name = X509_get_subject_name(made.get());
    if (!add_name(name, "O", "Chaperone") || !add_name(name, "CN", "Chaperone CA " + mark) ||
        X509_set_issuer_name(made.get(), name) != 1 ||
        !add_extension(*made, *made, NID_basic_constraints, "critical,CA:TRUE,pathlen:1") ||
        !add_extension(*made, *made, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(*made, *made, NID_ext_key_usage, "serverAuth") ||
        !add_extension(*made, *made, NID_subject_key_identifier, "hash") ||
        X509_sign(made.get(), &key, hash_for(key)) == 0)
        return openssl_error("make the CA");
    return made;
}

Result<Certificate> make_cross(const Issuer& issuer, X509& other, Time from) {
    const Time until = std::min(not_after(*issuer.certificate), not_after(other));
    Certificate made = begin_certificate(*X509_get0_pubkey(&other), from, until);
    X509& by = *issuer.certificate;
    if (!made || X509_set_subject_name(made.get(), X509_get_subject_name(&other)) != 1 ||
        X509_set_issuer_name(made.get(), X509_get_subject_name(&by)) != 1 ||
        !add_extension(*made, by, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
        !add_extension(*made, by, NID_key_usage, "critical,keyCertSign,cRLSign") ||
        !add_extension(*made, by, NID_ext_key_usage, "serverAuth") ||
        !add_extension(*made, by, NID_subject_key_identifier, "hash") ||
        !add_extension(*made, by, NID_authority_key_identifier, "keyid") ||
        X509_sign(made.get(), issuer.key.get(), hash_for(*issuer.key)) == 0)
        return openssl_error("sign the new CA with the old one");
    return made;
}

Result<Certificate> make_leaf(const Issuer& issuer, EVP_PKEY& key, std::span<const HostName> names,
                              Time from, Time until) {
    Certificate made = begin_certificate(key, from, until);
    if (!made) return openssl_error("make a certificate");
    // RFC 5280 section 4.1.2.6: without a subject the alternative names are critical.
    const bool has_subject = names.front().text.size() <= kMaxCommonName;
    X509_NAME* subject = X509_get_subject_name(made.get());
    if ((has_subject && !add_name(subject, "CN", names.front().text)) ||
        X509_set_issuer_name(made.get(), X509_get_subject_name(issuer.certificate.get())) != 1 ||
        !add_alternative_names(*made, names, !has_subject) ||
        !add_extension(*made, *issuer.certificate, NID_basic_constraints, "critical,CA:FALSE") ||
        !add_extension(*made, *issuer.certificate, NID_key_usage, "critical,digitalSignature") ||
        !add_extension(*made, *issuer.certificate, NID_ext_key_usage, "serverAuth") ||
        !add_extension(*made, *issuer.certificate, NID_subject_key_identifier, "hash") ||
        !add_extension(*made, *issuer.certificate, NID_authority_key_identifier, "keyid"))
        return openssl_error("make a certificate");
    if (issuer.token) {
        EVP_PKEY& by = *X509_get0_pubkey(issuer.certificate.get());
        if (auto done = sign_by_token(*made, by, *issuer.token); !done) return fail(done.error());
        return made;
    }
    if (X509_sign(made.get(), issuer.key.get(), hash_for(*issuer.key)) == 0)
        return openssl_error("make a certificate");
    return made;
}

std::string to_pem(const X509& certificate) {
    const Bio bio{BIO_new(BIO_s_mem())};
    if (!bio || PEM_write_bio_X509(bio.get(), &certificate) != 1) throw std::bad_alloc();
    return content_of(*bio);
}

Result<std::string> to_pem(const EVP_PKEY& key) {
    const Bio bio{BIO_new(BIO_s_secmem())};
    if (!bio ||
        PEM_write_bio_PKCS8PrivateKey(bio.get(), &key, nullptr, nullptr, 0, nullptr, nullptr) != 1)
        return openssl_error("write a key");
    return content_of(*bio);
}

Result<std::vector<Certificate>> certificates_in(std::string_view pem) {
    const Bio bio = reader(pem);
    std::vector<Certificate> found;
    while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
        found.emplace_back(next);
        if (found.size() > kMaxCertificates) return fail(Errc::TooLarge, "chain of certificates");
    }
    const unsigned long code = ERR_peek_last_error();
    ERR_clear_error();
    if (ERR_GET_LIB(code) != ERR_LIB_PEM || ERR_GET_REASON(code) != PEM_R_NO_START_LINE)
        return fail(Errc::Corrupt, "certificate");
    return found;
}

Result<Key> key_in(std::string_view pem) {
    const Bio bio = reader(pem);
    Key key{PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)};
    ERR_clear_error();
    if (!key) return fail(Errc::Corrupt, "private key");
    return key;
}

Result<> check_issuer(const Issuer& issuer) {
    if (X509_check_ca(issuer.certificate.get()) != 1)
        return fail(Errc::Corrupt, "the certificate is not one of a CA");
    if ((X509_get_key_usage(issuer.certificate.get()) & KU_KEY_CERT_SIGN) == 0)
        return fail(Errc::Corrupt, "the certificate's key usage is not to sign certificates");
    if (issuer.token)
        return prove_token(*X509_get0_pubkey(issuer.certificate.get()), *issuer.token);
    const bool fits = X509_check_private_key(issuer.certificate.get(), issuer.key.get()) == 1;
    ERR_clear_error();
    if (!fits) return fail(Errc::Corrupt, "the key is not the certificate's");
    return {};
}

bool is_self_signed(const X509& certificate) {
    // The parameter is not const, though the call does not change what we see.
    return X509_self_signed(const_cast<X509*>(&certificate), 0) == 1;
}

namespace {

Time time_of(const ASN1_TIME* text) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(text, &parts) != 1) return Time{};
    return std::chrono::system_clock::from_time_t(timegm(&parts));
}

}  // namespace

Time not_before(const X509& certificate) {
    return time_of(X509_get0_notBefore(&certificate));
}

Time not_after(const X509& certificate) {
    return time_of(X509_get0_notAfter(&certificate));
}

std::string fingerprint_of(const X509& certificate) {
    std::array<std::byte, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (X509_digest(&certificate, EVP_sha256(), reinterpret_cast<unsigned char*>(digest.data()),
                    &size) != 1)
        throw std::bad_alloc();
    return to_hex(Bytes{digest}.first(size));
}

std::string subject_of(const X509& certificate) {
    const Bio bio{BIO_new(BIO_s_mem())};
    if (!bio ||
        X509_NAME_print_ex(bio.get(), X509_get_subject_name(&certificate), 0, XN_FLAG_RFC2253) < 0)
        throw std::bad_alloc();
    return content_of(*bio);
}

}  // namespace chaperone::authority
