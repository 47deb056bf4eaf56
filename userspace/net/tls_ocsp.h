// SPDX-License-Identifier: Apache-2.0
// What a server staples about its certificate (RFC 6066 section 8, RFC 6960): a revoked one is not
// trusted, nor is one whose staple cannot be verified or that must have one (RFC 7633) and has not.
#pragma once

struct ssl_ctx_st;
struct ssl_st;

namespace chaperone::net::tls {

void check_staples(ssl_ctx_st* context);  // of all connections made of it that ask for one
void ask_for_staple(ssl_st* ssl);

}  // namespace chaperone::net::tls
