// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/credential.h"

#include <algorithm>

namespace chaperone::policy::bundle {

std::vector<std::string> Credential::secrets() const {
    std::vector<std::string> names;
    const auto add = [&](const std::string& name) {
        if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
    };
    for (const std::string* name : {&password_secret, &key_secret, &token_secret}) add(*name);
    if (header) add(header->value_secret);
    if (query) add(query->value_secret);
    if (oauth2) add(oauth2->client_secret);
    if (aws) add(aws->secret_access_key);
    if (aws) add(aws->session_token);
    return names;
}

}  // namespace chaperone::policy::bundle
