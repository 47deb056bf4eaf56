// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/ca_folder.h"

#include "userspace/authority/authority.h"
#include "userspace/base/file.h"

#include <openssl/crypto.h>
#include <sys/stat.h>

#include <cerrno>

namespace chaperone::authority {
namespace {

constexpr std::size_t kMaxPem = 256 * 1024;

std::unexpected<Error> in_file(const std::filesystem::path& path, const Error& error) {
    return fail(error.code, path.string() + ": " + error.detail);
}

Result<> write_if_other(const std::filesystem::path& path, std::string_view content) {
    const auto there = read_file(path, kMaxPem);
    if (there && *there == content) return {};
    return write_file(path, content, 0644);
}

Result<std::string> read_key_file(const std::filesystem::path& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        if (errno == ENOENT) return fail(Errc::NotFound, path.string());
        return system_error("stat " + path.string(), errno);
    }
    if ((status.st_mode & 077) != 0)
        return fail(Errc::Corrupt, path.string() +
                                       ": others can read the key; chmod 600, or make "
                                       "a new CA if it may have been read");
    return read_file(path, kMaxPem);
}

Result<std::vector<Certificate>> read_previous(const std::filesystem::path& path, Time now) {
    const auto text = read_file(path, kMaxPem);
    if (!text && text.error().code == Errc::NotFound) return std::vector<Certificate>{};
    if (!text) return fail(text.error());
    auto found = certificates_in(*text);
    if (!found) return in_file(path, found.error());
    std::erase_if(*found, [&](const Certificate& old) { return not_after(*old) <= now; });
    return found;
}

}  // namespace

std::string certificate_text(const Ca& ca) {
    std::string pem = to_pem(*ca.issuer.certificate);
    for (const Certificate& next : ca.above) pem += to_pem(*next);
    return pem;
}

std::string previous_text(const Ca& ca) {
    std::string pem;
    for (const Certificate& old : ca.previous) pem += to_pem(*old);
    return pem;
}

Result<> publish(const std::filesystem::path& folder, const Ca& ca) {
    const std::string previous = previous_text(ca);
    if (auto put = write_if_other(folder / "ca-bundle.pem", certificate_text(ca) + previous); !put)
        return put;
    if (!ca.ours) return {};
    return write_if_other(folder / "ca.pem", certificate_text(ca));
}

Result<Ca> make(Time now) {
    Ca ca{.ours = true};
    auto key = make_key();
    if (!key) return fail(key.error());
    auto certificate = make_ca(**key, now - Authority::kBackdate, now + Authority::kCaValidity);
    if (!certificate) return fail(certificate.error());
    ca.issuer = {std::move(*certificate), std::move(*key)};
    return ca;
}

Result<> write_key_file(const std::filesystem::path& folder, const Ca& ca) {
    auto key = to_pem(*ca.issuer.key);
    if (!key) return fail(key.error());
    *key += to_pem(*ca.issuer.certificate);
    if (ca.cross) *key += to_pem(*ca.cross);
    auto put = write_file(folder / "ca.key", *key, 0600);
    OPENSSL_cleanse(key->data(), key->size());
    return put;
}

namespace {

// The operator's certificate, those above it behind.
Result<std::vector<Certificate>> read_certificates(const std::filesystem::path& path) {
    const auto pem = read_file(path, kMaxPem);
    if (!pem)
        return fail(Errc::Corrupt, "the CA's key needs its certificate: " + pem.error().detail +
                                       "; put it there, those above it behind");
    auto chain = certificates_in(*pem);
    if (!chain) return in_file(path, chain.error());
    if (chain->empty()) return fail(Errc::Corrupt, path.string() + " is empty");
    return chain;
}

Result<Ca> load_token(const std::filesystem::path& folder, std::shared_ptr<TokenKey> token) {
    std::error_code ignored;
    if (std::filesystem::exists(folder / "ca.key", ignored))
        return fail(Errc::Corrupt, (folder / "ca.key").string() +
                                       " holds a key although the configuration says that the CA's "
                                       "is in a token: take the file away, with its ca.pem");
    auto chain = read_certificates(folder / "ca.pem");
    if (!chain) return fail(chain.error());
    Ca ca;
    ca.issuer = {std::move(chain->front()), nullptr, std::move(token)};
    chain->erase(chain->begin());
    ca.above = std::move(*chain);
    return ca;
}

Result<Ca> load_key(const std::filesystem::path& folder, Time now) {
    const auto path = folder / "ca.key";
    auto text = read_key_file(path);
    if (!text) return fail(text.error());
    Ca ca;
    auto key = key_in(*text);
    auto chain = certificates_in(*text);
    OPENSSL_cleanse(text->data(), text->size());
    if (!key) return in_file(path, key.error());
    if (!chain) return in_file(path, chain.error());
    ca.ours = !chain->empty();
    if (!ca.ours) {
        chain = read_certificates(folder / "ca.pem");
        if (!chain) return fail(chain.error());
    }
    ca.issuer = {std::move(chain->front()), std::move(*key), nullptr};
    chain->erase(chain->begin());
    if (!ca.ours)
        ca.above = std::move(*chain);
    else if (!chain->empty() && not_after(*chain->front()) > now)
        ca.cross = std::move(chain->front());
    return ca;
}

}  // namespace

Result<Ca> load(const std::filesystem::path& folder, Time now, std::shared_ptr<TokenKey> token) {
    auto read = token ? load_token(folder, std::move(token)) : load_key(folder, now);
    if (!read) return read;
    Ca ca = std::move(*read);
    if (auto good = check_issuer(ca.issuer); !good) return in_file(folder, good.error());
    auto previous = read_previous(folder / "previous.pem", now);
    if (!previous) return fail(previous.error());
    // A rotation that was interrupted has put down the CA that is still the current one.
    const std::string current = fingerprint_of(*ca.issuer.certificate);
    std::erase_if(*previous,
                  [&](const Certificate& old) { return fingerprint_of(*old) == current; });
    ca.previous = std::move(*previous);
    return ca;
}

Result<Ca> load_or_make(const std::filesystem::path& folder, Time now,
                        std::shared_ptr<TokenKey> token) {
    const bool own = token == nullptr;
    auto ca = load(folder, now, std::move(token));
    if (ca || !own || ca.error().code != Errc::NotFound) return ca;
    std::error_code ignored;
    if (std::filesystem::exists(folder / "ca.pem", ignored))
        return fail(Errc::Corrupt, (folder / "ca.pem").string() + " is there without ca.key");
    ca = make(now);
    if (!ca) return ca;
    if (auto put = write_key_file(folder, *ca); !put) return fail(put.error());
    return ca;
}

}  // namespace chaperone::authority
