// SPDX-License-Identifier: Apache-2.0
// TLS on both legs: towards the agent with a certificate made for what it dialled, towards the
// server with that server's certificate verified as the resource says. TLS 1.2 and 1.3.
#pragma once

#include "userspace/authority/authority.h"
#include "userspace/base/error.h"
#include "userspace/base/secret.h"
#include "userspace/net/stream.h"

#include <memory>
#include <string>
#include <string_view>

struct ssl_ctx_st;

namespace chaperone::net::tls {

enum class Verify { None, Ca, Full };  // require, verify-ca, verify-full

struct ClientOptions {
    Verify verify = Verify::Full;
    std::string ca{};           // PEM, the authorities themselves; empty: the system's
    std::string server_name{};  // DNS name or address that the certificate must bear; also SNI
    std::string certificate{};  // PEM chain; empty: none
    Secret key{};               // PEM
    std::string alpn{};         // one protocol; empty: none
};

struct FreeContext {
    void operator()(ssl_ctx_st* context) const noexcept;
};
using ContextPtr = std::unique_ptr<ssl_ctx_st, FreeContext>;

// Towards the agent. `fallback` names the leaf where the client sends no SNI: the address that it
// dialled. The authority must outlive the result.
Result<SslPtr> server(authority::Authority& authority, std::string fallback, std::string_view alpn);
// Towards a server.
Result<SslPtr> client(const ClientOptions& options);

session::TlsInfo describe(const ssl_st* ssl);
// In words, from the certificate check or OpenSSL's error queue of this thread.
std::string why_handshake_failed(const ssl_st* ssl);

}  // namespace chaperone::net::tls
