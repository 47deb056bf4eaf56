// SPDX-License-Identifier: Apache-2.0
// layer: session
// An answer that says it is a model's: it passes unchanged, and says the same wherever it is cut.
#include "tests/fuzz/in_pieces.h"
#include "userspace/session/http/model_usage.h"

#include <cstdint>
#include <cstdlib>

namespace {

using namespace chaperone;
using namespace chaperone::session;

std::string said(std::string_view text, std::size_t cut, bool events) {
    ModelUsage usage;
    const auto reader =
        make_usage_reader(events ? "text/event-stream" : "application/json", "", usage);
    Buffer out;
    for (std::size_t at = 0; at < text.size(); at += cut)
        if (!reader->push(as_bytes(text.substr(at, cut)), false, out)) std::abort();
    if (!reader->push({}, true, out) || as_text(out) != text) std::abort();
    return usage.text();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string whole = same_in_pieces(data, size, said);
    for (const char c : whole)
        if (c == '\n' || c == '\0') std::abort();
    return 0;
}
