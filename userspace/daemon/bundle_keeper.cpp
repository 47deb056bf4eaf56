// SPDX-License-Identifier: Apache-2.0
#include "userspace/daemon/bundle_keeper.h"

#include "policy/bundle/provenance.h"
#include "userspace/base/file.h"
#include "userspace/daemon/config.h"
#include "userspace/daemon/paths.h"

#include <fcntl.h>
#include <stdio.h>

#include <algorithm>
#include <cerrno>

namespace chaperone::daemon {
namespace fs = std::filesystem;
namespace {

// A path below the bundle's directory that names a file of it and nothing else.
bool is_inside(const fs::path& path) {
    if (path.empty() || path.is_absolute()) return false;
    for (const auto& part : path) {
        const std::string text = part.string();
        if (text.empty() || text.starts_with('.') || text.find('\0') != std::string::npos)
            return false;
    }
    return true;
}

Result<> write_all(const fs::path& directory,
                   const std::vector<policy::bundle::SourceFile>& files) {
    std::error_code error;
    fs::remove_all(directory, error);
    if (error)  // folders that root made inside an earlier bundle
        return fail(Errc::System, directory.string() + " is in the way and cannot be removed (" +
                                      error.message() + "): remove it");
    if (!fs::create_directories(directory, error))
        return fail(Errc::System, "make " + directory.string() + ": " + error.message());
    for (const auto& file : files) {
        const fs::path path = directory / file.path;
        fs::create_directories(path.parent_path(), error);
        if (error) return fail(Errc::System, "make " + path.string() + ": " + error.message());
        if (auto written = write_file(path, file.content); !written) return written;
    }
    return {};
}

std::string signature_in(const fs::path& directory) {
    constexpr std::size_t kLargest = 64 * 1024;
    return read_file(directory / policy::bundle::kSignatureFile, kLargest).value_or("");
}

}  // namespace

BundleKeeper::Places bundle_places(const Paths& paths, const Config& config) {
    BundleKeeper::Places places{.directory = paths.bundle, .history = paths.state / "bundles"};
    // An absolute path stays what it is.
    if (!config.bundle.signers.empty())
        places.signers = paths.config.parent_path() / config.bundle.signers;
    return places;
}

Result<std::unique_ptr<BundleKeeper>> BundleKeeper::open(Places places) {
    std::unique_ptr<BundleKeeper> keeper{new BundleKeeper{std::move(places)}};
    const std::string commit = policy::bundle::checked_out_commit(keeper->places_.directory);
    if (auto loaded = keeper->load_directory(commit); !loaded) return fail(loaded.error());
    return keeper;
}

BundleKeeper::BundlePtr BundleKeeper::bundle() const {
    const std::lock_guard lock{mutex_};
    return bundle_;
}

BundleKeeper::State BundleKeeper::state() const {
    const std::lock_guard lock{mutex_};
    return state_;
}

void BundleKeeper::set_signers(fs::path signers) {
    const std::lock_guard changing{changing_};
    places_.signers = std::move(signers);
}

Result<BundleKeeper::BundlePtr> BundleKeeper::refuse(Error error) {
    const std::lock_guard lock{mutex_};
    state_.error = error.detail;
    state_.error_time = now();
    ++state_.refused;
    return fail(std::move(error));
}

Result<std::string> BundleKeeper::signer_of(const policy::bundle::Bundle& bundle,
                                            std::string_view signature) const {
    if (places_.signers.empty()) return std::string{};
    const auto text = read_file(places_.signers);
    if (!text)
        return fail(Errc::Denied, "who may sign bundles is not known: " + text.error().message());
    const auto signers = policy::bundle::Signers::parse(*text);
    if (!signers) return fail(signers.error());
    if (signature.empty())
        return fail(Errc::Denied,
                    "the bundle is not signed: sign what `chaperone policy digest DIR` prints with "
                    "`ssh-keygen -Y sign -n " +
                        std::string{policy::bundle::kSignatureNamespace} +
                        " -f KEY`, and keep the signature as " +
                        std::string{policy::bundle::kSignatureFile} + " in the directory");
    return signers->verify(signature, bundle.digest(), now());
}

Result<BundleKeeper::BundlePtr> BundleKeeper::take(policy::bundle::Loaded loaded,
                                                   std::string_view signature, std::string commit) {
    if (!loaded.bundle) return refuse({Errc::Invalid, policy::bundle::to_text(loaded.issues)});
    auto signer = signer_of(*loaded.bundle, signature);
    if (!signer) return refuse(signer.error());
    Files files = loaded.bundle->files();
    const Files& attached = loaded.bundle->attachments();
    files.insert(files.end(), attached.begin(), attached.end());
    if (!signature.empty())
        files.push_back({std::string{policy::bundle::kSignatureFile}, std::string{signature}});
    auto kept = history_.add({.digest = loaded.bundle->digest(),
                              .commit = std::move(commit),
                              .signer = *std::move(signer),
                              .since = now()},
                             files);
    if (!kept) return refuse(kept.error());
    policy::bundle::Bundle::stamp(*loaded.bundle, {kept->number, kept->commit});
    const std::lock_guard lock{mutex_};
    bundle_ = std::move(loaded.bundle);
    state_.generation = *std::move(kept);
    state_.error.clear();
    state_.error_time = {};
    state_.history = history_.all();
    return bundle_;
}

Result<BundleKeeper::BundlePtr> BundleKeeper::load_directory(std::string commit) {
    return take(policy::bundle::load(places_.directory), signature_in(places_.directory),
                std::move(commit));
}

Result<BundleKeeper::BundlePtr> BundleKeeper::reload() {
    const std::lock_guard changing{changing_};
    return load_directory(policy::bundle::checked_out_commit(places_.directory));
}

Result<BundleKeeper::BundlePtr> BundleKeeper::apply(Files files, std::string commit) {
    std::string signature;
    for (const auto& file : files) {
        if (!is_inside(file.path))
            return fail(Errc::Invalid, "a bundle has no file '" + file.path + "'");
        if (file.path == policy::bundle::kSignatureFile) signature = file.content;
    }
    const std::lock_guard changing{changing_};
    const auto checked = policy::bundle::load(files);
    if (!checked.bundle) return refuse({Errc::Invalid, policy::bundle::to_text(checked.issues)});
    if (auto signer = signer_of(*checked.bundle, signature); !signer) return refuse(signer.error());

    const fs::path& directory = places_.directory;
    const fs::path next = directory.string() + ".next";
    if (auto written = write_all(next, files); !written) return refuse(written.error());
    std::error_code error;
    fs::create_directories(directory, error);
    // Both names change at once: there is no moment without a bundle, whenever we are stopped.
    if (::renameat2(AT_FDCWD, next.c_str(), AT_FDCWD, directory.c_str(), RENAME_EXCHANGE) != 0)
        return system_error("exchange " + directory.string(), errno);
    fs::remove_all(next, error);
    return load_directory(std::move(commit));
}

Result<BundleKeeper::BundlePtr> BundleKeeper::roll_back(std::uint64_t generation) {
    const State at = state();
    if (generation == 0) {
        for (const Generation& earlier : at.history)
            if (earlier.digest != at.generation.digest) generation = earlier.number;
        if (generation == 0) return fail(Errc::NotFound, "no other bundle is kept");
    }
    const auto found = std::ranges::find(at.history, generation, &Generation::number);
    if (found == at.history.end())
        return fail(Errc::NotFound, "generation " + std::to_string(generation) + " is not kept");
    Result<Files> files;
    {
        const std::lock_guard changing{changing_};
        files = history_.files(generation);
    }
    if (!files) return fail(files.error());
    return apply(*std::move(files), found->commit);
}

}  // namespace chaperone::daemon
