// SPDX-License-Identifier: Apache-2.0
// Signed notes (c2sp.org/signed-note) with Ed25519 keys. Immutable values; thread-safe.
#pragma once

#include "userspace/base/error.h"

#include <array>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace chaperone::record {

// Who may have signed: a name and a public key, written as a vkey "name+hash+base64".
class VerifierKey {
public:
    static Result<VerifierKey> parse(std::string_view vkey);
    VerifierKey(std::string name, const std::array<std::byte, 32>& key);

    const std::string& name() const noexcept { return name_; }
    std::array<std::byte, 4> id() const;
    std::string text() const;
    bool verifies(std::string_view text, std::string_view signature) const;
    bool operator==(const VerifierKey&) const = default;

private:
    std::string name_;
    std::array<std::byte, 32> key_{};
};

class SigningKey {
public:
    // A new key with a name of its own, "chaperone.dev/journal/" and 16 hex digits.
    static SigningKey generate();
    // Reads the private key at `path` and the name from the vkey line at `public_path`; makes both
    // where there is no private key yet (0600, 0644). Corrupt if they do not belong together.
    static Result<SigningKey> load_or_make(const std::filesystem::path& path,
                                           const std::filesystem::path& public_path);
    SigningKey(SigningKey&&) noexcept;
    SigningKey& operator=(SigningKey&&) noexcept;
    ~SigningKey();

    VerifierKey public_key() const;
    // text (which must end in a newline), an empty line, and the signature line.
    std::string sign(std::string_view text) const;

private:
    struct State;
    explicit SigningKey(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

// The signed text of `note`, final newline included, if one of its signatures is key's and right.
// Signatures by other keys are ignored, as the specification says. Malformed, or Denied if
// no signature of this key is there or it is wrong.
Result<std::string> open_note(std::string_view note, const VerifierKey& key);

}  // namespace chaperone::record
