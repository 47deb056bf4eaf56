// SPDX-License-Identifier: Apache-2.0
#include "userspace/credential/secret_store.h"

#include "userspace/base/file.h"
#include "userspace/base/unique_fd.h"
#include "userspace/credential/sealed.h"

#include <fcntl.h>
#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

namespace chaperone::credential {
namespace {

constexpr std::size_t kMaxFile = SecretStore::kMaxSecret + 4096;
constexpr int kPrivate = 0600;
constexpr std::string_view kSuffix = ".sealed";

Result<> check_name(std::string_view name) {
    if (is_secret_name(name)) return {};
    return fail(Errc::Invalid, "a secret's name is of a-z 0-9 . _ - and at most 64 long");
}

// Reads into memory that is wiped; base's read_file() leaves copies behind.
Result<Secret> read_private(const std::filesystem::path& path, std::size_t limit,
                            mode_t forbidden) {
    const UniqueFd fd{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
    if (!fd && errno == ENOENT) return fail(Errc::NotFound, path.string());
    if (!fd) return system_error("open " + path.string(), errno);
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) return system_error("stat " + path.string(), errno);
    if ((status.st_mode & forbidden) != 0)
        return fail(Errc::Corrupt, path.string() + ": others can read it; chmod 600");
    std::string text(limit + 1, '\0');
    std::size_t size = 0;
    while (size != text.size()) {
        const ssize_t n = ::read(fd.get(), text.data() + size, text.size() - size);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            const int error = errno;
            OPENSSL_cleanse(text.data(), text.size());
            return system_error("read " + path.string(), error);
        }
        if (n == 0) break;
        size += static_cast<std::size_t>(n);
    }
    const Secret whole = Secret::take(text);
    if (size > limit) return fail(Errc::TooLarge, path.string());
    return Secret{std::string{whole.expose().substr(0, size)}};
}

Result<Secret> read_key(const std::filesystem::path& path) {
    auto key = read_private(path, kKeySize, 077);
    if (key && key->expose().size() != kKeySize)
        return fail(Errc::Corrupt, path.string() + ": not of 32 octets");
    return key;
}

// Makes the key unless another process just did: link() never replaces, so one of two wins, and
// both go on with what is there.
Result<Secret> read_or_make_key(const std::filesystem::path& path) {
    auto key = read_key(path);
    if (key || key.error().code != Errc::NotFound) return key;
    std::string octets(kKeySize, '\0');
    if (RAND_bytes(reinterpret_cast<unsigned char*>(octets.data()), kKeySize) != 1)
        return fail(Errc::System, "no random numbers");
    std::string own = path.string() + ".XXXXXX";
    const UniqueFd reserved{::mkostemp(own.data(), O_CLOEXEC)};  // a name that is ours alone
    if (!reserved) return system_error("create a file beside " + path.string(), errno);
    const auto put = write_file(own, octets, kPrivate);
    OPENSSL_cleanse(octets.data(), octets.size());
    const int linked = put ? ::link(own.c_str(), path.c_str()) : 0;
    const int error = errno;
    ::unlink(own.c_str());
    if (!put) return fail(put.error());
    if (linked != 0 && error != EEXIST) return system_error("make " + path.string(), error);
    return read_key(path);
}

Result<Secret> read_systemd(const std::filesystem::path& path) {
    auto secret = read_private(path, SecretStore::kMaxSecret, 0);
    if (!secret) return secret;
    // Files made with echo or an editor end with a newline that is no part of the secret.
    std::string_view value = secret->expose();
    if (value.ends_with('\n')) value.remove_suffix(1);
    if (value.empty()) return fail(Errc::Invalid, path.string() + " is empty");
    return Secret{std::string{value}};
}

Result<> add_names(const std::filesystem::path& folder, std::string_view suffix,
                   std::vector<std::string>& names) {
    std::error_code error;
    for (std::filesystem::directory_iterator at{folder, error}, end; !error && at != end;
         at.increment(error)) {
        std::string name = at->path().filename().string();
        if (!name.ends_with(suffix)) continue;
        name.resize(name.size() - suffix.size());
        if (is_secret_name(name)) names.push_back(std::move(name));
    }
    if (error && error != std::errc::no_such_file_or_directory)
        return system_error("list " + folder.string(), error.value());
    return {};
}

}  // namespace

