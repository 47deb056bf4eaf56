// SPDX-License-Identifier: Apache-2.0
// Towards servers: a context for each way to verify, a session cache for each way to use it.
#include "userspace/base/guarded.h"
#include "userspace/base/sha256.h"
#include "userspace/net/tls.h"
#include "userspace/net/tls_ocsp.h"
#include "userspace/net/tls_sessions.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <arpa/inet.h>

#include <array>
#include <map>

namespace chaperone::net::tls {
namespace {

bool is_address(const std::string& name) {
    std::array<unsigned char, 16> raw;
    return inet_pton(AF_INET, name.c_str(), raw.data()) == 1 ||
           inet_pton(AF_INET6, name.c_str(), raw.data()) == 1;
}

Sessions& sessions() {
    static Sessions all;
    return all;
}

int key_index() {
    static const int index = SSL_get_ex_new_index(
        0, nullptr, nullptr, nullptr, [](void*, void* data, CRYPTO_EX_DATA*, int, long, void*) {
            delete static_cast<Digest*>(data);
        });
    return index;
}

// 1: the session is ours now.
int keep_session(SSL* ssl, SSL_SESSION* session) {
    const auto* key = static_cast<const Digest*>(SSL_get_ex_data(ssl, key_index()));
    if (key == nullptr) return 0;
    sessions().keep(*key, SessionPtr{session});
    return 1;
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
    SSL_CTX_set_session_cache_mode(context.get(),
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context.get(), keep_session);
    // A session that is taken up again is not verified again: for an hour at most.
    SSL_CTX_set_timeout(context.get(), 3600);
    check_staples(context.get());
    watch_for_wish(context.get());
    if (auto set = set_verification(context.get(), options); !set) return fail(set.error());
    if (!options.certificate.empty())
        if (auto used = use_key(context.get(), options); !used) return fail(used.error());
    return context;
}

Digest key_of(const ClientOptions& options) {
    Sha256 hash;
    const char verify = options.verify == Verify::None ? 'n' : 'v';
    hash.add(as_bytes({&verify, 1})).add(sha256(as_bytes(options.ca)));
    hash.add(sha256(as_bytes(options.certificate))).add(sha256(as_bytes(options.key.expose())));
    return hash.finish();
}

// Reading the system's authorities takes milliseconds: contexts are kept by what they are made of.
Result<SslPtr> new_client(const ClientOptions& options, const Digest& key) {
    static constexpr std::size_t kMost = 256;  // as many resources as differ in their TLS settings
    static Guarded<std::map<Digest, ContextPtr>> kept;
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

// What a session with the server was verified for, and for whom, is part of its key.
void set_resumption(SSL* ssl, const ClientOptions& options, const Digest& context,
                    const std::string& name, const std::string& alpn) {
    if (options.resumption.empty()) return;
    Sha256 hash;
    const char verify = static_cast<char>('0' + static_cast<int>(options.verify));
    hash.add(context).add(as_bytes({&verify, 1})).add(sha256(as_bytes(options.resumption)));
    hash.add(sha256(as_bytes(name))).add(sha256(as_bytes(alpn)));
    const Digest key = hash.finish();
    SSL_set_ex_data(ssl, key_index(), new Digest{key});
    if (const SessionPtr earlier = sessions().take(key)) SSL_set_session(ssl, earlier.get());
}

Result<> set_name(SSL* ssl, Verify verify, const std::string& name) {
    const bool address = is_address(name);
    if (!name.empty() && !address) SSL_set_tlsext_host_name(ssl, name.c_str());
    if (verify != Verify::Full) return {};
    if (name.empty()) return fail(Errc::Invalid, "verify-full needs the server's name");
    X509_VERIFY_PARAM* check = SSL_get0_param(ssl);
    X509_VERIFY_PARAM_set_hostflags(check, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    const int ok = address ? X509_VERIFY_PARAM_set1_ip_asc(check, name.c_str())
                           : X509_VERIFY_PARAM_set1_host(check, name.c_str(), 0);
    if (ok != 1) return fail(Errc::Invalid, "server name " + name);
    return {};
}

}  // namespace

Result<SslPtr> client(const ClientOptions& options, const session::TlsWants& wants) {
    const std::string& name = wants.server_name.empty() ? options.server_name : wants.server_name;
    const std::string alpn = wire_form(wants.alpn.empty() ? options.alpn : wants.alpn);
    const Digest key = key_of(options);
    auto made = new_client(options, key);
    if (!made) return fail(made.error());
    SslPtr ssl = std::move(*made);
    SSL_set_connect_state(ssl.get());
    if (options.verify != Verify::None) ask_for_staple(ssl.get());
    if (auto set = set_name(ssl.get(), options.verify, name); !set) return fail(set.error());
    if (!alpn.empty())
        SSL_set_alpn_protos(ssl.get(), reinterpret_cast<const unsigned char*>(alpn.data()),
                            static_cast<unsigned>(alpn.size()));
    set_resumption(ssl.get(), options, key, name, alpn);
    return ssl;
}

}  // namespace chaperone::net::tls
