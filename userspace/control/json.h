// SPDX-License-Identifier: Apache-2.0
// Messages of the API as proto3 JSON (camelCase, every primitive field present), and back.
#pragma once

#include "userspace/base/error.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace google::protobuf {
class Message;
}

namespace chaperone::control {

std::string to_json(const google::protobuf::Message& message);

// Unknown members are Malformed in what we are asked (a misspelt filter must not pass as none), and
// ignored in answers of a newer daemon.
enum class Unknown { Malformed, Ignored };
Result<> from_json(std::string_view json, google::protobuf::Message& into,
                   Unknown unknown = Unknown::Malformed);

// One field by its JSON name, from text: strings, booleans, numbers, and times (RFC 3339).
Result<> set_field(google::protobuf::Message& message, std::string_view name,
                   std::string_view text);

// The other way: the fields that are set, as text, for a query string.
std::vector<std::pair<std::string, std::string>> set_fields(
    const google::protobuf::Message& message);

}  // namespace chaperone::control
