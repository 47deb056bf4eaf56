// SPDX-License-Identifier: Apache-2.0
// JSON from outside, read without leniency: one object, no duplicate members at any depth (RFC 7515
// section 4, RFC 7519 section 4: parsers that keep different ones disagree about who is speaking),
// valid UTF-8, depth at most 32. For .cpp files of this layer only.
#pragma once

#include "userspace/base/error.h"

#include <boost/json/object.hpp>
#include <boost/json/value.hpp>

#include <cstddef>
#include <optional>
#include <string_view>

namespace chaperone::identity {

// `what` names the document in errors, which hold nothing of its content.
Result<boost::json::object> parse_object(std::string_view text, std::size_t limit,
                                         std::string_view what);

// The text of a string member; nothing if it is absent or of another type.
std::optional<std::string_view> text_of(const boost::json::object& object,
                                        std::string_view name) noexcept;

}  // namespace chaperone::identity
