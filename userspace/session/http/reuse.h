// SPDX-License-Identifier: Apache-2.0
// When a server's connection may serve several sessions, and what may be sent twice over two of
// them (RFC 9110, 9.2; RFC 9112, 9.3). What is not known to be harmless is not.
#pragma once

#include "userspace/base/http.h"

#include <string_view>

namespace chaperone::session {

// It changes nothing at the server, so that it may be asked again where an answer was lost.
bool is_safe_method(std::string_view method) noexcept;
// Who is proven by such fields is proven for the connection, or may be: NTLM, Negotiate, and every
// scheme that is not known to stand for its one request.
bool binds_connection(const http::Fields& request) noexcept;
// The server has not understood, trusted or finished what it was asked, or says that it may not:
// what it makes of the connection is its own.
bool spoils_connection(int status) noexcept;

}  // namespace chaperone::session
