// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/masking/text_stream.h"

namespace chaperone::session {

using detect::With;

TextMasks::TextMasks(const policy::MaskSet& masks, const Source& source,
                     std::shared_ptr<const detect::Masker> masker)
    : masker_(std::move(masker)), json_(masks.json) {
    for (const policy::DetectMask& mask : masks.detectors) {
        auto detector = source ? source(mask) : nullptr;
        if (!detector) {
            blind_ = true;
            continue;
        }
        scans_.push_back({std::move(detector), mask.with});
    }
}

std::optional<std::string> TextMasks::replace(std::string_view text, std::string_view hint,
                                              std::uint64_t& count) const {
    if (blind_) {
        ++count;
        return masker_->value(text, With::Redact).value_or("");
    }
    std::optional<std::string> out;
    thread_local std::vector<detect::Match> matches;
    for (const Scan& scan : scans_) {
        const std::string_view now = out ? std::string_view{*out} : text;
        scan.detector->find(now, matches, hint);
        if (matches.empty()) continue;
        count += matches.size();
        out = masker_->spans(now, matches, scan.with, *scan.detector);
    }
    return out;
}

std::optional<With> TextMasks::found(std::string_view text, std::string_view hint) const {
    if (blind_) return With::Redact;
    std::optional<With> strongest;
    for (const Scan& scan : scans_)
        if (scan.detector->contains(text, hint))
            strongest = strongest ? detect::stronger(*strongest, scan.with) : scan.with;
    return strongest;
}

TextStream::TextStream(const TextMasks& masks, Pace pace) : masks_(masks) {
    for (const TextMasks::Scan& scan : masks.scans())
        stages_.emplace_back(*scan.detector, masks.masker(), scan.with, pace);
}

// Each stage sees what the one before it gave out, as the detectors see a whole text.
void TextStream::pass(std::size_t from, std::string text, bool last, std::string& out) {
    for (std::size_t i = from; i != stages_.size(); ++i) {
        std::string next;
        stages_[i].feed(text, next);
        if (last) stages_[i].finish(next);
        text = std::move(next);
    }
    out += text;
}

void TextStream::feed(std::string_view piece, std::string& out) {
    if (masks_.blind()) {  // everything could be what is looked for
        if (any_ || piece.empty()) return;
        any_ = true;
        ++blindly_;
        out += masks_.masker().value(piece, With::Redact).value_or("");
        return;
    }
    pass(0, std::string{piece}, false, out);
}

void TextStream::finish(std::string& out) {
    any_ = false;
    if (!masks_.blind()) pass(0, {}, true, out);
}

std::uint64_t TextStream::masked() const noexcept {
    std::uint64_t sum = blindly_;
    for (const auto& stage : stages_) sum += stage.masked();
    return sum;
}

}  // namespace chaperone::session
