// SPDX-License-Identifier: Apache-2.0
// Requests to model APIs in the shapes of OpenAI and Anthropic, whoever serves them. Pure.
#pragma once

#include "policy/cel/value.h"
#include "policy/http/facts.h"

#include <cstdint>
#include <string>
#include <vector>

namespace chaperone::policy::http {

enum class ModelApi : std::uint8_t { None, OpenAi, Anthropic };

std::string_view to_text(ModelApi api) noexcept;  // "", "openai", "anthropic"

// By the path and, for Anthropic, its version field: a body need not have been seen.
ModelApi model_api(const Facts& facts) noexcept;

// Whether a model's answer to it may call tools; those of embeddings and pictures do not.
bool may_call_tools(const Facts& facts) noexcept;

// It brings a file to the vendor, as a multipart body: no model is asked for anything.
bool uploads_file(const Facts& facts) noexcept;

struct ModelRequest {
    std::string model{};
    std::int64_t max_tokens = 0;  // 0: not said
    std::int64_t messages = 0;    // turns of the conversation
    bool stream = false;
    std::vector<std::string> tools{};  // names that are offered to the model
    // "auto", "none", "required", or the tool that must be called; empty: not said.
    std::string tool_choice{};
    std::vector<std::string> tool_results{};  // ids of calls whose results are sent
    // The tools of those calls, in the same order; empty where the call itself is not sent.
    std::vector<std::string> result_tools{};
    // Where the provider itself is to call tools: URLs of MCP servers, or what else names them.
    std::vector<std::string> servers{};
};

// Of a body; what is missing or has another type is left as it is.
ModelRequest read_model_request(const cel::Value& body);
// Whether it has a member that differs from one of a model's request in its case only: who reads
// names without regard to that would be asked for something else.
bool is_ambiguous(const cel::Value& body);

}  // namespace chaperone::policy::http
