// SPDX-License-Identifier: Apache-2.0
// The detectors of a decision over text that arrives in pieces or as a whole. What a value may be
// replaced by is the Masker's business.
#pragma once

#include "policy/detect/detector.h"
#include "policy/detect/mask.h"
#include "policy/detect/stream_masker.h"
#include "policy/mask.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session {

// What masks of one direction of one message are made with; shared by all that read it.
class TextMasks {
public:
    // Finds the detector for a mask; null: it cannot be had, and every text is masked whole.
    using Source =
        std::function<std::shared_ptr<const detect::Detector>(const policy::DetectMask& mask)>;

    TextMasks(const policy::MaskSet& masks, const Source& source,
              std::shared_ptr<const detect::Masker> masker);

    struct Scan {
        std::shared_ptr<const detect::Detector> detector;
        detect::With with;
    };
    const std::vector<Scan>& scans() const noexcept { return scans_; }
    bool blind() const noexcept { return blind_; }  // a detector could not be had
    bool empty() const noexcept { return scans_.empty() && !blind_; }
    const detect::Masker& masker() const noexcept { return *masker_; }
    const std::vector<policy::JsonMask>& json() const noexcept { return json_; }

    // `text` with what was found replaced; nullopt: nothing was found. `hint`: its name. `count`
    // grows by the values replaced.
    std::optional<std::string> replace(std::string_view text, std::string_view hint,
                                       std::uint64_t& count) const;
    // The strongest of what was found in it.
    std::optional<detect::With> found(std::string_view text, std::string_view hint) const;

private:
    std::vector<Scan> scans_;
    std::shared_ptr<const detect::Masker> masker_;
    std::vector<policy::JsonMask> json_;
    bool blind_ = false;
};

// One text, in pieces; bounded memory. The masks outlive it.
class TextStream {
public:
    using Pace = detect::StreamMasker::Pace;

    explicit TextStream(const TextMasks& masks, Pace pace = Pace::Bulk);

    void feed(std::string_view piece, std::string& out);
    // The end of the text, or a border that no value crosses: begins anew.
    void finish(std::string& out);
    std::uint64_t masked() const noexcept;

private:
    void pass(std::size_t from, std::string text, bool last, std::string& out);

    const TextMasks& masks_;
    std::vector<detect::StreamMasker> stages_;
    bool any_ = false;  // of this text has been seen
    std::uint64_t blindly_ = 0;
};

}  // namespace chaperone::session
