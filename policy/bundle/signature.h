// SPDX-License-Identifier: Apache-2.0
// Signatures of bundles: what `ssh-keygen -Y sign -n chaperone-bundle` makes of a bundle's digest
// and a line end, kept as bundle.sig beside the documents. Formats: OpenSSH's PROTOCOL.sshsig, and
// the allowed signers file of ssh-keygen(1). Ed25519 keys only.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/clock.h"
#include "userspace/base/error.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::bundle {

constexpr std::string_view kSignatureFile = "bundle.sig";
constexpr std::string_view kSignatureNamespace = "chaperone-bundle";

// Who may sign. A line of the file that cannot be understood makes the whole of it Invalid: an
// option that is passed over could be a limit.
class Signers {
public:
    // "principal[,principal] [options] ssh-ed25519 BASE64 [comment]" a line; '#' begins a comment.
    // Options: namespaces="…", valid-after="…", valid-before="…".
    static Result<Signers> parse(std::string_view text);

    // Who signed this digest, of those who may: the first principal of the line.
    // Denied: none of the signatures is good. Malformed: it is no SSH signature.
    Result<std::string> verify(std::string_view signature, std::string_view digest, Time now) const;

private:
    struct Signer {
        std::string principal;
        Buffer key;                           // 32 bytes
        std::vector<std::string> namespaces;  // empty: any
        std::optional<Time> after, before;
    };
    std::vector<Signer> signers_;
};

}  // namespace chaperone::policy::bundle
