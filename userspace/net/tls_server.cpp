// SPDX-License-Identifier: Apache-2.0
// Towards agents: one context for all, and what differs between sessions beside each SSL.
#include "userspace/base/clock.h"
#include "userspace/base/sha256.h"
#include "userspace/net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>

namespace chaperone::net::tls {
namespace {

struct ServerSide {
    authority::Authority* authority;
    std::vector<std::string> fallback;  // the address first
    std::string alpn;                   // as on the wire
};

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
    auto leaf = sni != nullptr ? side.authority->leaf(sni, now())
                               : side.authority->leaf(side.fallback, now());
    if (!leaf) leaf = side.authority->leaf(side.fallback.front(), now());
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

SSL_CTX* server_context() {
    static const ContextPtr context = [] {
        ContextPtr made{SSL_CTX_new(TLS_server_method())};
        set_common(made.get());
        // Sessions live in the clients' tickets only: nothing of them is kept here.
        SSL_CTX_set_session_cache_mode(made.get(), SSL_SESS_CACHE_OFF);
        SSL_CTX_set_timeout(made.get(), 3600);
        SSL_CTX_set_cert_cb(made.get(), choose_certificate, nullptr);
        SSL_CTX_set_alpn_select_cb(made.get(), choose_alpn, nullptr);
        return made;
    }();
    return context.get();
}

// A ticket of another resource, workload or authority is none: certificates and rights of one are
// not those of another.
void set_resumption(SSL* ssl, const authority::Authority& authority, const std::string& scope) {
    if (scope.empty()) {
        SSL_set_options(ssl, SSL_OP_NO_TICKET);
        SSL_set_num_tickets(ssl, 0);
        return;
    }
    const std::string whole = authority.fingerprint() + '\n' + scope;
    const Digest id = sha256(as_bytes(whole));
    static_assert(sizeof id <= SSL_MAX_SID_CTX_LENGTH);
    SSL_set_session_id_context(ssl, reinterpret_cast<const unsigned char*>(id.data()), sizeof id);
}

}  // namespace

Result<SslPtr> server(authority::Authority& authority, ServerOptions options) {
    SslPtr ssl{SSL_new(server_context())};
    if (!ssl) return fail(Errc::Unavailable, "TLS: " + openssl_error());
    set_resumption(ssl.get(), authority, options.resumption);
    std::vector<std::string> names{std::move(options.fallback)};
    for (std::string& name : options.also)
        if (names.size() != authority::Authority::kMaxNames &&
            std::ranges::find(names, name) == names.end())
            names.push_back(std::move(name));
    SSL_set_ex_data(ssl.get(), side_index(),
                    new ServerSide{&authority, std::move(names), wire_form(options.alpn)});
    SSL_set_accept_state(ssl.get());
    return ssl;
}

}  // namespace chaperone::net::tls
