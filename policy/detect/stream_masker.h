// SPDX-License-Identifier: Apache-2.0
// Masks text that arrives in pieces: holds back a bounded tail, so that a value split over pieces
// is seen whole. One stream, one thread. The Detector and the Masker outlive it.
#pragma once

#include "policy/detect/detector.h"
#include "policy/detect/mask.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::detect {

class StreamMasker {
public:
    static constexpr std::size_t kTail = 256;  // held back; longer than all values but keys
    static constexpr std::size_t kMaxHeld =
        16384;  // a private key block; beyond it is masked blind

    // When text that may no longer become a value goes on.
    enum class Pace : std::uint8_t {
        Bulk,    // as it is cheapest: up to 2 * kTail stay back
        Prompt,  // at once, word by word, for who watches it being written; with recognisers of the
                 // bundle, whose values may look like anything, as in bulk
    };

    StreamMasker(const Detector& detector, const Masker& masker, With with, Pace pace = Pace::Bulk)
        : detector_(detector),
          masker_(masker),
          with_(with),
          prompt_(pace == Pace::Prompt && detector.only_built_in()) {}

    // Appends to `out` what may be passed on of all that was fed so far.
    void feed(std::string_view piece, std::string& out);
    // The end of the stream, or a border that no value crosses (a server-sent event): appends the
    // rest and begins anew.
    void finish(std::string& out);

    // Matches masked so far, for the record.
    std::size_t masked() const noexcept { return masked_; }

private:
    // `tail`: bytes at the end that may become a value.
    void release(std::size_t tail, bool last, std::string& out);
    void swallow();

    const Detector& detector_;
    const Masker& masker_;
    With with_;
    bool prompt_;
    std::string held_;            // seen_ bytes that went out already, then what is held back
    std::size_t seen_ = 0;        // kept as context for what follows
    bool swallowing_ = false;     // inside a value that was too long to hold
    bool swallow_block_ = false;  // and it is a key block, which ends with its END line
    std::size_t masked_ = 0;
    std::vector<Match> matches_;
};

}  // namespace chaperone::detect
