// SPDX-License-Identifier: Apache-2.0
#include "userspace/net/tls.h"

#include "userspace/base/clock.h"
#include "userspace/base/guarded.h"
#include "userspace/base/sha256.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <array>
#include <map>

namespace chaperone::net::tls {
namespace {

struct ServerSide {
    authority::Authority* authority;
    std::string fallback;
    std::string alpn;  // length-prefixed, as on the wire
};

bool is_address(const std::string& name) {
    std::array<unsigned char, 16> raw;
    return inet_pton(AF_INET, name.c_str(), raw.data()) == 1 ||
           inet_pton(AF_INET6, name.c_str(), raw.data()) == 1;
}

std::string openssl_error() {
    const unsigned long code = ERR_peek_last_error();
    if (code == 0) return "unknown TLS error";
    const char* reason = ERR_reason_error_string(code);
    return reason != nullptr ? reason : "TLS error " + std::to_string(code);
}

int side_index() {
    static const int index = SSL_get_ex_new_index(
        0, nullptr, nullptr, nullptr, [](void*, void* data, CRYPTO_EX_DATA*, int, long, void*) {
            delete static_cast<ServerSide*>(data);
        });
    return index;
}

// Runs when the ClientHello has been read: the name is known, the certificate not yet sent.
int choose_certificate(SSL* ssl, void*) {
    const auto& side = *static_cast<ServerSide*>(SSL_get_ex_data(ssl, side_index()));
    const char* sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    // A name that cannot be one gets the address; the client's own check then fails, closed.
    auto leaf = side.authority->leaf(sni != nullptr ? std::string_view{sni} : side.fallback, now());
    if (!leaf) leaf = side.authority->leaf(side.fallback, now());
    if (!leaf) return 0;
    return SSL_use_cert_and_key(ssl, (*leaf)->certificate(), (*leaf)->key(), (*leaf)->chain(), 1);
}

int choose_alpn(SSL* ssl, const unsigned char** out, unsigned char* size, const unsigned char* in,
                unsigned in_size, void*) {
    const auto& side = *static_cast<ServerSide*>(SSL_get_ex_data(ssl, side_index()));
    unsigned char* chosen = nullptr;
    const auto* ours = reinterpret_cast<const unsigned char*>(side.alpn.data());
    if (SSL_select_next_proto(&chosen, size, ours, static_cast<unsigned>(side.alpn.size()), in,
                              in_size) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_NOACK;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

void set_common(SSL_CTX* context) {
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                  SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
}

SSL_CTX* server_context() {
    static const ContextPtr context = [] {
        ContextPtr made{SSL_CTX_new(TLS_server_method())};
        set_common(made.get());
        // Certificates are chosen by name at each handshake, so a ticket must not skip the choice.
        SSL_CTX_set_session_cache_mode(made.get(), SSL_SESS_CACHE_OFF);
        SSL_CTX_set_options(made.get(), SSL_OP_NO_TICKET);
        SSL_CTX_set_num_tickets(made.get(), 0);
        SSL_CTX_set_cert_cb(made.get(), choose_certificate, nullptr);
        SSL_CTX_set_alpn_select_cb(made.get(), choose_alpn, nullptr);
        return made;
    }();
    return context.get();
}

std::string wire_form(std::string_view alpn) {
    std::string form;
    if (alpn.empty()) return form;
    form += static_cast<char>(alpn.size());
    form += alpn;
    return form;
}

Result<> use_key(SSL_CTX* context, const ClientOptions& options) {
    const auto read = [](std::string_view pem) {
        return BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    };
    BIO* chain = read(options.certificate);
    X509* first = PEM_read_bio_X509(chain, nullptr, nullptr, nullptr);
    bool ok = first != nullptr && SSL_CTX_use_certificate(context, first) == 1;
    X509_free(first);
    while (X509* next = ok ? PEM_read_bio_X509(chain, nullptr, nullptr, nullptr) : nullptr)
        ok = SSL_CTX_add0_chain_cert(context, next) == 1;
    BIO_free(chain);
    BIO* key_text = read(options.key.expose());
    EVP_PKEY* key = PEM_read_bio_PrivateKey(key_text, nullptr, nullptr, nullptr);
    BIO_free(key_text);
    ok = ok && key != nullptr && SSL_CTX_use_PrivateKey(context, key) == 1;
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (!ok) return fail(Errc::Invalid, "the client certificate and its key cannot be used");
    return {};
}

Result<> set_verification(SSL_CTX* context, const ClientOptions& options) {
    if (options.verify == Verify::None) {
        SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
        return {};
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (options.ca.empty()) {
        if (SSL_CTX_set_default_verify_paths(context) == 1) return {};
        return fail(Errc::Invalid, "the system's certificate authorities: " + openssl_error());
    }
    BIO* text = BIO_new_mem_buf(options.ca.data(), static_cast<int>(options.ca.size()));
    X509_STORE* store = SSL_CTX_get_cert_store(context);
    int added = 0;
    while (X509* authority = PEM_read_bio_X509(text, nullptr, nullptr, nullptr)) {
        added += X509_STORE_add_cert(store, authority);
        X509_free(authority);
    }
    BIO_free(text);
    ERR_clear_error();
    if (added == 0) return fail(Errc::Invalid, "the resource's CA file holds no certificate");
    return {};
}

Result<ContextPtr> make_client_context(const ClientOptions& options) {
    ContextPtr context{SSL_CTX_new(TLS_client_method())};
    if (!context) return fail(Errc::Unavailable, "TLS: " + openssl_error());
    set_common(context.get());
    if (auto set = set_verification(context.get(), options); !set) return fail(set.error());
    if (!options.certificate.empty())
        if (auto used = use_key(context.get(), options); !used) return fail(used.error());
    return context;
}

// Reading the system's authorities takes milliseconds: contexts are kept by what they are made of.
Result<SslPtr> new_client(const ClientOptions& options) {
    static constexpr std::size_t kMost = 256;  // as many resources as differ in their TLS settings
    static Guarded<std::map<Digest, ContextPtr>> kept;
    Sha256 hash;
    const char verify = options.verify == Verify::None ? 'n' : 'v';
    hash.add(as_bytes({&verify, 1})).add(sha256(as_bytes(options.ca)));
    hash.add(sha256(as_bytes(options.certificate))).add(sha256(as_bytes(options.key.expose())));
    const Digest key = hash.finish();
    return kept.with([&](auto& contexts) -> Result<SslPtr> {
        auto found = contexts.find(key);
        if (found == contexts.end()) {
            auto made = make_client_context(options);
            if (!made) return fail(made.error());
            if (contexts.size() == kMost) contexts.clear();
            found = contexts.emplace(key, std::move(*made)).first;
        }
        SslPtr ssl{SSL_new(found->second.get())};
        if (!ssl) return fail(Errc::Unavailable, "TLS: " + openssl_error());
        return ssl;
    });
}

}  // namespace

void FreeContext::operator()(ssl_ctx_st* context) const noexcept {
    SSL_CTX_free(context);
}

Result<SslPtr> server(authority::Authority& authority, std::string fallback,
                      std::string_view alpn) {
    SslPtr ssl{SSL_new(server_context())};
    if (!ssl) return fail(Errc::Unavailable, "TLS: " + openssl_error());
    SSL_set_ex_data(ssl.get(), side_index(),
                    new ServerSide{&authority, std::move(fallback), wire_form(alpn)});
    SSL_set_accept_state(ssl.get());
    return ssl;
}

Result<SslPtr> client(const ClientOptions& options) {
    auto made = new_client(options);
    if (!made) return fail(made.error());
    SslPtr ssl = std::move(*made);
    SSL_set_connect_state(ssl.get());
    const bool address = is_address(options.server_name);
    if (!options.server_name.empty() && !address)
        SSL_set_tlsext_host_name(ssl.get(), options.server_name.c_str());
    if (options.verify == Verify::Full) {
        if (options.server_name.empty())
            return fail(Errc::Invalid, "verify-full needs the server's name");
        X509_VERIFY_PARAM* check = SSL_get0_param(ssl.get());
        X509_VERIFY_PARAM_set_hostflags(check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
        const int ok = address ? X509_VERIFY_PARAM_set1_ip_asc(check, options.server_name.c_str())
                               : X509_VERIFY_PARAM_set1_host(check, options.server_name.c_str(), 0);
        if (ok != 1) return fail(Errc::Invalid, "server name " + options.server_name);
    }
    if (const std::string alpn = wire_form(options.alpn); !alpn.empty())
        SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                            static_cast<unsigned>(alpn.size()));
    return ssl;
}

session::TlsInfo describe(const ssl_st* ssl) {
    session::TlsInfo info;
    if (const char* name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name); name != nullptr)
        info.server_name = name;
    info.protocol = SSL_get_version(ssl);
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

std::string why_handshake_failed(const ssl_st* ssl) {
    const long verified = SSL_get_verify_result(ssl);
    if (verified != X509_V_OK)
        return std::string{"certificate: "} + X509_verify_cert_error_string(verified);
    if (ERR_peek_last_error() == 0) return "the peer closed the connection in the handshake";
    return openssl_error();
}

}  // namespace chaperone::net::tls
