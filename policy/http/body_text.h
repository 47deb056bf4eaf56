// SPDX-License-Identifier: Apache-2.0
// Whether a request's body says the same to its server as it does here. Pure.
#pragma once

#include "policy/http/facts.h"

#include <string_view>

namespace chaperone::policy::http {

// Why its text cannot be told; empty: it can. A server that reads it by the charset or the coding
// that its fields name (WHATWG's and iconv's readers of UTF-7 among them) has other text before it
// than the bytes say as UTF-8.
std::string_view body_text_fault(const Facts& facts) noexcept;

}  // namespace chaperone::policy::http
