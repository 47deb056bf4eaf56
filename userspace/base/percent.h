// SPDX-License-Identifier: Apache-2.0
// Percent-encoding (RFC 3986, 2.1) as OAuth, AWS and query parameters want it: everything but the
// unreserved characters, digits in upper case.
#pragma once

#include <string>
#include <string_view>

namespace chaperone {

bool is_unreserved(char c) noexcept;
// `kept`: characters that stand for themselves, too.
std::string percent_encoded(std::string_view text, std::string_view kept = {});
// A percent sign that begins no escape stands for itself.
std::string percent_decoded(std::string_view text);

}  // namespace chaperone
