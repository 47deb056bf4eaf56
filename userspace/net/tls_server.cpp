// SPDX-License-Identifier: Apache-2.0
// Towards agents: one context for all, and what differs between sessions beside each SSL.
#include "userspace/base/clock.h"
#include "userspace/base/sha256.h"
#include "userspace/net/tls.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <algorithm>
#include <optional>

namespace chaperone::net::tls {
namespace {

using LeafResult = Result<std::shared_ptr<const authority::Leaf>>;

struct ServerSide {
    authority::Authority* authority;
    std::vector<std::string> fallback;  // the address first
    std::string alpn;                   // as on the wire
    asio::io_context* signing = nullptr;
    std::vector<std::string> wanted{};  // of the certificate that is waited for
    std::optional<LeafResult> made{};   // that one
};

int side_index() {
    static const int index = SSL_get_ex_new_index(
        0, nullptr, nullptr, nullptr, [](void*, void* data, CRYPTO_EX_DATA*, int, long, void*) {
            delete static_cast<ServerSide*>(data);
        });
    return index;
}

ServerSide& side_of(const SSL* ssl) {
    return *static_cast<ServerSide*>(SSL_get_ex_data(ssl, side_index()));
}

// A name that cannot be one gets the address; the client's own check then fails, closed.
LeafResult make_leaf(authority::Authority& authority, const std::vector<std::string>& names,
                     const std::string& address) {
    auto leaf = authority.leaf(names, now());
    if (!leaf && leaf.error().code == Errc::Invalid) leaf = authority.leaf(address, now());
    return leaf;
}

asio::awaitable<LeafResult> make_leaf_there(authority::Authority* authority,
                                            std::vector<std::string> names, std::string address) {
    co_return make_leaf(*authority, names, address);
}

// Runs when the ClientHello has been read: the name is known, the certificate not yet sent; and
// once more when one was waited for. Negative: OpenSSL stops the handshake until then.
int choose_certificate(SSL* ssl, void*) {
    ServerSide& side = side_of(ssl);
    if (!side.made) {
        const char* sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
        side.wanted = sni != nullptr ? std::vector<std::string>{sni} : side.fallback;
        if (side.signing == nullptr) {
            side.made = make_leaf(*side.authority, side.wanted, side.fallback.front());
        } else if (auto leaf = side.authority->cached(side.wanted, now())) {
            side.made = std::move(leaf);
        } else {
            return -1;
        }
    }
    if (!*side.made) return 0;
    const authority::Leaf& leaf = ***side.made;
    return SSL_use_cert_and_key(ssl, leaf.certificate(), leaf.key(), leaf.chain(), 1);
}

int choose_alpn(SSL* ssl, const unsigned char** out, unsigned char* size, const unsigned char* in,
                unsigned in_size, void*) {
    const ServerSide& side = side_of(ssl);
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
                    new ServerSide{&authority, std::move(names), wire_form(options.alpn),
                                   authority.blocks() ? options.signing : nullptr});
    SSL_set_accept_state(ssl.get());
    return ssl;
}

asio::awaitable<void> await_certificate(ssl_st* ssl) {
    ServerSide& side = side_of(ssl);
    auto task = make_leaf_there(side.authority, side.wanted, side.fallback.front());
    auto made = co_await asio::co_spawn(*side.signing, std::move(task), asio::use_awaitable);
    side.made = std::move(made);
}

const Error* certificate_error(const ssl_st* ssl) {
    const auto* side = static_cast<const ServerSide*>(SSL_get_ex_data(ssl, side_index()));
    return side != nullptr && side->made && !*side->made ? &side->made->error() : nullptr;
}

}  // namespace chaperone::net::tls
