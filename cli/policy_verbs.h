// SPDX-License-Identifier: Apache-2.0
// What the files of policy verbs share.
#pragma once

#include "cli/verb.h"
#include "policy/bundle/bundle.h"

#include <filesystem>
#include <memory>
#include <string>

namespace chaperone::cli {

// The instance's own bundle.
std::filesystem::path installed(const Context& context);

// The bundle there, or the installed one where the directory is empty. Null: what is wrong with it
// has been printed.
std::shared_ptr<const policy::bundle::Bundle> load_bundle(Context& context,
                                                          const std::string& directory);

}  // namespace chaperone::cli
