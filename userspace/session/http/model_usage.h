// SPDX-License-Identifier: Apache-2.0
// What a model API says in an answer of tokens and of tools that it calls, read while the answer
// passes unchanged: one JSON document, or the events of a stream, in the shapes of OpenAI (chat
// completions, responses) and Anthropic (messages). For the record.
#pragma once

#include "userspace/session/http/body_filter.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session {

struct ModelUsage {
    std::string model{};
    std::uint64_t input_tokens = 0;   // as counted by the vendor
    std::uint64_t cached_tokens = 0;  // of the input, read from a cache
    std::uint64_t output_tokens = 0;
    bool counted = false;
    std::vector<std::string> tools{};  // names of the calls, in their order
    bool incomplete = false;           // it was too large, or could not be read

    // "gpt-x input=12 output=34 cached=8 tools=search,fetch"; empty: nothing was said.
    std::string text() const;
};

// One document, or one event's data. What is no JSON, or has another shape, adds nothing.
void read_model_answer(std::string_view json, ModelUsage& usage);

// Passes a body on as it comes and fills `usage`, which outlives it. Null: a type or a coding that
// is not read here.
std::unique_ptr<BodyFilter> make_usage_reader(std::string_view content_type,
                                              std::string_view content_encoding, ModelUsage& usage);

}  // namespace chaperone::session