bool is_secret_name(std::string_view name) noexcept {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    const auto allowed = [&](char c) { return letter(c) || c == '.' || c == '_' || c == '-'; };
    return !name.empty() && name.size() <= SecretStore::kMaxName && letter(name.front()) &&
           std::ranges::all_of(name, allowed);
}

SecretStore::SecretStore(std::filesystem::path folder,
                         std::optional<std::filesystem::path> credentials)
    : folder_(std::move(folder)), credentials_(std::move(credentials)) {}

SecretStore SecretStore::from_environment(std::filesystem::path folder) {
    const char* credentials = std::getenv("CREDENTIALS_DIRECTORY");
    if (credentials == nullptr || *credentials != '/') return SecretStore{std::move(folder)};
    return SecretStore{std::move(folder), std::filesystem::path{credentials}};
}

// The suffix tells secrets from the temporaries of write_file(), which have more after it.
std::filesystem::path SecretStore::file_of(std::string_view name) const {
    return folder_ / "secrets" / (std::string{name} + std::string{kSuffix});
}

Result<Secret> SecretStore::get(std::string_view name) const {
    if (auto good = check_name(name); !good) return fail(good.error());
    if (credentials_) {
        auto given = read_systemd(*credentials_ / name);
        if (given || given.error().code != Errc::NotFound) return given;
    }
    const auto file = read_file(file_of(name), kMaxFile);
    if (!file && file.error().code == Errc::NotFound)
        return fail(Errc::NotFound, "secret " + std::string{name});
    if (!file) return fail(file.error());
    const auto key = read_key(folder_ / "secrets.key");
    if (!key && key.error().code == Errc::NotFound)
        return fail(Errc::Corrupt, "the key of the secrets is gone: " + key.error().detail);
    if (!key) return fail(key.error());
    auto secret = unseal(key->expose(), name, *file);
    if (!secret)
        return fail(secret.error().code,
                    "secret " + std::string{name} + ": " + secret.error().detail);
    return secret;
}

Result<> SecretStore::set(std::string_view name, const Secret& value) const {
    if (auto good = check_name(name); !good) return good;
    if (value.empty()) return fail(Errc::Invalid, "a secret cannot be empty");
    if (value.expose().size() > kMaxSecret) return fail(Errc::TooLarge, "a secret");
    std::error_code error;
    const auto secrets = folder_ / "secrets";
    if (std::filesystem::create_directories(secrets, error))
        std::filesystem::permissions(secrets, std::filesystem::perms{0700}, error);
    if (error) return system_error("make " + secrets.string(), error.value());
    const auto key = read_or_make_key(folder_ / "secrets.key");
    if (!key) return fail(key.error());
    const auto sealed = seal(key->expose(), name, value.expose());
    if (!sealed) return fail(sealed.error());
    return write_file(file_of(name), *sealed, kPrivate);
}

Result<> SecretStore::remove(std::string_view name) const {
    if (auto good = check_name(name); !good) return good;
    if (::unlink(file_of(name).c_str()) == 0) return {};
    if (errno == ENOENT) return fail(Errc::NotFound, "secret " + std::string{name});
    return system_error("remove secret " + std::string{name}, errno);
}

Result<std::vector<std::string>> SecretStore::list() const {
    std::vector<std::string> names;
    if (auto added = add_names(folder_ / "secrets", kSuffix, names); !added)
        return fail(added.error());
    if (credentials_)
        if (auto added = add_names(*credentials_, "", names); !added) return fail(added.error());
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    return names;
}

}  // namespace chaperone::credential
