// SPDX-License-Identifier: Apache-2.0
// The tool calls in answers of model APIs: OpenAI's chat completions and responses, Anthropic's
// messages; documents, and streams whose events bring a call in pieces. Whatever the API is asked
// for, all shapes are looked for. Pure; one answer, one thread.
#pragma once

#include "userspace/base/error.h"

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

namespace chaperone::session {

// As the model wrote it.
struct WrittenCall {
    std::string name{};
    std::string type{};
    std::string id{};
    std::string arguments{};  // JSON, or free text
    bool free_text = false;
};
using WrittenCalls = std::vector<WrittenCall>;

class ToolCallReader {
public:
    static constexpr std::size_t kMaxOpen = 256;  // calls that were begun, of one answer

    // All calls of a whole body; also of several documents, a line each. Malformed: no JSON.
    static Result<WrittenCalls> document(std::string_view text);

    // The calls that are whole with this event. Malformed: its data is no JSON. TooLarge: too many
    // are open.
    Result<WrittenCalls> event(std::string_view data);
    // Calls were begun, and what they are to do is not known yet.
    bool open() const noexcept { return !open_.empty(); }
    // The end of the stream, or that nothing more is said: the calls that were open.
    WrittenCalls end();

private:
    // Where its pieces come: the list it is in, the choice, the place in it.
    using Key = std::tuple<char, std::int64_t, std::int64_t>;
    struct Pieces;

    std::map<Key, WrittenCall> open_;
};

}  // namespace chaperone::session
