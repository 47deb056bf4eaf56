// SPDX-License-Identifier: Apache-2.0
// layer: policy
// Any text: the analysis ends, and what it could not read is unknown and nothing else.
#include "policy/shell/facts.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::policy::shell;
    const auto facts = analyze({reinterpret_cast<const char*>(data), size});
    if (!facts->parsed) {
        if (facts->effects.size() != 1 || !facts->does(EffectKind::Unknown) || facts->error.empty())
            std::abort();
        return 0;
    }
    // Every command is an effect, and one without a name is unknown.
    for (const Command& one : facts->commands) {
        const Effect wanted =
            one.name.empty() ? Effect{EffectKind::Unknown, {}} : Effect{EffectKind::Run, one.name};
        if (std::ranges::find(facts->effects, wanted) == facts->effects.end()) std::abort();
    }
    return 0;
}
