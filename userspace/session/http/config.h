// SPDX-License-Identifier: Apache-2.0
// What an HTTP session is made with, whatever version its front speaks. The facade
// (session/http_session) has asked for the connection, dialled and done TLS both ways; a front is
// given plain bytes of two open legs.
#pragma once

#include "policy/http/facts.h"
#include "userspace/session/http/body_filter.h"
#include "userspace/session/http/body_room.h"
#include "userspace/session/http/credential.h"
#include "userspace/session/http/desk.h"
#include "userspace/session/http/mcp_streams.h"
#include "userspace/session/http/refusal.h"
#include "userspace/session/machine.h"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace chaperone::session {

struct HttpLimits {
    std::size_t head = 64 * 1024;    // bytes of a head; more is 431
    std::size_t target = 16 * 1024;  // bytes of a request target; more is 414
    std::size_t fields = 200;        // of a head or of trailers; more is 431
    std::size_t body =
        1024 * 1024;             // of a request that policy asks to see; more cannot be evaluated
    std::size_t pipelined = 64;  // requests of one connection whose answers are owed
    std::size_t held = 32;       // questions of one connection that wait for a person
    Duration hold = std::chrono::seconds{30};  // how long a request waits, then it is told to come
                                               // again
    Duration head_time = std::chrono::seconds{60};  // from a request's first byte to its last field
    Duration body_time = std::chrono::minutes{2};   // of a body that is read for policy, in all
    Duration idle = std::chrono::minutes{10};       // of a connection without a request
    // Without a byte of a request whose answer is there already: servers that forget it would take
    // what comes later for another request. Shorter than servers wait themselves.
    Duration rest_time = std::chrono::seconds{10};
};

struct HttpConfig {
    std::shared_ptr<const policy::SessionFacts> facts{};
    std::string scheme = "http";  // as it is between agent and us
    // Set: every request is answered with this and nothing goes up (the session was not allowed,
    // the server cannot be reached or trusted).
    std::optional<Refusal> refuse_all{};
    // Whether a host and its port are not what the connection was opened to. Asked only where no
    // name is known that would tell. Null: nothing does.
    std::function<bool(const std::string& host, std::uint16_t port)> elsewhere{};
    std::shared_ptr<Desk> desk{};  // set: it answers everything, there is no server
    std::shared_ptr<CredentialInjector> credential{};  // null: none
    std::shared_ptr<const Masking> masking{};          // null: answers under masks are refused
    // Gives a refusal the shape that this kind of client reads (gRPC, model APIs). Null: none.
    std::function<void(const policy::http::Facts&, const Refusal&, LocalResponse&)> reshape{};
    std::shared_ptr<McpStreams>
        streams{};  // where refusals wait that a stream tells; null: nowhere
    // Takes over both legs after 101, as the machine of the new protocol, with what was read behind
    // the heads still to come. Null, or a null machine: upgrades are refused.
    std::function<std::unique_ptr<Machine>(
        const HttpConfig& config, std::shared_ptr<const policy::http::Facts> request,
        const http::ResponseHead& response, const Answer& answer)>
        upgraded{};
    HttpLimits limits{};
    std::shared_ptr<BodyRoom> body_room{};  // the workload's; null: without limit
    bool reuse = false;                     // a server's connection may go on to another session
    bool reused = false;                    // this one's has come from another; set by the facade
};

// The fronts. Both are given plain bytes and never call connect() or start_tls().
std::unique_ptr<Machine> make_http1_machine(HttpConfig config);
std::unique_ptr<Machine> make_http2_machine(HttpConfig config);

}  // namespace chaperone::session
