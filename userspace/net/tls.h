// SPDX-License-Identifier: Apache-2.0
// TLS on both legs: towards the agent with a certificate made for what it dialled, towards the
// server with that server's certificate verified as the resource says. TLS 1.2 and 1.3, never with
// early data, which could be replayed.
#pragma once

#include "userspace/authority/authority.h"
#include "userspace/base/error.h"
#include "userspace/base/secret.h"
#include "userspace/net/stream.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

struct ssl_ctx_st;

namespace chaperone::net::tls {

enum class Verify { None, Ca, Full };  // require, verify-ca, verify-full

struct ClientOptions {
    Verify verify = Verify::Full;
    std::string ca{};           // PEM, the authorities themselves; empty: the system's
    std::string server_name{};  // DNS name or address that the certificate must bear; also SNI
    std::string certificate{};  // PEM chain; empty: none
    Secret key{};               // PEM
    std::vector<std::string> alpn{};
    // Sessions with the server are taken up again among those with the same text here and equal
    // options: what may be shared. Empty: never.
    std::string resumption{};
};

struct ServerOptions {
    std::string fallback{};  // names the leaf where the client sends no SNI: the address it dialled
    // Stand in it, too: what the client may have meant by that address. Java sends no SNI for a
    // name without dots, and holds the certificate against it all the same.
    std::vector<std::string> also{};
    std::vector<std::string> alpn{};  // in our order; none of the client's fits: none is spoken
    // As above: a client's session is taken up again where this text, the name that it asks for and
    // the authority are the same.
    std::string resumption{};
    // Where certificates are made if the authority's key is in a token, whose signing blocks; must
    // outlive the handshake. Null: on the session's own thread.
    asio::io_context* signing = nullptr;
};

struct FreeContext {
    void operator()(ssl_ctx_st* context) const noexcept;
};
using ContextPtr = std::unique_ptr<ssl_ctx_st, FreeContext>;

// Towards the agent. The authority must outlive the result.
Result<SslPtr> server(authority::Authority& authority, ServerOptions options);
// Towards a server. What `wants` says stands in for server_name and alpn of the options.
Result<SslPtr> client(const ClientOptions& options, const session::TlsWants& wants = {});

// The handshake has stopped for a certificate that is not there yet (SSL_ERROR_WANT_X509_LOOKUP of
// OpenSSL): waits until it has been made, or has failed; then the handshake goes on.
asio::awaitable<void> await_certificate(ssl_st* ssl);
// Why there was no certificate to show to the agent; null: there was one, or none was asked for.
const Error* certificate_error(const ssl_st* ssl);

session::TlsInfo describe(const ssl_st* ssl);
// Why a handshake failed, from the certificate check or OpenSSL's error queue of this thread, with
// the codes that session::Machine::on_tls_started knows.
Error why_handshake_failed(const ssl_st* ssl);
// What the peer's alert means that ended TLS behind the handshake; empty: there was none.
std::string why_ended(const ssl_st* ssl);
// The server has asked for a certificate that the options do not give.
void watch_for_wish(ssl_ctx_st* context);
bool wishes_certificate(const ssl_st* ssl);

// Of .cpp files of TLS: what every context is set to, ALPN as on the wire, OpenSSL's last error.
void set_common(ssl_ctx_st* context);
std::string wire_form(const std::vector<std::string>& alpn);
std::string openssl_error();

}  // namespace chaperone::net::tls
