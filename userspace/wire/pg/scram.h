// SPDX-License-Identifier: Apache-2.0
// The client of SCRAM-SHA-256 and SCRAM-SHA-256-PLUS (RFC 5802, RFC 7677, RFC 5929), and the older
// md5 answer. Pure: the nonce is a parameter. Nothing here keeps the password.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/base/secret.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace chaperone::wire::pg {

constexpr std::string_view kScram = "SCRAM-SHA-256";
constexpr std::string_view kScramPlus = "SCRAM-SHA-256-PLUS";

class ScramClient {
public:
    // How the channel is bound. Unused: we could, the server does not offer it.
    enum class Binding { None, Unused, ServerEndPoint };
    // The work asked of us is bounded: RFC 7677 has servers start at 4,096.
    static constexpr std::uint32_t kMaxIterations = 1'000'000;

    // `nonce`: printable, no comma, fresh. `end_point`: the tls-server-end-point hash, for
    // Binding::ServerEndPoint. PostgreSQL ignores the user name here, so it stays empty.
    ScramClient(std::string nonce, Binding binding, Bytes end_point = {});

    std::string first() const;
    // The answer to server-first; Malformed or Denied for one that breaks the rules. The password
    // is prepared as PostgreSQL does: SASLprep where it can be, else as it is.
    Result<std::string> final(std::string_view server_first, const Secret& password);
    // Checks server-final: Denied if the server does not know the password either.
    Result<> verify(std::string_view server_final) const;

private:
    std::string nonce_;
    std::string gs2_;      // "n,,", "y,,", "p=tls-server-end-point,,"
    std::string binding_;  // base64 of gs2 and the channel's data
    Buffer server_signature_;
};

// "md5" and hex(md5(hex(md5(password user)) salt)); Malformed unless the salt has four bytes.
Result<Secret> md5_password(const Secret& password, std::string_view user, Bytes salt);

// RFC 4013 as far as it matters for passwords: maps non-ASCII spaces and soft hyphens; a text that
// is not UTF-8 or has prohibited characters comes back unchanged, as PostgreSQL does. Unicode
// normalisation (NFKC) is not done: the text is taken to be normalised.
Secret saslprep(const Secret& password);

}  // namespace chaperone::wire::pg
