// SPDX-License-Identifier: Apache-2.0
// The credentials that Chaperone uses upstream, so that the agent never holds them. One file a
// secret in FOLDER/secrets/ (NAME.sealed), encrypted with AES-256-GCM under FOLDER/secrets.key
// (0600, made at first use); name and content are bound together, so files cannot be exchanged for
// one another.
//
// What this protects: backups and copies of secrets/ without the key file, and a reader of single
// files. It does not protect from root, or from a copy of the whole folder. Better where systemd
// is: LoadCredentialEncrypted= (systemd-creds), bound to the TPM. A credential that systemd hands
// over as $CREDENTIALS_DIRECTORY/NAME is found here under its name and wins over a stored one.
//
// Keeps nothing in memory. Thread-safe, and safe beside other processes.
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/secret.h"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::credential {

// [a-z0-9][a-z0-9._-]*, at most 64.
bool is_secret_name(std::string_view name) noexcept;

class SecretStore {
public:
    static constexpr std::size_t kMaxSecret = 64 * 1024;  // a private key with its chain
    static constexpr std::size_t kMaxName = 64;

    // `folder` is DIR/var/lib/chaperone; nothing is opened or made yet. `credentials` is what
    // $CREDENTIALS_DIRECTORY says, see from_environment().
    explicit SecretStore(std::filesystem::path folder,
                         std::optional<std::filesystem::path> credentials = {});
    static SecretStore from_environment(std::filesystem::path folder);

    // NotFound: no such secret. Corrupt: altered, moved from another name, or not made with this
    // key. Invalid: no name.
    Result<Secret> get(std::string_view name) const;
    // Creates or replaces. Invalid: name, empty value. TooLarge: over kMaxSecret.
    Result<> set(std::string_view name, const Secret& value) const;
    Result<> remove(std::string_view name) const;
    // Names of the stored secrets and of systemd's, sorted.
    Result<std::vector<std::string>> list() const;

private:
    std::filesystem::path file_of(std::string_view name) const;

    std::filesystem::path folder_;
    std::optional<std::filesystem::path> credentials_;
};

}  // namespace chaperone::credential
