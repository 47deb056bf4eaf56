// SPDX-License-Identifier: Apache-2.0
// layer: detect
// Any bytes as text: matches are in order, inside the text and without overlap; masks fit; and text
// that comes through the stream is never lost where nothing was found.
#include "policy/detect/mask.h"
#include "policy/detect/stream_masker.h"

#include <cstdint>
#include <cstdlib>

namespace chaperone::detect {
namespace {

const Detector& detector() {
    static const Detector made = [] {
        std::vector<std::string> names;
        for (const KindInfo& info : builtin_kinds()) names.emplace_back(info.name);
        return std::move(*Detector::make(names, {}, {.least = 1}));
    }();
    return made;
}

void check(bool good) {
    if (!good) std::abort();
}

void run(std::string_view text) {
    static const Masker masker{as_bytes("key"), "scope"};
    std::vector<Match> matches;
    detector().find(text, matches);
    std::size_t end = 0;
    for (const Match& match : matches) {
        check(match.begin >= end && match.end > match.begin && match.end <= text.size());
        check(!detector().name(match.kind).empty() && match.confidence > 0);
        end = match.end;
    }
    check(detector().contains(text) == !matches.empty());
    for (const With with : {With::Partial, With::Pseudonym, With::Hash, With::Redact, With::Null})
        check(masker.spans(text, matches, with, detector(), 100).size() <= 100);
    for (const KindInfo& info : builtin_kinds())
        check(masker.value(text, With::Pseudonym, builtin_kind(info.name).value_or(kNoKind), 64)
                  ->size() <= 64);
    std::string whole;
    StreamMasker stream{detector(), masker, With::Redact};
    for (std::size_t at = 0; at < text.size(); at += 100) stream.feed(text.substr(at, 100), whole);
    stream.finish(whole);
    if (matches.empty() && stream.masked() == 0) check(whole == text);
}

}  // namespace
}  // namespace chaperone::detect

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    chaperone::detect::run({reinterpret_cast<const char*>(data), size});
    return 0;
}
