// SPDX-License-Identifier: Apache-2.0
// Refusals in the shape that a client of a certain kind reads, so that it understands them and does
// not retry: results of MCP tool calls, errors of OpenAI- and Anthropic-shaped model APIs.
#pragma once

#include "policy/http/facts.h"
#include "userspace/session/http/refusal.h"

#include <string>

namespace chaperone::session {

// Changes `response`, which says the refusal as problem details, if the request is of such a kind.
void shape_for_agents(const policy::http::Facts& facts, const Refusal& refusal,
                      LocalResponse& response);

// A refusal as the last events of a stream that the request was answered with.
using ErrorEvents = std::string (*)(const Refusal& refusal);
ErrorEvents error_events(const policy::http::Facts& facts);

}  // namespace chaperone::session
