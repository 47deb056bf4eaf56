// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/tls.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <array>
#include <optional>

namespace chaperone::net::tls {
namespace {

// The alert that the peer sent, RFC 8446 section 6; nullopt: the error is no alert.
std::optional<int> alert_in(unsigned long code) {
    if (ERR_GET_LIB(code) != ERR_LIB_SSL) return std::nullopt;
    const int reason = ERR_GET_REASON(code);
    if (reason < SSL_AD_REASON_OFFSET || reason > SSL_AD_REASON_OFFSET + 255) return std::nullopt;
    return reason - SSL_AD_REASON_OFFSET;
}

// What clients say of a certificate that they do not accept.
bool refuses_certificate(int alert) {
    switch (alert) {
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_REVOKED:
    case SSL_AD_CERTIFICATE_EXPIRED:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_UNKNOWN_CA:
    case SSL_AD_ACCESS_DENIED: return true;
    default: return false;
    }
}

bool has_shown_certificate(const SSL* ssl) {
    const OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);
    return state != TLS_ST_BEFORE && state != TLS_ST_SR_CLNT_HELLO;
}

Error why_client_failed(const SSL* ssl, unsigned long code) {
    if (const Error* none = certificate_error(ssl))
        return {Errc::Unavailable, "there is no certificate for the client: " + none->detail};
    const auto alert = alert_in(code);
    if (alert && refuses_certificate(*alert))
        return {Errc::Denied, std::string{"the client does not accept our certificate: "} +
                                  SSL_alert_desc_string_long(*alert)};
    const bool closed = code == 0 || (ERR_GET_LIB(code) == ERR_LIB_SSL &&
                                      ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING);
    if (closed && has_shown_certificate(ssl))
        return {Errc::Denied, "the client closed the connection when it saw our certificate"};
    if (closed) return {Errc::Unavailable, "the client closed the connection in the handshake"};
    return {Errc::Unavailable, openssl_error()};
}

}  // namespace

void FreeContext::operator()(ssl_ctx_st* context) const noexcept {
    SSL_CTX_free(context);
}

std::string openssl_error() {
    const unsigned long code = ERR_peek_last_error();
    if (code == 0) return "unknown TLS error";
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : "TLS error " + std::to_string(code);
}

void set_common(ssl_ctx_st* context) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}

std::string wire_form(const std::vector<std::string>& alpn) {
    std::string form;
    for (const std::string& name : alpn) {
        form += static_cast<char>(name.size());
        form += name;
    }
    return form;
}

session::TlsInfo describe(const ssl_st* ssl) {
    session::TlsInfo info;
    if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name); name != nullptr)
        info.server_name = name;
    info.protocol = SSL_get_version(ssl);
    const unsigned char* alpn = nullptr;
    unsigned alpn_size = 0;
    SSL_get0_alpn_selected(ssl, &alpn, &alpn_size);
    info.alpn = as_text(std::as_bytes(std::span{alpn, alpn_size}));
    info.resumed = SSL_session_reused(ssl) == 1;
    X509* peer = SSL_get0_peer_certificate(ssl);
    if (peer == nullptr) return info;
    // RFC 5929, 4.1: the signature's hash, but SHA-256 in place of MD5 and SHA-1.
    int digest_nid = NID_undef;
    X509_get_signature_info(peer, &digest_nid, nullptr, nullptr, nullptr);
    const EVP_MD* digest = EVP_get_digestbynid(digest_nid);
    if (digest_nid == NID_md5 || digest_nid == NID_sha1) digest = EVP_sha256();
    if (digest == nullptr) return info;  // e.g. Ed25519: the binding is undefined
    std::array<unsigned char, EVP_MAX_MD_SIZE> hash;
    unsigned size = 0;
    if (X509_digest(peer, digest, hash.data(), &size) == 1)
        append(info.server_end_point, std::as_bytes(std::span{hash}.first(size)));
    return info;
}

namespace {

int wish_index() {
    static const int index =
        SSL_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);  // not owned: a mark
    return index;
}

// OpenSSL's names of alerts lack some of TLS 1.3; its reasons have them.
std::string words_of(unsigned long code) {
    const char* words = ERR_reason_error_string(code);
    return words != nullptr ? words : "an unknown TLS alert";
}

std::string missing_certificate(unsigned long code) {
    return "the server wants a client certificate, and the resource has none "
           "(upstream.tls.cert): " +
           words_of(code);
}

}  // namespace

void watch_for_wish(ssl_ctx_st* context) {
    static char mark;
    (void)wish_index();
    // Called only where the context has no certificate of its own; 0: go on without one.
    SSL_CTX_set_client_cert_cb(context, [](SSL* ssl, X509**, EVP_PKEY**) {
        SSL_set_ex_data(ssl, wish_index(), &mark);
        return 0;
    });
}

bool wishes_certificate(const ssl_st* ssl) {
    return SSL_get_ex_data(ssl, wish_index()) != nullptr;
}

std::string why_ended(const ssl_st* ssl) {
    const unsigned long code = ERR_peek_last_error();
    const auto alert = alert_in(code);
    if (!alert) return {};
    const bool server = SSL_is_server(ssl) == 0;
    if (server && wishes_certificate(ssl)) return missing_certificate(code);
    if (server && (refuses_certificate(*alert) || *alert == SSL_AD_DECRYPT_ERROR))
        return "the server does not accept our certificate: " + words_of(code);
    return words_of(code);
}

Error why_handshake_failed(const ssl_st* ssl) {
    const unsigned long code = ERR_peek_last_error();
    if (SSL_is_server(ssl) == 1) return why_client_failed(ssl, code);
    const long verified = SSL_get_verify_result(ssl);
    if (verified != X509_V_OK)
        return {Errc::Invalid,
                std::string{"certificate: "} + X509_verify_cert_error_string(verified)};
    if (const auto alert = alert_in(code); alert && wishes_certificate(ssl))
        return {Errc::Denied, missing_certificate(code)};
    if (const auto alert = alert_in(code); alert && refuses_certificate(*alert))
        return {Errc::Denied, std::string{"the server does not accept our certificate: "} +
                                  SSL_alert_desc_string_long(*alert)};
    if (code == 0)
        return {Errc::Unavailable, "the server closed the connection in the TLS handshake"};
    return {Errc::Unavailable, openssl_error()};
}

}  // namespace chaperone::net::tls
