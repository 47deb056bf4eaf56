// SPDX-License-Identifier: Apache-2.0
// Takes secrets of ours out of what a server sends back (an echo service, an error page): each
// octet of one becomes an asterisk, wherever the text is cut. No more is held back than may be the
// beginning of a secret, and as much goes on as came.
#pragma once

#include "userspace/session/http/body_filter.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session {

// Null: there are none.
std::unique_ptr<BodyFilter> make_blotter(std::vector<std::string> secrets);
// The same within content codings ("gzip, br"), which are put on again; its length changes.
// Unsupported: one that is not spoken here.
Result<std::unique_ptr<BodyFilter>> make_blotter(std::vector<std::string> secrets,
                                                 std::string_view codings);

// In a text that is there whole. True: something was.
bool blot(std::span<char> text, const std::vector<std::string>& secrets);

// The secret, and what it looks like where programs write it into URLs, JSON and HTML.
std::vector<std::string> spellings(std::string_view secret);

}  // namespace chaperone::session
