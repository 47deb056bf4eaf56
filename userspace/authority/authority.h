// SPDX-License-Identifier: Apache-2.0
// Our certificate authority: made at first start, kept in one folder, mints certificates on the fly
// for the names and addresses that agents dial. Thread-safe.
//
// The folder (DIR/var/lib/chaperone/ca): ca.key (0600; the key and, for a CA of our own, its
// certificate, so that both change in one rename), ca.pem (0644; the issuing certificate and, for
// an operator's intermediate, the certificates above it), previous.pem (after a rotation),
// ca-bundle.pem (0644; what agents are told to trust: current and previous). An operator who wants
// our CA below another puts ca.key (the key alone) and ca.pem there before the first start; where
// the key is in a token, there is ca.pem alone.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/base/guarded.h"

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

struct x509_st;        // OpenSSL's X509
struct evp_pkey_st;    // EVP_PKEY
struct stack_st_X509;  // STACK_OF(X509)

namespace chaperone::authority {

// A certificate with its key, ready for SSL_use_cert_and_key(ssl, certificate(), key(), chain(),
// 1). The pointers live as long as the Leaf; OpenSSL takes references of its own.
class Leaf {
public:
    struct Parts;
    explicit Leaf(std::unique_ptr<Parts> parts) noexcept;
    ~Leaf();

    x509_st* certificate() const noexcept;
    evp_pkey_st* key() const noexcept;
    stack_st_X509* chain() const noexcept;  // what is sent after it; without a self-signed root
    Time not_before() const noexcept;
    Time not_after() const noexcept;
    std::string chain_pem() const;  // the certificate, then chain()

private:
    std::unique_ptr<Parts> parts_;
};

class TokenKey;

class Authority {
public:
    static constexpr std::chrono::hours kCaValidity{24 * 3652};  // ten years
    static constexpr std::chrono::hours kLeafValidity{48};
    static constexpr std::chrono::minutes kBackdate{5};  // for clients whose clock is behind
    static constexpr std::size_t kMaxCached = 4096;      // leaves; about 3 KiB each
    static constexpr std::size_t kMaxNames = 16;         // in one leaf
    static constexpr std::size_t kMaxPrevious = 4;       // CAs kept in the bundle

    // Opens the CA in `folder`, or makes it (and the folder). Corrupt: files that are there cannot
    // be used (no CA, key of another certificate, key readable by others). Expired: see rotate().
    // `token`: the CA's key, in place of ca.key; nothing is made then.
    static Result<std::unique_ptr<Authority>> load_or_create(
        const std::filesystem::path& folder, Time now, std::shared_ptr<TokenKey> token = nullptr);
    ~Authority();

    std::string certificate_pem() const;  // ca.pem
    std::string bundle_pem() const;       // ca-bundle.pem
    std::string fingerprint() const;      // SHA-256 of the CA certificate, in hex
    std::string subject() const;          // "CN=Chaperone CA 3f9a…"
    Time not_before() const;              // of the CA, as not_after()
    Time not_after() const;

    // Makes a new CA; the old certificate stays in ca-bundle.pem so that what it signed is trusted
    // until it ends. The new one is signed by the old one, too, and that is sent along: a process
    // that read its trust before goes on until the next rotation. Unsupported for a CA that an
    // operator provided.
    Result<> rotate(Time now);
    // Reads the folder again, after another process has rotated. On an error all stays as it was.
    Result<> reload(Time now);

    // A certificate for these DNS names and IP addresses (text form), from the cache where one with
    // more than a day left is there. Invalid: no name, over kMaxNames, a name that is neither an
    // address nor a host name of RFC 1123 (wildcards, NUL, over 253 octets; underscores pass).
    Result<std::shared_ptr<const Leaf>> leaf(std::span<const std::string> names, Time now);
    // Signing by a token blocks, without keeping others from certificates that are there.
    Result<std::shared_ptr<const Leaf>> leaf(std::string_view name, Time now);

    // leaf() may block where it is not in the cache: cached() tells, and is null then.
    bool blocks() const;
    std::shared_ptr<const Leaf> cached(std::span<const std::string> names, Time now);

    // That the key can be used now; blocks as leaf() does. What it is, for people: "its key is in
    // …", empty for one of the folder.
    Result<> prove() const;
    std::string key_place() const;
    bool key_extractable() const;  // from the token

private:
    struct State;
    Authority(std::filesystem::path folder, std::unique_ptr<State> state);

    std::filesystem::path folder_;
    Guarded<std::unique_ptr<State>> state_;
};

}  // namespace chaperone::authority
