// SPDX-License-Identifier: Apache-2.0
#include "policy/cel/number.h"

#include <cmath>
#include <cstdlib>
#include <string>

namespace chaperone::cel {

std::from_chars_result read_double(std::string_view text, double& value) {
    auto got = std::from_chars(text.data(), text.data() + text.size(), value);
    if (got.ec != std::errc::result_out_of_range) return got;
    // from_chars does not say on which side; the characters it took are plain digits.
    const double nearest = std::strtod(std::string{text.data(), got.ptr}.c_str(), nullptr);
    if (std::fabs(nearest) >= 1) return got;
    value = nearest;
    got.ec = std::errc{};
    return got;
}

}  // namespace chaperone::cel
