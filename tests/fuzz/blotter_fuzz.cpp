// SPDX-License-Identifier: Apache-2.0
// layer: session
// Any text, any cut: no secret is left in it, nothing else is changed, and its length stays.
#include "userspace/session/http/blotter.h"

#include <cstdint>
#include <cstdlib>
#include <string>

namespace {

using namespace chaperone;
using namespace chaperone::session;

const std::vector<std::string>& secrets() {
    static const std::vector<std::string> made{"abcabd-secret", "bcabd", "aaaaab"};
    return made;
}

std::string played(std::string_view text, std::size_t cut) {
    const auto filter = make_blotter(secrets());
    Buffer out;
    for (std::size_t at = 0; at < text.size(); at += cut)
        if (!filter->push(as_bytes(text.substr(at, cut)), false, out)) std::abort();
    if (!filter->push({}, true, out)) std::abort();
    return std::string{as_text(out)};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 1) return 0;
    const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
    const std::string whole = played(text, text.size() + 1);
    if (whole.size() != text.size()) std::abort();
    for (std::size_t i = 0; i != text.size(); ++i)
        if (whole[i] != text[i] && whole[i] != '*') std::abort();
    for (const std::string& secret : secrets())
        if (whole.contains(secret)) std::abort();
    if (played(text, static_cast<std::size_t>(data[0]) + 1) != whole) std::abort();
    return 0;
}
