// SPDX-License-Identifier: Apache-2.0
// layer: record
// Signed notes, vkeys and checkpoints: what is accepted is written back the same.
#include "userspace/record/checkpoint.h"
#include "userspace/record/note.h"

#include <cstdint>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone;
    using namespace chaperone::record;
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    static const auto kKey =
        VerifierKey::parse("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW");
    if (const auto key = VerifierKey::parse(text); key && !VerifierKey::parse(key->text()))
        std::abort();
    if (const auto checkpoint = parse_checkpoint(text)) {
        const auto again = parse_checkpoint(to_text(*checkpoint));
        if (!again || again->size != checkpoint->size || again->root != checkpoint->root)
            std::abort();
    }
    if (const auto notes = split_notes(text)) {
        std::size_t bytes = notes->torn.size();
        for (const auto note : notes->notes) {
            (void)open_note(note, *kKey);
            bytes += note.size() + 1;  // and the empty line behind it
        }
        if (bytes != size) std::abort();
    }
    (void)open_note(text, *kKey);
    return 0;
}
