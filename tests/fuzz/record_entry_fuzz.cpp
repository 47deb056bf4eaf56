// SPDX-License-Identifier: Apache-2.0
// layer: record
// Any entry, exported and replayed: one line of valid UTF-8 each, nothing that acts on a terminal.
#include "userspace/record/export.h"
#include "userspace/record/replay.h"
#include "userspace/record/text.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::record;
    Stored stored;
    if (!stored.entry.ParseFromArray(data, static_cast<int>(size))) return 0;
    for (const auto format : {Format::Jsonl, Format::Ocsf, Format::Cef, Format::Syslog}) {
        Exporter exporter{format, "host", "0"};
        const auto line = exporter.line(stored);
        if (line && (line->find('\n') != line->npos || to_utf8(*line) != *line)) std::abort();
    }
    const std::string text = transcript({&stored, 1});
    const auto acts = [](char c) { return c != '\n' && static_cast<unsigned char>(c) < 0x20; };
    if (std::ranges::any_of(text, acts) || to_utf8(text) != text) std::abort();
    (void)asciicast({&stored, 1});
    return 0;
}
