// SPDX-License-Identifier: Apache-2.0
// layer: session
// Any body of any form, cut anywhere: no crash, and the pieces change nothing of what comes out.
#include "userspace/session/masking/body_masker.h"

#include <array>
#include <cstdint>
#include <cstdlib>
#include <optional>
#include <string>

namespace chaperone::session {
namespace {

constexpr std::array<std::string_view, 5> kTypes{
    "application/json", "application/x-www-form-urlencoded", "text/event-stream", "text/plain",
    "application/octet-stream"};

const TextMasks& masks(bool paths) {
    static const policy::MaskSet kDetect{
        .detectors = {{{"EMAIL_ADDRESS", "CREDIT_CARD"}, detect::With::Redact, "r"}}};
    static const policy::MaskSet kPaths = [] {
        policy::MaskSet set = kDetect;
        set.json.push_back({*policy::JsonPath::parse("$..a"), detect::With::Pseudonym, "r"});
        return set;
    }();
    static const auto kSource = [](const policy::DetectMask& mask) {
        return std::make_shared<const detect::Detector>(*detect::Detector::make(mask.kinds));
    };
    static const auto kMasker = std::make_shared<const detect::Masker>(as_bytes("key"), "scope");
    static const TextMasks kBoth[]{{kDetect, kSource, kMasker}, {kPaths, kSource, kMasker}};
    return kBoth[paths ? 1 : 0];
}

// nullopt: refused, at some point.
std::optional<std::string> play(std::string_view type, bool paths, Bytes body, std::size_t piece) {
    auto masker = BodyMasker::make(type, "", masks(paths));
    if (!masker) return std::nullopt;
    Buffer out;
    for (; !body.empty(); body = body.subspan(std::min(piece, body.size())))
        if (!(*masker)->feed(body.first(std::min(piece, body.size())), out)) return std::nullopt;
    if (!(*masker)->finish(out)) return std::nullopt;
    return std::string{as_text(out)};
}

}  // namespace
}  // namespace chaperone::session

// The first byte chooses the type, and whether there are paths.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::session;
    if (size == 0) return 0;
    const auto body = std::as_bytes(std::span{data + 1, size - 1});
    const std::string_view type = kTypes[data[0] % kTypes.size()];
    const bool paths = data[0] >= 128;
    const auto whole = play(type, paths, body, size);
    // Of text without structure only the end is held back: where it is cut may change what a
    // detector sees around a border, never whether it crashes.
    const bool structured = type == kTypes[0] || type == kTypes[1] || type == kTypes[2];
    for (const std::size_t piece : {1, 3})
        if (const auto cut = play(type, paths, body, piece); structured && cut != whole)
            std::abort();
    return 0;
}
