// SPDX-License-Identifier: Apache-2.0
// The CA as it lies in its folder; authority.h says which file is what. For .cpp files of this
// layer only.
#pragma once

#include "userspace/authority/certificate.h"

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace chaperone::authority {

struct Ca {
    Issuer issuer{};
    std::vector<Certificate> above{};  // an operator's chain
    // Of ours after a rotation: its certificate as the one before signed it, which is sent so that
    // who trusts only that one trusts what this one signs. Not trusted by itself. Null: none.
    Certificate cross{};
    std::vector<Certificate> previous{};  // newest first
    bool ours = false;
};

std::string certificate_text(const Ca& ca);  // ca.pem
std::string previous_text(const Ca& ca);     // previous.pem

Result<Ca> make(Time now);
// NotFound: no ca.key. With a token, its key is meant, and ca.key must not be there.
Result<Ca> load(const std::filesystem::path& folder, Time now,
                std::shared_ptr<TokenKey> token = nullptr);
Result<Ca> load_or_make(const std::filesystem::path& folder, Time now,
                        std::shared_ptr<TokenKey> token = nullptr);
// One rename makes key and certificate current.
Result<> write_key_file(const std::filesystem::path& folder, const Ca& ca);
// The files that others read, brought in line with the key file.
Result<> publish(const std::filesystem::path& folder, const Ca& ca);

}  // namespace chaperone::authority
