// SPDX-License-Identifier: Apache-2.0
// Answers of a server of the Model Context Protocol: lists of tools, prompts and resources are cut
// down to what is allowed, and what the server asks of the agent (sampling, elicitation) is put to
// policy and hidden if it is not allowed. Both transports: a JSON body, server-sent events.
#pragma once

#include "policy/decision.h"
#include "policy/http/facts.h"
#include "policy/http/mcp.h"
#include "userspace/session/http/body_filter.h"
#include "userspace/session/http/mcp_streams.h"

#include <functional>
#include <memory>
#include <string_view>

namespace chaperone::session {

// Decides about a message that is not the request's body. `record`: it is a request of its own and
// goes into the journal; null then means that it could not be recorded.
using McpDecider = std::function<policy::DecisionPtr(
    std::shared_ptr<const policy::http::McpMessage> message, bool record)>;

// The stream says where its client is to POST to, as the older transport does. Null: nothing is
// left there for it.
using McpOpener = std::function<std::shared_ptr<McpStreams::Inbox>(std::string_view endpoint)>;

// Null: the answer is of a type that carries no such messages. Unsupported: a content coding.
Result<std::unique_ptr<BodyFilter>> make_mcp_filter(std::string_view content_type,
                                                    std::string_view content_encoding,
                                                    McpDecider decide, McpOpener opened = {});

}  // namespace chaperone::session
