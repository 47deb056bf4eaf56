// SPDX-License-Identifier: Apache-2.0
// layer: session
// What a server of MCP answers, documents and events: wherever it is cut, the same is asked about
// and the same goes on; a question of the server that is denied never does.
#include "tests/fuzz/in_pieces.h"
#include "userspace/session/http/mcp_filter.h"

#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

using namespace chaperone;
using namespace chaperone::session;

policy::DecisionPtr decided(bool allowed) {
    auto made = std::make_shared<policy::Decision>();
    made->effect = allowed ? policy::Effect::Allow : policy::Effect::Deny;
    return made;
}

std::string played(std::string_view text, std::size_t cut, bool events) {
    std::string asked;
    const auto decide = [&](std::shared_ptr<const policy::http::McpMessage> message, bool record) {
        const std::string name = message->tool + message->prompt + message->resource;
        asked += message->method + ' ' + name + (record ? "!\n" : "\n");
        return decided(!name.starts_with('d') && !message->method.starts_with("sampling"));
    };
    auto filter = make_mcp_filter(events ? "text/event-stream" : "application/json", "", decide);
    if (!filter || !*filter) std::abort();
    Buffer out;
    bool passed = true;
    for (std::size_t at = 0; passed && at < text.size(); at += cut)
        passed = (*filter)->push(as_bytes(text.substr(at, cut)), false, out).has_value();
    passed = passed && (*filter)->push({}, true, out);
    return asked + (passed ? "+" : "-") + std::string{as_text(out)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    (void)same_in_pieces(data, size, played);
    return 0;
}
