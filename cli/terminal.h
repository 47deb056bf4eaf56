// SPDX-License-Identifier: Apache-2.0
// Asks for a secret without showing it.
#pragma once

#include "cli/verb.h"
#include "userspace/base/error.h"
#include "userspace/base/secret.h"

namespace chaperone::cli {

// From the terminal with echo off, typed twice, where standard input is one; else all of standard
// input without its last newline. TooLarge over 64 KiB.
Result<Secret> read_secret(Context& context, std::string_view name);

}  // namespace chaperone::cli
