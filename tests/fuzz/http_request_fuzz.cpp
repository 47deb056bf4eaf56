// SPDX-License-Identifier: Apache-2.0
// layer: control
// Any bytes as an API request: no crash, and the same request when they come one at a time. Of what
// is wrong in a head that has not come whole, Beast tells sooner or later as it is cut.
#include "userspace/control/http.h"

#include <cstdint>
#include <cstdlib>

namespace chaperone::control {
namespace {

std::string play(Bytes input, std::size_t piece) {
    RequestReader reader{{.head = 1024, .body = 1024}};
    for (; !input.empty(); input = input.subspan(std::min(piece, input.size()))) {
        const auto got = reader.feed(input.first(std::min(piece, input.size())));
        if (!got) return "none";
        if (!*got) continue;
        std::string seen = '+' + (**got).method + '|' + (**got).body;
        for (const auto& part : (**got).path) seen += '/' + part;
        for (const auto& [key, value] : (**got).query) seen += '&' + key + '=' + value;
        return seen;
    }
    return "none";
}

}  // namespace
}  // namespace chaperone::control

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const auto input = std::as_bytes(std::span{data, size});
    if (chaperone::control::play(input, size) != chaperone::control::play(input, 1)) std::abort();
    return 0;
}
