// SPDX-License-Identifier: Apache-2.0
// layer: session
// An answer of a model under rules about tool calls: wherever it is cut, the same calls are asked
// about and the same goes on; what is denied never does, nor what waits for a person before the
// end.
#include "tests/fuzz/in_pieces.h"
#include "userspace/session/http/tool_call_filter.h"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace chaperone;
using namespace chaperone::session;

std::string played(std::string_view text, std::size_t cut, bool events) {
    policy::http::Facts facts;
    facts.assign({.method = "POST",
                  .scheme = "https",
                  .authority = "a",
                  .target = events ? "/v1/chat/completions" : "/v1/messages",
                  .version = "1.1"},
                 "a", true);
    std::string asked;
    auto filter = make_tool_call_filter(facts, events ? "text/event-stream" : "application/json",
                                        "", [&](policy::http::ToolCall call) -> CallAnswer {
                                            asked += call.name + '\n' + call.id + '\n';
                                            if (call.name.starts_with('w'))
                                                return CallAnswer::waiting();
                                            if (!call.name.starts_with('d')) return std::nullopt;
                                            return Refusal{.detail = "no"};
                                        });
    Buffer out;
    bool passed = true;
    for (std::size_t at = 0; passed && at < text.size(); at += cut)
        passed = (*filter)->push(as_bytes(text.substr(at, cut)), false, out).has_value();
    const std::size_t waited = (*filter)->waits() ? out.size() : 0;
    for (int turn = 0; passed && !(*filter)->over() && turn != 2; ++turn) {
        while (passed && (*filter)->waits()) {
            (*filter)->decide(std::nullopt);
            passed = (*filter)->push({}, false, out).has_value();
            if (turn == 1) (*filter)->settle();
        }
        if (turn == 0) (*filter)->settle();
    }
    if (waited > out.size()) std::abort();
    passed = passed && !(*filter)->waits() && (*filter)->push({}, true, out);
    if (!events && !passed && !out.empty()) std::abort();
    if ((*filter)->over() && !(*filter)->refusal()) std::abort();
    return asked + (passed ? "+" : "-") + std::string{as_text(out)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)same_in_pieces(data, size, played);
    return 0;
}
