// SPDX-License-Identifier: Apache-2.0
// Certificates to trust, in the forms that runtimes read beside a file of PEM.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::authority {

// A Java key store (the format JKS) of all certificates in the PEM text, under the password
// "changeit", as a JDK's own cacerts. Those that are not certificates are passed over. Corrupt:
// there is none.
Result<std::string> java_store(std::string_view pem, Time now);

// The name under which OpenSSL looks in a folder for each certificate of the text, and its PEM:
// "3f9a0c11", to which ".0" (".1" …, where names are equal) is to be added.
Result<std::vector<std::pair<std::string, std::string>>> hashed_names(std::string_view pem);

}  // namespace chaperone::authority
