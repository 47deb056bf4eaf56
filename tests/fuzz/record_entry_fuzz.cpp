// SPDX-License-Identifier: Apache-2.0
// layer: record
// Any entry, exported and replayed: one line of valid UTF-8 each, nothing that acts on a terminal.
// The index's view of it is that of a parser.
#include "userspace/record/entry_view.h"
#include "userspace/record/export.h"
#include "userspace/record/replay.h"
#include "userspace/record/summary.h"
#include "userspace/record/text.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <span>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::record;
    Stored stored;
    const auto seen = view_entry(std::as_bytes(std::span{data, size}));
    if (!stored.entry.ParseFromArray(data, static_cast<int>(size))) return 0;
    // Of what we write ourselves; of other encodings of it, too, it must be read without harm.
    const bool ours = stored.entry.SerializeAsString() ==
                      std::string_view{reinterpret_cast<const char*>(data), size};
    if (ours && (!seen || seen->session != session_of(stored.entry))) std::abort();
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
