// SPDX-License-Identifier: Apache-2.0
// Refusals in the shape that a client of a certain kind reads, so that it understands them and does
// not retry: results of MCP tool calls, errors of OpenAI- and Anthropic-shaped model APIs.
#pragma once

#include "policy/http/facts.h"
#include "userspace/session/http/refusal.h"

#include <optional>
#include <string>

namespace chaperone::session {

// Changes `response`, which says the refusal as problem details, if the request is of such a kind.
void shape_for_agents(const policy::http::Facts& facts, const Refusal& refusal,
                      LocalResponse& response);

// What a request of MCP's older transport is told of its refusal in the stream of events, where its
// client reads answers (HTTP with SSE, of 2024-11-05); nullopt: it is no such request.
std::optional<std::string> answer_in_stream(const policy::http::Facts& facts,
                                            const Refusal& refusal);

// A refusal as the last events of a stream that the request was answered with.
using ErrorEvents = std::string (*)(const Refusal& refusal);
ErrorEvents error_events(const policy::http::Facts& facts);

}  // namespace chaperone::session
