// SPDX-License-Identifier: Apache-2.0
// Answers of our own to HTTP requests: refused, held, broken. 403 with problem details (RFC 9457),
// Proxy-Status (RFC 9209) and x-proxy-error; never 401 or 407, which make agents try to log in.
#pragma once

#include "policy/http/facts.h"
#include "userspace/session/machine.h"

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::session {

// Why, before it is put into words of a version or of a client.
struct Refusal {
    int status = 403;
    std::string type = "denied";  // of the problem: the last part of its URI
    std::string title = "Denied by policy";
    std::string detail{};  // one sentence
    std::string rule{};
    std::string hint{};                                // what the agent may do instead
    std::string proxy_status = "http_request_denied";  // RFC 9209, 2.3
    std::string proxy_error = "blocked-by-policy";
    std::string decision{};    // "SESSION-NUMBER": the denial's name in the journal
    std::string approval{};    // the held request's id
    unsigned retry_after = 0;  // seconds; 0: no Retry-After
    bool close = false;        // the connection cannot go on
};

// A whole answer, to be framed by whoever speaks the version. `fields` have no Content-Length.
struct LocalResponse {
    int status = 403;
    std::vector<std::pair<std::string, std::string>> fields{};
    std::string body{};
    bool close = false;
};

// Of an answer of the gate that allows nothing.
Refusal refusal_of(const Answer& answer, const policy::http::Facts& facts,
                   std::string_view session);
// The request goes on waiting without this connection. `async`: the client asked for 202.
Refusal pending(std::string_view approval, const policy::Decision* decision, bool async);
Refusal malformed(int status, std::string_view what);  // 400, 414, 431, 501, 505
// 502 or 504; `proxy_status`: a token of RFC 9209, 2.3 such as connection_refused.
Refusal upstream_failed(int status, std::string_view proxy_status, std::string_view what);

// Of what a dial or a handshake with the server has come to (Machine::on_connected and so on).
Refusal not_reached(const Error& why);
Refusal no_tls(const Error& why);

LocalResponse render(const Refusal& refusal);

}  // namespace chaperone::session
