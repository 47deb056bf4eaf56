// SPDX-License-Identifier: Apache-2.0
// Errors as the API tells them: a word, an HTTP status, and what to do next.
#pragma once

#include "userspace/base/error.h"

#include <string>
#include <string_view>

namespace chaperone::control {

std::string_view code_name(Errc code) noexcept;   // "not_found"
Errc code_named(std::string_view name) noexcept;  // System for what is not known
int http_status(Errc code) noexcept;
std::string_view hint_for(Errc code) noexcept;  // may be empty

// {"error":{"code":…,"message":…,"hint":…}}
std::string error_json(const Error& error);

}  // namespace chaperone::control
