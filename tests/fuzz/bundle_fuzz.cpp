// SPDX-License-Identifier: Apache-2.0
// layer: policy
// Any text as a bundle: it loads or is refused with issues, and every issue points into the text.
#include "policy/bundle/bundle.h"

#include <cstdint>
#include <cstdlib>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::policy;
    if (size > 65536) return 0;
    std::vector<bundle::SourceFile> files;
    files.push_back({"a.yaml", std::string{reinterpret_cast<const char*>(data), size}});
    const bundle::Loaded loaded = bundle::load(std::move(files));
    if (!loaded.bundle && !bundle::has_errors(loaded.issues)) std::abort();
    if (loaded.bundle && bundle::has_errors(loaded.issues)) std::abort();
    if (bundle::to_text(loaded.issues).empty() != loaded.issues.empty()) std::abort();
    if (loaded.bundle) loaded.bundle->resource_for({.address = "10.1.2.3", .port = 5432});
    return 0;
}
