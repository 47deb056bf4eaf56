// SPDX-License-Identifier: Apache-2.0
// Where in the files of a bundle something was written. Small and copied freely; means something
// only together with the Bundle (or Loaded) that it came from.
#pragma once

#include <cstdint>

namespace chaperone::policy::bundle {

enum class Style : std::uint8_t { None, Plain, SingleQuoted, DoubleQuoted, Literal, Folded };

struct Mark {
    std::uint32_t file = 0;    // index of the file in the bundle's sorted list
    std::uint32_t line = 0;    // from 1; 0: the file as a whole
    std::uint32_t column = 0;  // from 1, in code points
    std::uint32_t begin = 0;   // bytes of the file, [begin, end)
    std::uint32_t end = 0;
    Style style = Style::None;  // of a scalar
};

}  // namespace chaperone::policy::bundle
