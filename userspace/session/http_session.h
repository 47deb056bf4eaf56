// SPDX-License-Identifier: Apache-2.0
// An HTTP session from its first byte: tells TLS, HTTP/2 in clear text and HTTP/1 apart, asks
// whether there may be a session, dials, does TLS with the server and then, with the protocol that
// the server chose, with the agent; then it is the machine of that version (make_http1_machine,
// make_http2_machine). What fails or is refused on the way is told in HTTP, after a handshake where
// the agent began one, so that it reads why.
#pragma once

#include "userspace/session/http/config.h"

#include <functional>
#include <memory>
#include <string>

namespace chaperone::session {

// TLS towards the server.
enum class ServerTls {
    AsClient,  // where the agent speaks it
    Always,    // also where the agent speaks clear text
    Never,     // also where the agent speaks TLS
};

struct HttpSessionConfig {
    using Make = std::function<std::unique_ptr<Machine>(HttpConfig)>;

    HttpConfig http{};  // scheme and refuse_all are set here
    Make http1{};
    Make http2{};
    ServerTls server_tls = ServerTls::AsClient;
    // Not empty: what would go over the wire must not go in clear text (a credential of ours).
    std::string only_with_tls{};
    // The agent did not accept the certificate that it was shown; in words.
    std::function<void(std::string_view why)> distrusted{};
};

std::unique_ptr<Machine> make_http_session(HttpSessionConfig config);

}  // namespace chaperone::session
