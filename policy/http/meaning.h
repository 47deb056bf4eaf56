// SPDX-License-Identifier: Apache-2.0
// Which fields of a request change what it asks for: they are part of what a person grants. All
// are, but those known to change from one attempt to the next, or to say how the answer may look.
#pragma once

#include "userspace/base/http.h"

#include <map>
#include <string>
#include <string_view>

namespace chaperone::policy::http {

// Values by name in lower case; those of one name in the order in which they came. Who asks
// (Authorization, Cookie) is not among them: tokens and signatures are made anew each time.
std::multimap<std::string, std::string> meaningful(const chaperone::http::Fields& fields);

// Whether the value of such a field may be a secret, which approvers are not to see.
bool may_be_secret(std::string_view lower_name) noexcept;

}  // namespace chaperone::policy::http
