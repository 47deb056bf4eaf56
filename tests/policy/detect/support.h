// SPDX-License-Identifier: Apache-2.0
// What the tests of the detectors share.
#pragma once

#include "policy/detect/detector.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace chaperone::detect {

inline std::vector<std::string> all_kinds() {
    std::vector<std::string> names;
    for (const KindInfo& info : builtin_kinds()) names.emplace_back(info.name);
    return names;
}

inline Detector detector_of(std::vector<std::string> kinds,
                            std::vector<CustomRecognizer> custom = {}, Options options = {}) {
    auto made = Detector::make(kinds, custom, options);
    EXPECT_TRUE(made) << made.error().message();
    return std::move(*made);
}

// "KIND:text KIND:text" of all that is found.
inline std::string found_in(const Detector& detector, std::string_view text,
                            std::string_view hint = {}) {
    std::vector<Match> matches;
    detector.find(text, matches, hint);
    std::string all;
    for (const Match& match : matches) {
        if (!all.empty()) all += ' ';
        all += std::string{detector.name(match.kind)} + ":" +
               std::string{text.substr(match.begin, match.end - match.begin)};
    }
    return all;
}

// `n` characters of a token, always the same: letters and digits, no two alike in a row.
inline std::string token_body(std::size_t n,
                              std::string_view alphabet = "a1B2c3D4e5F6g7H8i9J0kLmNoPqRsTuVwXyZ") {
    std::string text;
    for (std::size_t i = 0; i != n; ++i) text += alphabet[i * 7 % alphabet.size()];
    return text;
}

}  // namespace chaperone::detect
