// SPDX-License-Identifier: Apache-2.0
// Takes secrets of ours out of what a server sends back (an echo service, an error page): each
// octet of one becomes an asterisk, wherever the text is cut. No more is held back than may be the
// beginning of a secret.
#pragma once

#include "userspace/session/http/body_filter.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session {

std::unique_ptr<BodyFilter> make_blotter(std::vector<std::string> secrets);

// In a text that is there whole. True: something was.
bool blot(std::string& text, const std::vector<std::string>& secrets);

}  // namespace chaperone::session
