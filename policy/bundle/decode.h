// SPDX-License-Identifier: Apache-2.0
// One YAML document to one of the documents of a bundle, by its kind.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/bundle/reader.h"
#include "policy/yaml/node.h"

#include <map>
#include <string>

namespace chaperone::policy::bundle {

constexpr std::string_view kApiVersion = "chaperone.dev/v1";

// Where the name of each document stands: "Resource/orders" -> mark.
using Names = std::map<std::string, Mark, std::less<>>;

// Adds what the node says to `to`; what is wrong goes to the context's findings.
void decode_document(const yaml::Node& node, DecodeContext& context, Documents& to, Names& names);

}  // namespace chaperone::policy::bundle
